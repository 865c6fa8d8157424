//! The NTM terminal: registers with a coordinator, sets tunnels up, and keeps
//! them while it or its peers move (paper, section 3).
//!
//! This file only takes inputs apart and puts outputs together. The concerns:
//!
//! - `direction`: asking the coordinator, and doing what it directs.
//! - `tunnel`: one tunnel, cut by concern again: `setup` (handshakes),
//!   `session` (keys), `remote` (the ways to the peer), `update` (telling where
//!   we are), `movement` (following, choosing), `contest`, `relaying`, `liveness`,
//!   `recovery`, `unknown` (who has forgotten us), `upgrade`, `wake`, `width` (how
//!   large a packet passes), `transports` (the best of several).
//! - `overlap`: two links at once, and which of them to use.
//! - `translation`: reaching IPv4 from a network of IPv6 alone.
//! - `phase`: telling of moves.
//! - `pins`: the keys that were first seen for names.

mod config;
mod contest;
mod cx;
mod direction;
mod event;
mod liveness;
mod movement;
mod overlap;
mod phase;
mod pins;
mod recovery;
mod relaying;
mod remote;
mod session;
mod setup;
mod status;
#[cfg(test)]
mod tests;
mod translation;
mod transports;
mod tunnel;
mod unknown;
mod update;
mod upgrade;
mod wake;
mod width;

pub use config::{Mode, TerminalConfig};
pub use event::{Cause, LinkTrial, Phase, TerminalEvent, Way};
pub use phase::{Notice, PeerPhase, Winner};
pub use status::{TerminalStatus, TunnelState, TunnelStatus};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cx::{Ask, Cx};
use direction::Requests;
use overlap::Overlap;
use pins::Pins;
use transports::Payloads;
use tunnel::Tunnel;

use crate::address::{Leg, Prefix, Vips};
use crate::client::{Client, ClientEvent};
use crate::id::{Epoch, NodeName, PathId, PublicKey, Salt, SessionId};
use crate::machine::{
    Admission, Context, Effect, EffectId, Effects, Gate, Node, Outbox, Outcome, Timers,
};
use crate::plugin::{MemberRole, Route, Snapshot};
use crate::preference::Preference;
use crate::surroundings::{Surroundings, Verdict};
use crate::tunnel::{Strays, TableEvent, Traffic};
use crate::wire::{
    BindAck, Control, Cookie, Envelope, Handshake1, Handshake2, Header, Kind, PathRef,
    RegistrationRequest, RegistrationResponse, RequestId, RoleTag, Signal, SignalBody, Target,
    UnknownSession,
};
use crate::{Rng, Time};

/// The terminal machine. See [`crate::machine`] for how to drive it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terminal {
    node: Node,
    config: TerminalConfig,
    rng: Rng,
    epoch: Epoch,
    client: Client,
    surroundings: Surroundings,
    overlap: Overlap,
    domain: Option<Domain>,
    tunnels: BTreeMap<PathId, Tunnel>,
    by_vip: BTreeMap<IpAddr, PathId>,
    requests: Requests,
    payloads: Payloads,
    pins: Pins,
    pins_loaded: bool,
    gate: Gate,
    strays: Strays,
    /// The session last told of.
    session: Option<SessionId>,
    /// In seed mode: ask for directions when the registration is answered.
    redirect: bool,
    asks: Vec<Ask>,
    asked_routes: BTreeSet<IpAddr>,
    /// Of these, so many were left when past ones were last forgotten.
    routes_kept: usize,
    effects: Effects<Asked>,
    timers: Timers<Timer>,
    out: Outbox<TerminalEvent>,
}

/// What the coordinator has told us of its domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Domain {
    salt: Salt,
    vips: Vips,
    ranges: Vec<Prefix>,
}

/// What a question to a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// The keys of peers as first seen.
    Pins,
    /// Anything else.
    Other,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    Client,
    Requests,
    Effects,
    Overlap,
    Tunnel(PathId),
}

/// Destinations whose routes are remembered beyond those that matter now.
const MOST_PAST_ROUTES: usize = 256;

/// What a person or a program may ask of a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TerminalCommand {
    /// Set up a tunnel to this node, as a packet to it would.
    Connect(Target),
    /// Ask the peer of this tunnel for a sign of life.
    Ping(PathId),
    /// Accept the changed key of this node.
    Trust(NodeName),
    /// Say farewell to peers and coordinator.
    Leave,
}

impl Terminal {
    /// A terminal that knows nothing yet: its first output asks for the pinned
    /// keys, its first registration follows the first `handle_addresses`.
    pub fn new(now: Time, node: Node, config: TerminalConfig, mut rng: Rng) -> Self {
        let client = Client::new(MemberRole::Terminal, config.coordinators.clone());
        let gate = Gate::new(rng.split());
        let mut effects = Effects::default();
        let _room = effects.ask(now, Effect::Load, Asked::Pins);
        let epoch = node.first_epoch(now);
        let mut terminal = Self {
            node,
            config,
            rng,
            epoch,
            client,
            surroundings: Surroundings::default(),
            overlap: Overlap::default(),
            domain: None,
            tunnels: BTreeMap::new(),
            by_vip: BTreeMap::new(),
            requests: Requests::default(),
            payloads: Payloads::default(),
            pins: Pins::default(),
            pins_loaded: false,
            gate,
            strays: Strays::default(),
            session: None,
            redirect: false,
            asks: Vec::new(),
            asked_routes: BTreeSet::new(),
            routes_kept: 0,
            effects,
            timers: Timers::default(),
            out: Outbox::default(),
        };
        terminal.settle(now);
        terminal
    }

    /// Says which of the system's interfaces is our own virtual one.
    pub fn set_own_interface(&mut self, ifindex: Option<u32>) {
        self.surroundings.set_own_interface(ifindex);
    }

    /// Says which links are better than others, as somebody has configured it.
    pub fn set_preference(&mut self, preference: Preference) {
        self.surroundings.set_preference(preference);
    }

    /// The destinations whose routes matter: ask the watcher for these and hand
    /// the answers to [`Terminal::handle_addresses`].
    pub fn destinations(&self) -> Vec<IpAddr> {
        let tunnels = self.tunnels.values().flat_map(|tunnel| {
            let selected = tunnel.selected.map(|selected| selected.leg);
            selected.into_iter().chain(tunnel.relay_legs()).map(|leg| leg.remote.ip())
        });
        let all: BTreeSet<_> = self.client.destinations().chain(tunnels).collect();
        all.into_iter().collect()
    }

    /// The single links (their indices) to ask the watcher about, each with a
    /// destination, before this look is handed to [`Terminal::handle_addresses`].
    /// Nothing as long as there is one link. Who does not ask makes every change of
    /// routes a move at once.
    pub fn links_in_question(
        &self,
        snapshot: &Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) -> Vec<(u32, IpAddr)> {
        self.surroundings.questions(snapshot, routes)
    }

    /// The answers, for the next [`Terminal::handle_addresses`] alone: how the
    /// destination would be reached if only that link were there. Links that do not
    /// lead there are left out.
    pub fn note_links(&mut self, links: Vec<(IpAddr, Route)>) {
        self.surroundings.note_beside(links);
    }

    /// The machine's addresses, and the ways to [`Terminal::destinations`], as
    /// they are now.
    pub fn handle_addresses(
        &mut self,
        now: Time,
        snapshot: Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) {
        self.forget_past_routes();
        let verdict = self.surroundings.update(&self.node, snapshot, routes);
        let gained = self.update_reachability();
        match verdict {
            Verdict::Moved { source, old_gone } => {
                self.act_on_move(now, Cause::Local { source }, old_gone);
            }
            Verdict::Claims => self.register(now, self.relayed_tunnels(now)),
            Verdict::Same if gained => self.register(now, self.relayed_tunnels(now)),
            Verdict::Same => {}
        }
        self.hold_tunnels(now);
        self.consider_links(now);
        self.settle(now);
    }

    fn forget_past_routes(&mut self) {
        let destinations: BTreeSet<_> = self.destinations().into_iter().collect();
        self.surroundings.keep_only(&destinations);
        self.asked_routes.retain(|ip| destinations.contains(ip));
    }

    /// Whether the coordinator is reached by a family now by which it was not.
    fn update_reachability(&mut self) -> bool {
        let surroundings = &self.surroundings;
        self.client.set_reachable(&self.node, |ip| surroundings.has_route(ip))
    }

    /// Everything that follows from a move, in the instant it is noticed.
    fn act_on_move(&mut self, now: Time, cause: Cause, old_gone: bool) {
        self.epoch = self.epoch.next();
        let fast = self.config.mode == Mode::Fast;
        let phase = Phase::Detected(cause);
        self.out.event(TerminalEvent::Phase { epoch: self.epoch, phase, at: now });
        let paths: Vec<_> = self.tunnels.keys().copied().collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.moved(cx, old_gone, fast));
        }
        let live = if fast { self.live_tunnels(now) } else { Vec::new() };
        self.redirect = !fast;
        self.register(now, live);
    }

    /// The path of one tunnel is dead: the same, for this tunnel alone.
    fn recover(&mut self, now: Time, path: PathId) {
        self.overlap.hurry(now);
        self.epoch = self.epoch.next();
        let phase = Phase::Detected(Cause::DeadPath);
        self.out.event(TerminalEvent::Phase { epoch: self.epoch, phase, at: now });
        self.with_tunnel(now, &path, |tunnel, cx| {
            tunnel.bind_relays(cx);
            tunnel.moved(cx, false, true);
        });
        self.stamp(now);
        let reference = self.tunnels.get(&path).and_then(Tunnel::reference);
        self.register(now, reference.into_iter().collect());
    }

    /// Has the packets of every tunnel carry our present epoch: from who has heard
    /// of it, older ones tell nothing any more.
    fn stamp(&mut self, now: Time) {
        let paths: Vec<_> = self.tunnels.keys().copied().collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.point_again(cx));
        }
    }

    fn live_tunnels(&self, now: Time) -> Vec<PathRef> {
        let live = self.tunnels.values().filter(|tunnel| tunnel.is_live(now));
        live.filter_map(Tunnel::reference).take(RegistrationRequest::MOST_PATHS).collect()
    }

    /// Those that may do without a relay when we are reached by other addresses, too.
    fn relayed_tunnels(&self, now: Time) -> Vec<PathRef> {
        let relayed =
            self.tunnels.values().filter(|tunnel| tunnel.is_live(now) && tunnel.is_relayed());
        relayed.filter_map(Tunnel::reference).take(RegistrationRequest::MOST_PATHS).collect()
    }

    /// Tells the coordinator where we are.
    fn register(&mut self, now: Time, paths: Vec<PathRef>) {
        if self.client.has_way() {
            let claimed = self.surroundings.claimed().to_vec();
            self.with_client(now, |client, cx| client.register(cx, claimed, paths));
        }
    }

    /// A datagram that arrived by `leg`.
    pub fn handle_datagram(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Ok(envelope) = Envelope::parse(datagram) else { return };
        let path = PathId::from_bytes(envelope.id);
        match envelope.kind {
            Kind::Handshake1 => self.handle_handshake1(now, leg, datagram),
            Kind::Handshake2 => {
                let Ok(message) = Handshake2::parse(datagram) else { return };
                if self.client.began(&message.id) {
                    let event = self
                        .with_client(now, |client, cx| client.handle_handshake2(cx, leg, &message));
                    self.handle_client_event(now, event);
                } else {
                    self.with_tunnel(now, &path, |tunnel, cx| {
                        tunnel.handle_handshake2(cx, &tunnel.came_by(leg), &message);
                    });
                }
            }
            Kind::Cookie => {
                let Ok(message) = Cookie::parse(datagram) else { return };
                if self.client.began(&message.id) {
                    self.with_client(now, |client, cx| client.handle_cookie(cx, &message));
                } else {
                    self.with_tunnel(now, &path, |tunnel, cx| {
                        tunnel.handle_cookie(cx, leg, &message);
                    });
                }
            }
            Kind::Control => self.handle_control(now, leg, datagram),
            Kind::BindAck => {
                let Ok(ack) = BindAck::parse(datagram) else { return };
                self.with_tunnel(now, &path, |tunnel, cx| {
                    tunnel.handle_bind_ack(cx, leg, &ack, datagram);
                });
            }
            Kind::Signalling => {
                let Ok(header) = Header::parse(datagram) else { return };
                let event = self.with_client(now, |client, cx| {
                    client.handle_signalling(cx, leg, &header, datagram)
                });
                self.handle_client_event(now, event);
            }
            Kind::UnknownSession => {
                let Ok(notice) = UnknownSession::parse(datagram) else { return };
                if self.client.session().is_some_and(|session| session.0 == notice.id) {
                    let event =
                        self.with_client(now, |client, cx| client.handle_unknown(cx, leg, &notice));
                    self.handle_client_event(now, event);
                } else {
                    self.with_tunnel(now, &path, |tunnel, cx| {
                        tunnel.handle_unknown(cx, leg, &notice.seal);
                    });
                }
            }
            Kind::Capsule | Kind::Bind | Kind::Punch => {}
        }
        self.settle(now);
    }

    fn handle_handshake1(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Ok(message) = Handshake1::parse(datagram) else { return };
        if message.role != RoleTag::Terminal {
            return;
        }
        let path = PathId::from_bytes(message.id);
        if !self.tunnels.contains_key(&path) {
            self.requests.keep_early(now, path, leg, datagram);
            return;
        }
        match self.gate.admit(now, leg.remote, &message.cookie) {
            Admission::Enter => {
                self.with_tunnel(now, &path, |tunnel, cx| {
                    tunnel.handle_handshake1(cx, &tunnel.came_by(leg), &message);
                });
            }
            Admission::Ask(cookie) => {
                let answer = Cookie { role: RoleTag::Terminal, id: message.id, cookie };
                self.out.send(leg.unpinned(), "Cookie", answer.emit());
            }
            Admission::Drop => {}
        }
    }

    fn handle_control(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Ok(header) = Header::parse(datagram) else { return };
        let path = PathId::from_bytes(header.envelope.id);
        if self.is_stray(now, &header) {
            return self.tell_stray(now, leg, datagram);
        }
        self.with_tunnel(now, &path, |tunnel, cx| {
            let leg = &tunnel.came_by(leg);
            let Some((control, newest)) = tunnel.open_control(cx, leg, &header, datagram) else {
                return;
            };
            cx.out.received(leg, control.name(), datagram.len());
            if newest && matches!(control, Control::KeepAlive | Control::Report) {
                tunnel.seen(cx, leg, header.epoch_low());
            }
            tunnel.handle_control(cx, leg, control, datagram.len());
        });
    }

    fn handle_client_event(&mut self, now: Time, event: Option<ClientEvent>) {
        match event {
            None => {}
            Some(ClientEvent::Registered(response)) => self.registered(now, *response),
            Some(ClientEvent::EpochBehind(seen)) => {
                self.epoch = self.epoch.above(seen);
                self.stamp(now);
                self.register(now, Vec::new());
            }
            Some(ClientEvent::RegistrationDue) => {
                let live = self.live_tunnels(now);
                self.register(now, live);
            }
            Some(ClientEvent::RenewalDue) => {
                self.with_client(now, |client, cx| client.renew_session(cx));
                self.register(now, Vec::new());
            }
            Some(ClientEvent::Unreachable) => {
                self.out.event(TerminalEvent::CoordinatorUnreachable);
            }
            Some(ClientEvent::Refused(refusal)) => {
                self.out.event(TerminalEvent::RegistrationRefused(refusal));
            }
            Some(ClientEvent::Answered(request)) => self.coordinator_answered(now, request),
            Some(ClientEvent::Signal(signal)) => match signal.body {
                SignalBody::RouteDirection(direction) => {
                    self.handle_direction(now, signal.request, &direction);
                }
                SignalBody::Refusal(refusal) => {
                    self.handle_refusal(now, signal.request, refusal);
                }
                SignalBody::Revocation { key } => self.revoked(now, signal.request, key),
                SignalBody::RegistrationRequest(_)
                | SignalBody::RegistrationResponse(_)
                | SignalBody::DirectionRequest(_)
                | SignalBody::Ack
                | SignalBody::RelayDirection(_)
                | SignalBody::KeepAlive { .. }
                | SignalBody::KeepAliveAck { .. }
                | SignalBody::Goodbye => {}
            },
        }
    }

    fn registered(&mut self, now: Time, response: RegistrationResponse) {
        let domain =
            Domain { salt: response.salt, vips: response.vips, ranges: response.ranges.clone() };
        if self.domain.as_ref().is_some_and(|before| *before != domain) {
            // Another domain, or other addresses in it: no Path ID holds any more.
            let paths: Vec<_> = self.tunnels.keys().copied().collect();
            paths.into_iter().for_each(|path| self.remove_tunnel(path));
        }
        self.surroundings.set_ranges(domain.ranges.clone());
        let is_first = self.domain.replace(domain).is_none();
        let epoch = self.epoch;
        self.out.event(TerminalEvent::Phase { epoch, phase: Phase::Registered, at: now });
        self.out.event(TerminalEvent::Registered {
            vips: response.vips,
            ranges: response.ranges,
            observed: response.observed,
        });
        let new: Vec<_> = self
            .client
            .destinations()
            .filter(|ip| !self.surroundings.is_known(*ip) && self.asked_routes.insert(*ip))
            .collect();
        if !new.is_empty() {
            let _full = self.effects.ask(now, Effect::Routes(new), Asked::Other);
        }
        self.hurry_requests(now);
        if is_first {
            self.set_calendar(now, response.unix);
        }
        if std::mem::take(&mut self.redirect) {
            for live in self.live_tunnels(now) {
                self.ask_for_tunnel(now, live.path);
            }
        }
    }

    /// Where our calendar is behind the coordinator's, our epochs may be lower than
    /// those that others remember of us from before a restart, and would move nothing:
    /// we start anew by the later one, before anybody has heard of us.
    fn set_calendar(&mut self, now: Time, unix: u64) {
        let behind = unix.saturating_sub(self.node.unix(now));
        let anew = Epoch::starting(unix);
        // A second may be a matter of rounding.
        if behind > 1 && anew > self.epoch && self.tunnels.is_empty() {
            self.epoch = anew;
            self.register(now, Vec::new());
        }
    }

    /// A node is no member any more.
    fn revoked(&mut self, now: Time, id: RequestId, key: PublicKey) {
        let ack = Signal { request: id, body: SignalBody::Ack };
        self.with_client(now, |client, cx| client.send(cx, &ack));
        let with_it = self.tunnels.values().filter(|tunnel| tunnel.peer.key == key);
        let paths: Vec<_> = with_it.map(|tunnel| tunnel.path).collect();
        paths.into_iter().for_each(|path| self.remove_tunnel(path));
    }

    fn remove_tunnel(&mut self, path: PathId) {
        if let Some(tunnel) = self.tunnels.remove(&path) {
            for vip in tunnel.peer.vips.iter() {
                // It may lead to a newer tunnel by now.
                if self.by_vip.get(&vip) == Some(&path) {
                    self.by_vip.remove(&vip);
                }
            }
            self.timers.set(Timer::Tunnel(path), None);
            self.out.event(TerminalEvent::Table(TableEvent::Remove { path }));
        }
    }

    /// Whether the coordinator has named a key for this node that is not the one
    /// seen first: what [`TerminalCommand::Trust`] would accept.
    pub fn has_changed_key(&self, name: &NodeName) -> bool {
        self.pins.is_offered(name)
    }

    /// An application sends to `vip` and there is no tunnel that could carry it.
    pub fn handle_miss(&mut self, now: Time, vip: IpAddr) {
        if let Some(domain) = &self.domain
            && !domain.vips.contains(vip)
            && domain.ranges.iter().any(|range| range.contains(vip))
        {
            match self.by_vip.get(&vip).copied() {
                Some(path) => {
                    self.with_tunnel(now, &path, |tunnel, cx| tunnel.wake(cx));
                }
                None => self.ask_for(now, Target::Vip(vip), None),
            }
        }
        self.settle(now);
    }

    /// A worker accepted a capsule, newer than all before, from another address
    /// than the tunnel points to.
    pub fn handle_seen(&mut self, now: Time, path: &PathId, leg: &Leg, epoch_low: u16) {
        self.with_tunnel(now, path, |tunnel, cx| tunnel.seen(cx, &tunnel.came_by(leg), epoch_low));
        self.settle(now);
    }

    /// The traffic of a tunnel so far. To be told four times a second while
    /// there is any.
    pub fn handle_traffic(&mut self, now: Time, path: &PathId, traffic: Traffic) {
        self.with_tunnel(now, path, |tunnel, cx| tunnel.handle_traffic(cx, traffic));
        self.settle(now);
    }

    /// Tunnels for which the deadline that has come means something else if there
    /// was traffic: tell it before [`Terminal::handle_timeout`].
    pub fn depending_on_traffic(&self, now: Time) -> impl Iterator<Item = PathId> {
        self.tunnels.values().filter(move |it| it.depends_on_traffic(now)).map(|it| it.path)
    }

    /// A person or a program asks for something.
    pub fn handle_command(&mut self, now: Time, command: TerminalCommand) {
        match command {
            TerminalCommand::Connect(target) => self.connect(now, target),
            TerminalCommand::Ping(path) => {
                self.with_tunnel(now, &path, |tunnel, cx| tunnel.ping(cx));
            }
            TerminalCommand::Trust(name) => {
                if let Some(write) = self.pins.trust(&name) {
                    let _full = self.effects.ask(now, Effect::Store(vec![write]), Asked::Other);
                }
            }
            TerminalCommand::Leave => {
                let paths: Vec<_> = self.tunnels.keys().copied().collect();
                for path in paths {
                    self.with_tunnel(now, &path, |tunnel, cx| {
                        if let Some(selected) = tunnel.selected {
                            tunnel.say(cx, &selected.leg, &Control::Close);
                        }
                    });
                }
                self.with_client(now, |client, cx| client.say_goodbye(cx));
            }
        }
        self.settle(now);
    }

    fn connect(&mut self, now: Time, target: Target) {
        let known = match &target {
            Target::Vip(vip) => self.by_vip.get(vip).copied(),
            Target::Name(name) => {
                let named = self.tunnels.values().find(|tunnel| tunnel.peer.name == *name);
                named.map(|tunnel| tunnel.path)
            }
        };
        match known {
            Some(path) => {
                self.with_tunnel(now, &path, |tunnel, cx| tunnel.wake(cx));
            }
            None => self.ask_for(now, target, None),
        }
    }

    /// A plugin's answer.
    pub fn handle_outcome(&mut self, now: Time, id: EffectId, outcome: Outcome) {
        if self.effects.answered(id).is_none() {
            return;
        }
        match outcome {
            Outcome::Loaded(loaded) => {
                if let Ok((records, _)) = loaded {
                    self.pins.load(records);
                }
                self.pins_loaded = true;
            }
            Outcome::Routed(routes) => {
                self.surroundings.add_ways(&routes);
                if self.update_reachability() {
                    self.register(now, Vec::new());
                }
                let affected: Vec<_> = self
                    .tunnels
                    .values()
                    .filter(|tunnel| {
                        tunnel.selected.is_some_and(|selected| {
                            routes.iter().any(|(ip, _)| *ip == selected.leg.remote.ip())
                        })
                    })
                    .map(|tunnel| tunnel.path)
                    .collect();
                for path in affected {
                    self.with_tunnel(now, &path, |tunnel, cx| tunnel.point_again(cx));
                }
            }
            Outcome::Stored(_) | Outcome::Leased(_) | Outcome::Planned(_) => {}
        }
        self.settle(now);
    }

    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Client => {
                    let event = self.with_client(now, |client, cx| client.handle_timeout(cx));
                    self.handle_client_event(now, event);
                }
                Timer::Requests => self.send_requests(now),
                Timer::Effects => {
                    let late = self.effects.expired(now, |_| true);
                    // Pins that cannot be read are as none: better than no tunnel.
                    self.pins_loaded |= late.contains(&Asked::Pins);
                }
                Timer::Overlap => self.overlap_timeout(now),
                Timer::Tunnel(path) => {
                    self.with_tunnel(now, &path, |tunnel, cx| tunnel.handle_timeout(cx));
                }
            }
            self.settle(now);
        }
    }

    /// Works off what tunnels asked for, and sets the clocks.
    fn settle(&mut self, now: Time) {
        while let Some(ask) = self.asks.pop() {
            match ask {
                Ask::Recover(path) => self.recover(now, path),
                Ask::Direct(path) => self.ask_for_tunnel(now, path),
                Ask::Judge => self.judge_trial(now),
            }
        }
        if self.session != self.client.session() {
            self.session = self.client.session();
            self.out.event(TerminalEvent::Session(self.session));
        }
        self.timers.set(Timer::Client, self.client.deadline());
        self.timers.set(Timer::Requests, self.requests.deadline());
        self.timers.set(Timer::Effects, self.effects.deadline());
        self.timers.set(Timer::Overlap, self.overlap.deadline());
    }

    fn with_client<R>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Client, &mut Context<'_, TerminalEvent>) -> R,
    ) -> R {
        let mut cx = Context {
            now,
            node: &self.node,
            epoch: self.epoch,
            rng: &mut self.rng,
            out: &mut self.out,
        };
        act(&mut self.client, &mut cx)
    }

    fn with_tunnel<R>(
        &mut self,
        now: Time,
        path: &PathId,
        act: impl FnOnce(&mut Tunnel, &mut Cx<'_>) -> R,
    ) -> Option<R> {
        let tunnel = self.tunnels.get_mut(path)?;
        let mut cx = Cx {
            now,
            node: &self.node,
            epoch: self.epoch,
            config: &self.config,
            surroundings: &self.surroundings,
            payloads: &self.payloads,
            observed: self.client.observed(),
            rng: &mut self.rng,
            out: &mut self.out,
            asks: &mut self.asks,
        };
        let result = act(tunnel, &mut cx);
        self.timers.set(Timer::Tunnel(*path), tunnel.deadline().map(|(at, _)| at));
        if let Some(selected) = tunnel.selected {
            let ip = selected.leg.remote.ip();
            if !self.surroundings.is_known(ip) && self.asked_routes.insert(ip) {
                let _full = self.effects.ask(now, Effect::Routes(vec![ip]), Asked::Other);
            }
        }
        // A peer may be somewhere else with every datagram.
        if self.asked_routes.len() > self.routes_kept + MOST_PAST_ROUTES {
            self.forget_past_routes();
            self.routes_kept = self.asked_routes.len();
        }
        Some(result)
    }

    /// The next datagram to send, written to `buffer`, and the way it takes.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>) -> Option<Leg> {
        let leg = self.out.poll_transmit(buffer)?;
        Some(leg.pinned(leg.local.or_else(|| self.surroundings.pin(leg.remote.ip()))))
    }

    /// The next question to a plugin.
    pub fn poll_effect(&mut self) -> Option<(EffectId, Effect)> {
        self.effects.poll()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<TerminalEvent> {
        self.out.poll_event()
    }

    /// When to call [`Terminal::handle_timeout`], and what for.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        let (at, timer) = self.timers.next()?;
        let reason = match timer {
            Timer::Client => "registration",
            Timer::Requests => "Direction Request",
            Timer::Effects => "plugin",
            Timer::Overlap => "better link",
            Timer::Tunnel(path) => {
                self.tunnels.get(&path).and_then(Tunnel::deadline).map_or("tunnel", |(_, why)| why)
            }
        };
        Some((at, reason))
    }
}
