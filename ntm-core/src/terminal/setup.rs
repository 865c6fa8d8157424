//! Setting a tunnel up: the handshake that makes its keys, at either end.

use std::time::Duration;

use super::cx::Cx;
use super::event::TerminalEvent;
use super::phase::PeerPhase;
use super::remote::{Confirmed, Why};
use super::session::{HARD_STOP, Session, Terms};
use super::transports::staggered;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;
use crate::crypto::{Initiator, Responder};
use crate::id::{Epoch, NodeName, Side};
use crate::machine::Backoff;
use crate::tunnel::{Direction, TableEvent};
use crate::wire::{
    Control, Cookie, CookieValue, Handshake1, Handshake2, Header, NO_COOKIE, RoleTag, TunnelAnswer,
    TunnelHello,
};

/// Unconfirmed sessions that one peer may have begun.
const MOST_HALF_OPEN: usize = 4;
/// Sessions besides the current one whose packets are accepted.
const MOST_OLDER: usize = 2;
/// Two sessions this close together, of which one was begun before the other was
/// there, are a glare.
const GLARE: Duration = Duration::from_secs(5);
/// Copies of a first message before giving up.
const MOST_COPIES: u32 = 6;

/// A handshake that we have begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    initiator: Initiator,
    slot: u8,
    cookie: CookieValue,
    /// A cookie has been answered since the last copy that was due: one forged
    /// after it waits.
    hastened: bool,
    backoff: Backoff,
    /// The ways to try, each with the time of its first copy.
    targets: Vec<(Time, Leg)>,
    /// How many of them have had their first copy.
    tried: usize,
    /// Ways through relays that have been forgotten since.
    past: Vec<Leg>,
}

/// A session that the peer began, until its first message in it: a replayed
/// first message gets no further than this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HalfOpen {
    first: Vec<u8>,
    second: Vec<u8>,
    session: Session,
    epoch: Epoch,
    /// When the peer began it, by its own clock.
    began: u64,
    since: Time,
}

impl Tunnel {
    /// What both ends agree on before a handshake: version, roles, names (the
    /// initiator's first), Path ID, and the virtual addresses of the lower and
    /// the higher end.
    fn prologue(&self, own_name: &NodeName, initiator: bool) -> Vec<u8> {
        let (first, second) =
            if initiator { (own_name, &self.peer.name) } else { (&self.peer.name, own_name) };
        let (lower, higher) = match self.side {
            Side::Lower => (&self.own, &self.peer.vips),
            Side::Higher => (&self.peer.vips, &self.own),
        };
        let mut prologue = b"ntm v1 terminal to terminal".to_vec();
        for name in [first, second] {
            prologue.push(name.as_str().len() as u8);
            prologue.extend_from_slice(name.as_str().as_bytes());
        }
        prologue.extend_from_slice(self.path.as_bytes());
        for vips in [lower, higher] {
            prologue.extend_from_slice(&vips.v4.map_or([0; 4], |v4| v4.octets()));
            prologue.extend_from_slice(&vips.v6.map_or([0; 16], |v6| v6.octets()));
        }
        prologue
    }

    fn free_slot(&mut self) -> u8 {
        let used = |slot: u8| {
            self.current.iter().chain(&self.older).any(|session| session.slot == slot)
                || self.half_open.iter().any(|half| half.session.slot == slot)
                || self.attempt.as_ref().is_some_and(|attempt| attempt.slot == slot)
        };
        let after = (1..16).map(|step| (self.last_slot + step) % 16);
        let slot = after.clone().find(|slot| !used(*slot)).unwrap_or(self.last_slot);
        self.last_slot = slot;
        slot
    }

    /// Begins a handshake by these ways, the first at once, the others
    /// `pacing` apart, other transports after the best. One that is under way gets the new ways added.
    pub(super) fn begin_handshake(&mut self, cx: &mut Cx<'_>, legs: &[Leg], pacing: Duration) {
        if self.attempt.is_none() {
            let slot = self.free_slot();
            let (epoch, began) = (cx.epoch, cx.now.nanos());
            let hello = TunnelHello { epoch, began, slot, suites: cx.config.suites };
            let initiator = Initiator {
                seed: cx.rng.bytes(),
                responder: self.peer.key,
                prologue: self.prologue(&cx.node.name, true),
                payload: hello.emit(),
            };
            let backoff = Backoff::patient(cx.now, &self.rtt());
            let attempt = Attempt {
                initiator,
                slot,
                cookie: NO_COOKIE,
                hastened: false,
                backoff,
                targets: Vec::new(),
                tried: 0,
                past: Vec::new(),
            };
            self.attempt = Some(attempt);
        }
        let Some(attempt) = &mut self.attempt else { return };
        let known = |leg: &&Leg| attempt.targets.iter().any(|(_, it)| it.same_remote(leg));
        let new: Vec<Leg> = legs.iter().filter(|leg| !known(leg)).copied().collect();
        attempt.targets.extend(staggered(cx.now, &new, pacing));
        attempt.targets.sort();
        attempt.tried =
            attempt.tried.min(attempt.targets.partition_point(|(due, _)| *due <= cx.now));
        self.attempt_timeout(cx);
    }

    fn attempt_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(attempt) = &mut self.attempt else { return };
        let started = attempt.targets.partition_point(|(due, _)| *due <= cx.now);
        let legs: Vec<Leg> = if attempt.backoff.is_due(cx.now) {
            if attempt.backoff.copies() >= MOST_COPIES {
                self.attempt = None;
                return;
            }
            attempt.backoff.sent(cx.now, cx.rng);
            attempt.hastened = false;
            attempt.targets[..started].iter().map(|(_, leg)| *leg).collect()
        } else {
            let tried = attempt.tried.min(started);
            attempt.targets[tried..started].iter().map(|(_, leg)| *leg).collect()
        };
        attempt.tried = started;
        self.send_first_message(cx, &legs);
    }

    fn send_first_message(&mut self, cx: &mut Cx<'_>, legs: &[Leg]) {
        let Some(attempt) = &self.attempt else { return };
        let Ok(noise) = attempt.initiator.message(&cx.node.identity) else { return };
        let message = Handshake1 {
            role: RoleTag::Terminal,
            id: *self.path.as_bytes(),
            side: self.side,
            cookie: attempt.cookie,
            noise,
        };
        let datagram = message.emit();
        for leg in legs {
            self.emit(cx, leg, "Tunnel Request", datagram.clone());
        }
    }

    /// The peer is busy and asks for a cookie. Anybody may say so who knows the
    /// Path ID: believed is who was asked, once for each copy, and the attempt
    /// lasts as long as without.
    pub(super) fn handle_cookie(&mut self, cx: &mut Cx<'_>, leg: &Leg, cookie: &Cookie) {
        if let Some(attempt) = &mut self.attempt
            && attempt.cookie != cookie.cookie
            && !attempt.hastened
            && attempt.first_copy_to(leg).is_some_and(|at| at <= cx.now)
        {
            attempt.cookie = cookie.cookie;
            attempt.hastened = true;
            self.send_first_message(cx, &[*leg]);
        }
    }

    /// A first message from the peer: answered whatever we are doing, and
    /// without any other consequence until it is confirmed.
    pub(super) fn handle_handshake1(&mut self, cx: &mut Cx<'_>, leg: &Leg, message: &Handshake1) {
        let Some(second) = self.answer_first(cx, message) else { return };
        cx.out.received(leg, "Tunnel Request", message.noise.len());
        let id = *self.path.as_bytes();
        let answer = Handshake2 { role: RoleTag::Terminal, id, side: self.side, noise: second };
        if self.remotes.get(leg).is_none()
            && let Some(relay) = self.relay_at(leg)
        {
            self.remotes.note(cx.now, leg, Some(relay), None);
        }
        self.emit(cx, leg, "Tunnel Response", answer.emit());
    }

    fn answer_first(&mut self, cx: &mut Cx<'_>, message: &Handshake1) -> Option<Vec<u8>> {
        if message.side == self.side {
            return None;
        }
        if let Some(half) = self.half_open.iter().find(|half| half.first == message.noise) {
            return Some(half.second.clone());
        }
        let prologue = self.prologue(&cx.node.name, false);
        let responder =
            Responder::read(&cx.node.identity, &prologue, cx.rng.bytes(), &message.noise).ok()?;
        if responder.initiator != self.peer.key {
            return None;
        }
        let hello = TunnelHello::parse(&responder.payload).ok()?;
        let suite = cx.config.suites.best(hello.suites);
        if self.half_open.len() == MOST_HALF_OPEN {
            // The oldest goes, as the peer counts: whoever repeats what he has
            // recorded cannot push out what the peer has just begun.
            let age = |half: &HalfOpen| (half.epoch, half.began);
            let oldest = (0..MOST_HALF_OPEN).min_by_key(|at| age(&self.half_open[*at]))?;
            if (hello.epoch, hello.began) < age(&self.half_open[oldest]) {
                return None;
            }
            self.half_open.remove(oldest);
        }
        let slot = self.free_slot();
        let answer = TunnelAnswer { epoch: cx.epoch, slot, suite };
        let (second, keys) = responder.answer(&answer.emit()).ok()?;
        let terms = Terms { initiator: false, slot, peer_slot: hello.slot, suite };
        let session = Session::new(cx.now, &keys, terms);
        self.half_open.push(HalfOpen {
            first: message.noise.clone(),
            second: second.clone(),
            session,
            epoch: hello.epoch,
            began: hello.began,
            since: cx.now,
        });
        Some(second)
    }

    /// The answer to our first message: the session is there.
    pub(super) fn handle_handshake2(&mut self, cx: &mut Cx<'_>, leg: &Leg, message: &Handshake2) {
        let Some(attempt) = &self.attempt else { return };
        let by_past_relay = attempt.has_forgotten(leg) && self.relay_at(leg).is_none();
        if message.side == self.side || by_past_relay {
            return;
        }
        let Ok(keys) = attempt.initiator.finish(&cx.node.identity, &message.noise) else { return };
        let Ok(answer) = TunnelAnswer::parse(&keys.payload) else { return };
        if !cx.config.suites.contains(answer.suite) {
            return;
        }
        cx.out.received(leg, "Tunnel Response", message.noise.len());
        let terms = Terms {
            initiator: true,
            slot: attempt.slot,
            peer_slot: answer.slot,
            suite: answer.suite,
        };
        let rtt = (attempt.backoff.copies() == 1 && !attempt.hastened)
            .then(|| attempt.first_copy_to(leg))
            .flatten()
            .map(|at| cx.now.since(at));
        let began = attempt.backoff.started();
        self.attempt = None;
        self.note_epoch_of_session(cx, answer.epoch);
        self.adopt(cx, Session::new(cx.now, &keys, terms), began);
        self.appeared(cx, leg, message.noise.len());
        if let Some(remote) = self.remotes.get_mut(leg)
            && let Some(rtt) = rtt
        {
            remote.rtt.sample(rtt);
        }
        // Also the first message in the session, which confirms it at the other
        // end.
        self.probe(cx, leg, Why::Proof);
    }

    /// The epoch that the peer has told in the handshake of a session that begins now.
    /// Beside a session that lives, what it has said in that since it started may be
    /// newer. Else it is the truth, though it be lower: its clock was ahead when it
    /// started before.
    fn note_epoch_of_session(&mut self, cx: &Cx<'_>, epoch: Epoch) {
        let is_anew = !self.is_live(cx.now) || epoch.start() < self.peer_epoch.start();
        if is_anew && epoch < self.peer_epoch {
            (self.peer_epoch, self.planned) = (epoch, Default::default());
        }
        self.peer_epoch = self.peer_epoch.max(epoch);
    }

    /// A new session's peer has spoken from there. That is no proof that it
    /// receives there: somebody may have caught its datagram, and been quicker
    /// with it from elsewhere. Until it answers a challenge it gets little.
    fn appeared(&mut self, cx: &mut Cx<'_>, leg: &Leg, bytes: usize) {
        let relay = self.relay_at(leg);
        self.remotes.note(cx.now, leg, relay, None).received += bytes as u64;
        if relay.is_some() {
            self.confirm(cx, leg, self.peer_epoch);
        } else if self.selected.is_none() {
            self.select(cx, leg, None);
        }
    }

    /// Whether something in this slot may be opened.
    pub(super) fn has_session(&self, now: Time, slot: u8) -> bool {
        let half_open = self.half_open.iter().map(|half| &half.session);
        let sessions = self.current.iter().chain(&self.older).filter(|s| s.is_live(now));
        sessions.chain(half_open).any(|session| session.slot == slot)
    }

    /// Opens a control datagram in whichever session it belongs to; the first
    /// one in a session that the peer began makes that session count.
    pub(super) fn open_control(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        header: &Header,
        datagram: &[u8],
    ) -> Option<(Control, bool)> {
        if header.envelope.side() == self.side {
            return None;
        }
        let slot = header.envelope.slot;
        let live = |session: &&mut Session| session.slot == slot && session.is_live(cx.now);
        if let Some(session) = self.current.iter_mut().chain(&mut self.older).find(live) {
            return session.open(header, datagram);
        }
        let at = self.half_open.iter().position(|half| half.session.slot == slot)?;
        let opened = self.half_open[at].session.open(header, datagram)?;
        let half = self.half_open.remove(at);
        self.attempt = None;
        self.note_epoch_of_session(cx, half.epoch);
        self.adopt(cx, half.session, half.since);
        self.appeared(cx, leg, 0);
        self.probe(cx, leg, Why::Proof);
        Some(opened)
    }

    /// A confirmed session: received in from now on, and sent in unless a glare
    /// decides otherwise. What was `began` after the present session was there is
    /// none: the peer has lost that one.
    fn adopt(&mut self, cx: &mut Cx<'_>, session: Session, began: Time) {
        let receive = session.install(self.path, Direction::Receive);
        cx.event(TerminalEvent::Table(receive));
        let own_key = cx.node.identity.public();
        let initiator = |session: &Session| {
            if session.initiator { own_key } else { self.peer.key }
        };
        let keeps = self.current.as_ref().is_some_and(|current| {
            cx.now.since(current.established) < GLARE
                && began <= current.established
                && initiator(current) < initiator(&session)
        });
        let old = if keeps {
            Some(session)
        } else {
            let send = session.install(self.path, Direction::Send);
            cx.event(TerminalEvent::Table(send));
            self.current.replace(session)
        };
        self.older.splice(0..0, old);
        while self.older.len() > MOST_OLDER {
            if let Some(oldest) = self.older.pop() {
                self.retire(cx, oldest.slot);
            }
        }
        self.liveness.session_renewed();
    }

    fn retire(&self, cx: &mut Cx<'_>, slot: u8) {
        cx.event(TerminalEvent::Table(TableEvent::Retire { path: self.path, slot }));
    }

    /// The sessions end now.
    pub(super) fn close_sessions(&mut self, cx: &mut Cx<'_>) {
        for session in self.current.take().into_iter().chain(std::mem::take(&mut self.older)) {
            self.retire(cx, session.slot);
        }
        cx.event(TerminalEvent::Table(TableEvent::Disarm { path: self.path }));
        self.update = None;
        self.old_gone = false;
        self.burst = None;
        self.deselect(cx);
    }

    /// The peer answered on this way, when it was in epoch `peer`: note it, and
    /// use it if the rules say so.
    pub(super) fn confirm(&mut self, cx: &mut Cx<'_>, leg: &Leg, peer: Epoch) {
        let leg = &self.came_by(leg);
        let confirmed = Confirmed { at: cx.now, peer, own: cx.epoch };
        let keep = self.selected.map(|selected| selected.leg);
        self.remotes.note(cx.now, leg, None, keep).confirmed = Some(confirmed);
        self.prefer(cx, leg);
        self.rebuilt(cx, leg, false);
        if self.is_selected(leg) {
            self.end_following(cx, PeerPhase::Proved);
        }
        self.measure(cx, leg);
    }

    pub(super) fn setup_timeout(&mut self, cx: &mut Cx<'_>) {
        self.attempt_timeout(cx);
        self.half_open.retain(|half| cx.now.since(half.since) < HARD_STOP);
        let (older, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.older)
            .into_iter()
            .partition(|session| session.is_live(cx.now));
        self.older = older;
        for session in over {
            self.retire(cx, session.slot);
        }
        if self.current.as_ref().is_some_and(|session| !session.is_live(cx.now)) {
            self.close_sessions(cx);
        }
        self.renew_if_due(cx);
    }

    /// Renews the session if it is old enough and in use.
    pub(super) fn renew_if_due(&mut self, cx: &mut Cx<'_>) {
        let packets = self.liveness.key_used();
        let is_due =
            |session: &Session| session.is_live(cx.now) && session.wants_renewal(cx.now, packets);
        if self.attempt.is_some() || !self.current.as_ref().is_some_and(is_due) {
            return;
        }
        match self.selected.filter(|_| self.liveness.is_in_use(cx.now)) {
            Some(selected) => self.begin_handshake(cx, &[selected.leg], Duration::ZERO),
            None => self.liveness.renewal_waits = true,
        }
    }

    pub(super) fn setup_deadline(&self) -> Option<(Time, &'static str)> {
        let attempt = self.attempt.as_ref().map(|attempt| {
            let untried = attempt.targets.get(attempt.tried).map(|(due, _)| *due);
            (
                untried.map_or(attempt.backoff.next(), |due| due.min(attempt.backoff.next())),
                "handshake",
            )
        });
        let half = self.half_open.iter().map(|half| half.since + HARD_STOP).min();
        let half = half.map(|at| (at, "half-open session"));
        let older = self.older.iter().map(Session::ends).min().map(|at| (at, "old session"));
        let current = self.current.as_ref().map(|session| {
            if self.attempt.is_none() && !self.liveness.renewal_waits {
                (session.renew_at(), "session renewal")
            } else {
                (session.ends(), "session end")
            }
        });
        [attempt, half, older, current].into_iter().flatten().min()
    }
}

impl Attempt {
    /// These ways through relays are not tried any more, nor does an answer by them
    /// count, which would be taken for one of the peer's own address.
    pub(super) fn forget(&mut self, relays: &[Leg]) {
        let is_past = |leg: &Leg| relays.iter().any(|relay| relay.same_remote(leg));
        let tried = self.targets.iter().take(self.tried).filter(|(_, leg)| !is_past(leg));
        self.tried = tried.count();
        let past = self.targets.extract_if(.., |(_, leg)| is_past(leg)).map(|(_, leg)| leg);
        self.past.extend(past);
    }

    fn has_forgotten(&self, leg: &Leg) -> bool {
        self.past.iter().any(|past| past.same_remote(leg))
    }

    fn first_copy_to(&self, leg: &Leg) -> Option<Time> {
        self.targets.iter().find(|(_, target)| target.same_remote(leg)).map(|(due, _)| *due)
    }
}
