//! Asking the coordinator how to reach a node, and doing what it directs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::cx::Cx;
use super::event::{Phase, TerminalEvent};
use super::pins::Verdict;
use super::tunnel::Tunnel;
use super::{Asked, Terminal};
use crate::Time;
use crate::address::Leg;
use crate::id::{PathId, SessionId};
use crate::machine::{Backoff, Effect, Rtt};
use crate::tunnel::TableEvent;
use crate::wire::{
    DirectionRequest, Refusal, RequestId, RouteDirection, Signal, SignalBody, Target,
};

/// Requests under way at once.
const MOST_REQUESTS: usize = 256;
/// Copies of a request before it is given up.
const MOST_COPIES: u32 = 6;
/// After a refusal the same is not asked again for this long.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// Tunnels known at once; resting ones give way to new ones.
const MOST_TUNNELS: usize = 4096;
/// A handshake message that arrives before its direction waits this long,
const EARLY_FOR: Duration = Duration::from_secs(2);
/// and is at most this long.
const EARLY_BYTES: usize = 1536;

/// Direction Requests under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Requests {
    open: BTreeMap<RequestId, Request>,
    refused: BTreeMap<Target, (Time, Refusal)>,
    early: VecDeque<Early>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Request {
    target: Target,
    path: Option<PathId>,
    backoff: Backoff,
    /// The session in which it was sent last, if there has been one.
    sent_in: Option<SessionId>,
}

/// A first handshake message that was quicker than the direction it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Early {
    path: PathId,
    leg: Leg,
    datagram: Vec<u8>,
    since: Time,
}

impl Requests {
    fn is_open(&self, target: &Target, path: Option<PathId>) -> bool {
        self.open
            .values()
            .any(|request| request.target == *target || path.is_some() && request.path == path)
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.open.values().map(|request| request.backoff.next()).min()
    }

    /// Keeps a first message until its direction arrives: one for each request
    /// that is open.
    pub(super) fn keep_early(&mut self, now: Time, path: PathId, leg: &Leg, datagram: &[u8]) {
        self.early.retain(|early| now.since(early.since) < EARLY_FOR && early.path != path);
        if datagram.len() <= EARLY_BYTES && self.early.len() < self.open.len() {
            let (leg, datagram) = (*leg, datagram.to_vec());
            self.early.push_back(Early { path, leg, datagram, since: now });
        }
    }

    fn take_early(&mut self, now: Time, path: PathId) -> Option<(Leg, Vec<u8>)> {
        let at = self.early.iter().position(|early| early.path == path)?;
        let early = self.early.remove(at)?;
        (now.since(early.since) < EARLY_FOR).then_some((early.leg, early.datagram))
    }
}

impl Terminal {
    /// Asks the coordinator for a direction, unless that is under way or has
    /// just been refused.
    pub(super) fn ask_for(&mut self, now: Time, target: Target, path: Option<PathId>) {
        self.requests.refused.retain(|_, (until, _)| *until > now);
        if let Some((_, refusal)) = self.requests.refused.get(&target) {
            // Who asks for a name waits for an answer; a packet does not.
            if matches!(target, Target::Name(_)) {
                let refusal = Some(*refusal);
                self.out.event(TerminalEvent::NoDirection { target, refusal });
            }
            return;
        }
        if self.requests.is_open(&target, path) || self.requests.open.len() == MOST_REQUESTS {
            return;
        }
        let id = RequestId::of_node(self.rng.number());
        let backoff = Backoff::patient(now, &Rtt::default());
        self.requests.open.insert(id, Request { target, path, backoff, sent_in: None });
        self.send_requests(now);
    }

    /// Asks again how to reach the peer of a tunnel.
    pub(super) fn ask_for_tunnel(&mut self, now: Time, path: PathId) {
        if let Some(vip) = self.tunnels.get(&path).and_then(|t| t.peer.vips.iter().next()) {
            self.ask_for(now, Target::Vip(vip), Some(path));
        }
    }

    /// Sends what is due; gives up what nobody answers.
    pub(super) fn send_requests(&mut self, now: Time) {
        let due: Vec<_> = self
            .requests
            .open
            .iter()
            .filter(|(_, request)| request.backoff.is_due(now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(request) = self.requests.open.get_mut(&id) else { continue };
            if request.backoff.copies() >= MOST_COPIES {
                let target = request.target.clone();
                self.requests.open.remove(&id);
                self.out.event(TerminalEvent::NoDirection { target, refusal: None });
                continue;
            }
            request.backoff.sent(now, &mut self.rng);
            let is_first_retry = request.backoff.copies() == 2;
            let (target, path) = (request.target.clone(), request.path);
            let body = SignalBody::DirectionRequest(DirectionRequest { target, path });
            let sent =
                self.with_client(now, |client, cx| client.send(cx, &Signal { request: id, body }));
            if let Some(request) = self.requests.open.get_mut(&id).filter(|_| sent) {
                request.sent_in = self.client.session();
            }
            if sent && is_first_retry && !self.client.is_registering() {
                // The coordinator may have restarted and lost the session, which
                // an idle terminal in the open notices late.
                self.register(now, Vec::new());
            }
        }
    }

    /// There is a session again: requests that were not sent in it go out now.
    pub(super) fn hurry_requests(&mut self, now: Time) {
        let session = self.client.session();
        for request in self.requests.open.values_mut().filter(|r| r.sent_in != session) {
            request.backoff = Backoff::patient(now, &Rtt::default());
        }
        self.send_requests(now);
    }

    pub(super) fn handle_refusal(&mut self, now: Time, id: RequestId, refusal: Refusal) {
        let Some(request) = self.requests.open.remove(&id) else { return };
        self.requests.refused.insert(request.target.clone(), (now + REFUSED_FOR, refusal));
        if refusal == Refusal::Unregistered {
            self.register(now, Vec::new());
        }
        let (target, refusal) = (request.target, Some(refusal));
        self.out.event(TerminalEvent::NoDirection { target, refusal });
    }

    /// Does what the coordinator directs: only ever adds ways to try.
    pub(super) fn handle_direction(
        &mut self,
        now: Time,
        id: RequestId,
        direction: &RouteDirection,
    ) {
        if !self.pins_loaded {
            // It will be repeated.
            return;
        }
        if id.is_coordinators() {
            let ack = Signal { request: id, body: SignalBody::Ack };
            self.with_client(now, |client, cx| client.send(cx, &ack));
        } else {
            self.requests.open.remove(&id);
        }
        if !self.admit(now, direction) {
            return;
        }
        let (path, epoch) = (direction.path, self.epoch);
        let phase = Phase::Directed(path);
        self.out.event(TerminalEvent::Phase { epoch, phase, at: now });
        self.with_tunnel(now, &path, |tunnel, cx| tunnel.handle_direction(cx, direction));
        if let Some((leg, datagram)) = self.requests.take_early(now, path) {
            self.handle_datagram(now, &leg, &datagram);
        }
    }

    /// Whether the direction is true as far as we can tell; makes the tunnel if
    /// it is new.
    fn admit(&mut self, now: Time, direction: &RouteDirection) -> bool {
        let Some(domain) = &self.domain else { return false };
        let derived = PathId::derive(&domain.salt, &domain.vips, &direction.peer.vips);
        let Some((_, side)) = derived.filter(|(path, _)| *path == direction.path) else {
            return false;
        };
        if direction.own != domain.vips || direction.peer.name == self.node.name {
            return false;
        }
        let own = domain.vips;
        let peer = &direction.peer;
        match self.pins.check(&peer.name, peer.key) {
            Verdict::Known => {}
            Verdict::New => {
                if let Some(write) = self.pins.pin(&peer.name, peer.key) {
                    let _full = self.effects.ask(now, Effect::Store(vec![write]), Asked::Other);
                }
            }
            Verdict::Changed(pinned) => {
                let (name, offered) = (peer.name.clone(), peer.key);
                self.out.event(TerminalEvent::KeyChanged { name, pinned, offered });
                return false;
            }
            Verdict::StillChanged => return false,
        }
        match self.tunnels.get(&direction.path) {
            Some(tunnel) if tunnel.peer == *peer && tunnel.own == own => return true,
            // The key of a live tunnel is never changed by a direction.
            Some(tunnel) if tunnel.peer.key != peer.key && tunnel.is_live(now) => return false,
            Some(_) => self.remove_tunnel(direction.path),
            None => {}
        }
        // What leads to its addresses before these leads nowhere.
        let past = self.tunnels.values().filter(|tunnel| tunnel.peer.key == peer.key);
        let past: Vec<_> = past.map(|tunnel| tunnel.path).collect();
        past.into_iter().for_each(|path| self.remove_tunnel(path));
        self.make_room(now);
        if self.tunnels.len() >= MOST_TUNNELS {
            return false;
        }
        let (path, peer) = (direction.path, peer.clone());
        for vip in peer.vips.iter() {
            self.by_vip.insert(vip, path);
        }
        let open = TableEvent::Open { path, side, own, peer: peer.vips };
        self.out.event(TerminalEvent::Table(open));
        let tunnel = Tunnel::new(now, path, side, own, peer);
        self.tunnels.insert(path, tunnel);
        true
    }

    fn make_room(&mut self, now: Time) {
        if self.tunnels.len() >= MOST_TUNNELS {
            let resting = |tunnel: &&Tunnel| !tunnel.is_live(now) && tunnel.attempt.is_none();
            if let Some(path) = self.tunnels.values().find(resting).map(|tunnel| tunnel.path) {
                self.remove_tunnel(path);
            }
        }
    }
}

impl Tunnel {
    fn handle_direction(&mut self, cx: &mut Cx<'_>, direction: &RouteDirection) {
        self.note_directed(cx, direction);
        self.grant_relays(cx, &direction.relays);
        let restarted =
            direction.peer_epoch.start() > self.peer_epoch.start() && self.peer_epoch.start() > 0;
        if restarted {
            // The peer has lost the session; ours leads nowhere. Nor does it know of
            // relays before these.
            self.close_sessions(cx);
            self.forget_past_relays();
        }
        if !self.is_live(cx.now) && direction.peer_epoch.start() < self.peer_epoch.start() {
            // Its clock was ahead when it started before, and that session is over.
            (self.peer_epoch, self.planned) = Default::default();
        }
        let works = self.selected.is_some_and(|selected| selected.proved)
            && !direction.candidates.is_empty()
            && !self.is_relayed()
            && self.selected_remote().is_some_and(|r| r.is_current(self.peer_epoch, cx.epoch))
            && direction.peer_epoch <= self.peer_epoch;
        if !works {
            self.bind_relays(cx);
        }
        self.note_plan(cx, direction);
        if self.is_live(cx.now) {
            self.directed(cx, direction);
            return;
        }
        let legs = self.note_candidates(cx, direction);
        if direction.begin {
            let pacing = direction.pacing;
            let all: Vec<_> = legs.into_iter().chain(self.relay_legs()).collect();
            self.begin_handshake(cx, &all, pacing);
        } else if !legs.is_empty() {
            self.punch(cx, legs);
        }
    }

    /// Somebody wants to send through a tunnel that rests: by what is known of
    /// it, while the coordinator is being asked.
    pub(super) fn wake(&mut self, cx: &mut Cx<'_>) {
        if self.attempt.is_none() && !self.is_live(cx.now) {
            let legs: Vec<_> = self
                .remotes
                .iter()
                .filter(|remote| remote.confirmed.is_some() && remote.relay.is_none())
                .map(|remote| remote.leg)
                .chain(self.relay_legs())
                .collect();
            if !legs.is_empty() {
                self.begin_handshake(cx, &legs, Duration::from_millis(20));
            }
        }
        if !self.is_live(cx.now) || self.selected.is_none() {
            self.ask_direction(cx);
        }
    }
}
