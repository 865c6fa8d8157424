//! The Relay Server: carries the tunnels of pairs that cannot reach each other
//! (paper, section 3), without keys to what it carries.
//!
//! - `binding`: one relayed path and its two ends; tickets and quotas.
//! - `forward`: the table that packet workers forward by.

mod binding;
mod event;
mod forward;
#[cfg(test)]
mod tests;

pub use event::{RelayConfig, RelayEvent, RelayStatus};
pub use forward::{BoundEnd, ForwardEvent, ForwardTable, Forwarder, Forwards, Limits, Verdict};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use binding::{Pair, Reply};

use crate::address::{Candidate, Leg, Scope};
use crate::client::{Client, ClientEvent};
use crate::crypto::Secret;
use crate::id::{Epoch, PathId, SessionId};
use crate::machine::{Context, Node, Outbox, Timers};
use crate::plugin::{MemberRole, Route, Snapshot};
use crate::surroundings::{Surroundings, Verdict as Look};
use crate::wire::{
    Bind, BindAck, BindStatus, Cookie, Envelope, Handshake2, Header, Kind, RegistrationResponse,
    RelayDirection, RelayId, Signal, SignalBody, Token, UnknownSession,
};
use crate::{Rng, Time};

/// Paths relayed at once.
const MOST_PAIRS: usize = 65_536;
/// Revoked tickets remembered.
const MOST_REVOKED: usize = 65_536;

/// The relay machine. See [`crate::machine`] for how to drive it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relay {
    node: Node,
    config: RelayConfig,
    id: RelayId,
    rng: Rng,
    epoch: Epoch,
    client: Client,
    surroundings: Surroundings,
    /// Keys that tickets are sealed with, the newest first.
    ticket_keys: Vec<Secret>,
    /// The coordinator's calendar: its second, and our time when it said so.
    calendar: Option<(u64, Time)>,
    pairs: BTreeMap<PathId, Pair>,
    revoked: BTreeMap<PathId, u64>,
    /// The session last told of.
    session: Option<SessionId>,
    timers: Timers<Timer>,
    out: Outbox<RelayEvent>,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    Client,
    Pair(PathId),
}

impl Relay {
    /// A relay that waits for its coordinator's word before it admits anybody.
    pub fn new(now: Time, node: Node, config: RelayConfig, rng: Rng) -> Self {
        let client = Client::new(MemberRole::Relay, config.coordinators.clone());
        let id = RelayId::of(&node.identity.public());
        let epoch = node.first_epoch(now);
        Self {
            node,
            config,
            id,
            rng,
            epoch,
            client,
            surroundings: Surroundings::default(),
            ticket_keys: Vec::new(),
            calendar: None,
            pairs: BTreeMap::new(),
            revoked: BTreeMap::new(),
            session: None,
            timers: Timers::default(),
            out: Outbox::default(),
        }
    }

    /// Says which of the system's interfaces is our node's virtual one.
    pub fn set_own_interface(&mut self, ifindex: Option<u32>) {
        self.surroundings.set_own_interface(ifindex);
    }

    /// The destinations whose routes matter.
    pub fn destinations(&self) -> Vec<IpAddr> {
        let all: BTreeSet<_> = self.client.destinations().collect();
        all.into_iter().collect()
    }

    /// The machine's addresses, and the ways to [`Relay::destinations`], as they
    /// are now.
    pub fn handle_addresses(
        &mut self,
        now: Time,
        snapshot: Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) {
        let verdict = self.surroundings.update(&self.node, snapshot, routes);
        let surroundings = &self.surroundings;
        let gained = self.client.set_reachable(&self.node, |ip| surroundings.has_route(ip));
        match verdict {
            Look::Moved { .. } => {
                self.epoch = self.epoch.next();
                self.register(now);
            }
            Look::Claims => self.register(now),
            Look::Same if gained => self.register(now),
            Look::Same => {}
        }
        self.settle();
    }

    fn register(&mut self, now: Time) {
        if self.client.has_way() {
            let claimed = self.surroundings.claimed().to_vec();
            self.with_client(now, |client, cx| client.register(cx, claimed, Vec::new()));
        }
    }

    /// The machine has slept, and its addresses have been looked at since: the
    /// coordinator learns that we are back.
    pub fn handle_wake(&mut self, now: Time) {
        if !self.client.is_registering() {
            self.register(now);
        }
        self.settle();
    }

    /// A datagram that arrived by `leg` and that no worker has forwarded.
    pub fn handle_datagram(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Ok(envelope) = Envelope::parse(datagram) else { return };
        match envelope.kind {
            Kind::Bind => self.handle_bind(now, leg, datagram),
            Kind::Handshake2 => {
                if let Ok(message) = Handshake2::parse(datagram) {
                    let event = self
                        .with_client(now, |client, cx| client.handle_handshake2(cx, leg, &message));
                    self.handle_client_event(now, event);
                }
            }
            Kind::Cookie => {
                if let Ok(message) = Cookie::parse(datagram) {
                    self.with_client(now, |client, cx| client.handle_cookie(cx, &message));
                }
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
                }
            }
            Kind::Capsule | Kind::Control | Kind::Handshake1 | Kind::BindAck | Kind::Punch => {}
        }
        self.settle();
    }

    fn handle_client_event(&mut self, now: Time, event: Option<ClientEvent>) {
        match event {
            None => {}
            Some(ClientEvent::Registered(response)) => self.registered(now, *response),
            Some(ClientEvent::EpochBehind(seen)) => {
                self.epoch = self.epoch.above(seen);
                self.register(now);
            }
            Some(ClientEvent::RegistrationDue) => self.register(now),
            // It has nobody else who asks.
            Some(ClientEvent::Answered(_)) => {}
            Some(ClientEvent::RenewalDue) => {
                self.with_client(now, |client, cx| client.renew_session(cx));
                self.register(now);
            }
            Some(ClientEvent::Unreachable) => self.out.event(RelayEvent::CoordinatorUnreachable),
            Some(ClientEvent::Refused(refusal)) => {
                self.out.event(RelayEvent::RegistrationRefused(refusal));
            }
            Some(ClientEvent::Signal(signal)) => {
                if let SignalBody::RelayDirection(direction) = signal.body {
                    let ack = Signal { request: signal.request, body: SignalBody::Ack };
                    self.with_client(now, |client, cx| client.send(cx, &ack));
                    self.handle_relay_direction(&direction);
                }
            }
        }
    }

    fn registered(&mut self, now: Time, response: RegistrationResponse) {
        if let Some(key) = response.ticket_key
            && self.ticket_keys.first() != Some(&key)
        {
            self.ticket_keys.insert(0, key);
            self.ticket_keys.truncate(2);
        }
        self.calendar = Some((response.unix, now));
        self.out.event(RelayEvent::Registered { observed: response.observed });
    }

    /// The second of the coordinator's calendar.
    fn unix(&self, now: Time) -> Option<u64> {
        self.calendar.map(|(unix, at)| unix.saturating_add(now.since(at).as_secs()))
    }

    fn handle_relay_direction(&mut self, direction: &RelayDirection) {
        if !direction.revoke {
            return;
        }
        let serial = self.revoked.entry(direction.path).or_default();
        *serial = (*serial).max(direction.serial);
        if self.revoked.len() > MOST_REVOKED {
            self.revoked.pop_first();
        }
        if self.pairs.get(&direction.path).is_some_and(|pair| pair.serial() <= direction.serial) {
            self.remove(direction.path);
        }
    }

    /// Whether packets may be forwarded to an end at this address.
    fn may_serve(&self, candidate: &Candidate) -> bool {
        let ip = candidate.addr.ip();
        let own = self.surroundings.claimed().iter().any(|own| own.addr.ip() == ip);
        match Scope::of(ip) {
            Scope::Global => !own || self.config.allow_private,
            Scope::Private => self.config.allow_private && !own,
            // A role of our own node, which comes by loopback.
            Scope::Nowhere => {
                ip.is_loopback()
                    && self.node.transports.iter().any(|own| own.port == candidate.addr.port())
            }
        }
    }

    fn handle_bind(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Ok(bind) = Bind::parse(datagram) else { return };
        // Only the ticket's own coordinator could have sealed it, and only the
        // end it names holds the key: whoever fails either gets no answer.
        let is_genuine = |key: &&Secret| {
            bind.ticket.is_genuine(&bind.path, key)
                && Bind::is_genuine(datagram, &bind.ticket.end_key(key, bind.side))
        };
        if bind.ticket.relay != self.id {
            return;
        }
        let Some(key) = self.ticket_keys.iter().find(is_genuine).copied() else { return };
        let end_key = bind.ticket.end_key(&key, bind.side);
        self.out.received(leg, "Bind", datagram.len());
        let candidate = Candidate { kind: self.node.kind_of(leg.transport), addr: leg.remote };
        let revoked =
            self.revoked.get(&bind.path).is_some_and(|serial| bind.ticket.serial <= *serial);
        let expired = self.unix(now).is_none_or(|unix| unix > bind.ticket.not_after);
        let (path, is_new) = (bind.path, !self.pairs.contains_key(&bind.path));
        let refusal = if revoked || is_new && expired {
            Some(BindStatus::Expired)
        } else if !self.may_serve(&candidate) {
            Some(BindStatus::Address)
        } else if is_new && self.pairs.len() >= MOST_PAIRS {
            Some(BindStatus::Busy)
        } else {
            None
        };
        if let Some(status) = refusal {
            return self.answer(leg, &bind, status, None, &end_key);
        }
        let pair = self.pairs.entry(path).or_insert_with(|| Pair::new(now, &bind.ticket));
        let before = (!is_new).then(|| pair.forward(path));
        let Reply { status, challenge, deliver } =
            pair.bind(now, leg, &bind, datagram.len(), expired, &mut self.rng);
        let forward = pair.forward(path);
        self.timers.set(Timer::Pair(path), Some(pair.expires()));
        // A Bind that is repeated, by whomever, costs no new table.
        if before.as_ref() != Some(&forward) {
            self.out.event(RelayEvent::Forward(forward));
        }
        self.answer(leg, &bind, status, challenge, &end_key);
        for (to, carried) in deliver {
            self.out.send(to, "Forwarded", carried);
        }
    }

    fn answer(
        &mut self,
        leg: &Leg,
        bind: &Bind,
        status: BindStatus,
        challenge: Option<Token>,
        key: &Secret,
    ) {
        let ack = BindAck {
            path: bind.path,
            side: bind.side,
            status,
            epoch: bind.epoch,
            nonce: bind.nonce,
            challenge,
        };
        self.out.send(leg.back(), "Bind Ack", ack.emit(key));
    }

    /// A worker reports a path that has used up its quota.
    pub fn handle_exhausted(&mut self, path: PathId) {
        if let Some(pair) = self.pairs.get_mut(&path) {
            pair.exhaust();
        }
    }

    fn remove(&mut self, path: PathId) {
        if self.pairs.remove(&path).is_some() {
            self.timers.set(Timer::Pair(path), None);
            self.out.event(RelayEvent::Forward(ForwardEvent::Remove { path }));
        }
    }

    /// Says farewell to the coordinator.
    pub fn leave(&mut self, now: Time) {
        self.with_client(now, |client, cx| client.say_goodbye(cx));
        self.settle();
    }

    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Client => {
                    let event = self.with_client(now, |client, cx| client.handle_timeout(cx));
                    self.handle_client_event(now, event);
                }
                Timer::Pair(path) => match self.pairs.get(&path).map(Pair::expires) {
                    Some(at) if at > now => self.timers.set(Timer::Pair(path), Some(at)),
                    Some(_) | None => self.remove(path),
                },
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        if self.session != self.client.session() {
            self.session = self.client.session();
            self.out.event(RelayEvent::Session(self.session));
        }
        self.timers.set(Timer::Client, self.client.deadline());
    }

    fn with_client<R>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Client, &mut Context<'_, RelayEvent>) -> R,
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

    /// The next datagram to send, written to `buffer`, and the way it takes.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>) -> Option<Leg> {
        self.out.poll_transmit(buffer)
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<RelayEvent> {
        self.out.poll_event()
    }

    /// When to call [`Relay::handle_timeout`], and what for.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        let (at, timer) = self.timers.next()?;
        let reason = match timer {
            Timer::Client => "registration",
            Timer::Pair(_) => "binding",
        };
        Some((at, reason))
    }

    /// The relay as it is now.
    pub fn status(&self) -> RelayStatus {
        RelayStatus {
            registered: self.client.is_registered(),
            observed: self.client.observed().to_vec(),
            pairs: self.pairs.len(),
        }
    }
}
