//! The Direction Coordinator: knows where every terminal is and tells both
//! ends of a path how to reach each other (paper, sections 2 and 3).
//!
//! This file only takes inputs apart and puts outputs together. The concerns:
//!
//! - `members`: who belongs to the domain; `membership`: changing that.
//! - `sessions`: keys with each node; `registration`: where it is, `presence`:
//!   what is known of that place.
//! - `direction`: the route decision and its exchange; `exchanges`: what is under
//!   way of it; `relays`: tickets.

mod config;
mod direction;
mod event;
mod exchanges;
mod members;
mod membership;
mod presence;
mod registration;
mod relays;
mod sessions;
mod status;
#[cfg(test)]
mod tests;

pub use config::{Clocks, CoordinatorConfig, Member, RelayQuota};
pub use event::{CoordinatorEvent, Failure};
pub use membership::MembershipError;
pub use status::{CoordinatorStatus, MemberStatus, PresenceStatus};

use direction::Directions;
use exchanges::ExchangeId;
use members::{Members, Station};
use sessions::Sessions;

use crate::address::{Leg, Prefix, Vips};
use crate::id::{NodeName, Salt, SessionId};
use crate::machine::{Effect, EffectId, Effects, Gate, Node, Outbox, Outcome, Timers};
use crate::plugin::NodeRecord;
use crate::tunnel::Strays;
use crate::wire::{Handshake1, Header, Kind, Refusal, Signal, SignalBody};
use crate::{Rng, Time};

/// The coordinator machine. See [`crate::machine`] for how to drive it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    node: Node,
    config: CoordinatorConfig,
    rng: Rng,
    domain: Option<Domain>,
    members: Members,
    sessions: Sessions,
    directions: Directions,
    quarantine: Vec<(Vips, u64)>,
    tickets: u64,
    gate: Gate,
    strays: Strays,
    effects: Effects<Why>,
    timers: Timers<Timer>,
    out: Outbox<CoordinatorEvent>,
}

/// What makes a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Domain {
    salt: Salt,
    ranges: Vec<Prefix>,
}

/// What a question to a plugin is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Why {
    Load,
    Start(Domain),
    Lease(Station),
    StoreLease(Station, NodeRecord),
    Plan(ExchangeId),
    AddMember(NodeRecord),
    RemoveMember(NodeRecord, Option<(Vips, u64)>),
    Release(Vips),
    Nothing,
}

impl Why {
    fn leases_to(&self, station: Station) -> bool {
        matches!(self, Self::Lease(to) | Self::StoreLease(to, _) if *to == station)
    }

    /// Whether something may have happened although no answer came in time.
    fn changes_things(&self) -> bool {
        match self {
            Self::Plan(_) | Self::Nothing => false,
            Self::Load
            | Self::Start(_)
            | Self::Lease(_)
            | Self::StoreLease(_, _)
            | Self::AddMember(_)
            | Self::RemoveMember(_, _)
            | Self::Release(_) => true,
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    Directions,
    Effects,
    Load,
    Quarantine,
    Sessions,
    Station(Station),
}

/// A registry that cannot be read is asked again after this.
const LOAD_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Between two looks for sessions that nobody uses.
const SESSION_SWEEP: std::time::Duration = std::time::Duration::from_secs(60);

impl Coordinator {
    /// A coordinator whose first output asks for the registry's contents. Until
    /// they are there, nodes get no answer and try again.
    pub fn new(now: Time, node: Node, config: CoordinatorConfig, mut rng: Rng) -> Self {
        let gate = Gate::new(rng.split());
        let mut effects = Effects::default();
        let _room = effects.ask(now, Effect::Load, Why::Load);
        let mut coordinator = Self {
            node,
            config,
            rng,
            domain: None,
            members: Members::default(),
            sessions: Sessions::default(),
            directions: Directions::default(),
            quarantine: Vec::new(),
            tickets: 0,
            gate,
            strays: Strays::default(),
            effects,
            timers: Timers::default(),
            out: Outbox::default(),
        };
        coordinator.settle(now);
        coordinator
    }

    /// A datagram that arrived by `leg`.
    pub fn handle_datagram(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        // What a stranger sends costs no look at what is under way.
        if self.take_in(now, leg, datagram).is_some() {
            self.settle(now);
        }
    }

    /// Something if it may have changed anything.
    fn take_in(&mut self, now: Time, leg: &Leg, datagram: &[u8]) -> Option<()> {
        match Kind::of(datagram).ok()? {
            Kind::Handshake1 => {
                self.handle_handshake1(now, leg, &Handshake1::parse(datagram).ok()?)?;
            }
            Kind::Signalling => {
                let header = Header::parse(datagram).ok()?;
                if !self.sessions.knows(&SessionId(header.envelope.id)) {
                    self.tell_stray(now, leg, datagram);
                    return None;
                }
                let (station, signal) = self.open(now, leg, &header, datagram)?;
                self.handle_signal(now, station, leg, signal);
            }
            Kind::Capsule
            | Kind::Control
            | Kind::Handshake2
            | Kind::Cookie
            | Kind::Bind
            | Kind::BindAck
            | Kind::UnknownSession
            | Kind::Punch => return None,
        }
        Some(())
    }

    /// A node speaks in a session of before we started, or a stranger.
    fn tell_stray(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        if let Some(notice) = self.strays.answer(now, datagram).filter(|_| self.domain.is_some()) {
            self.out.send(leg.back(), "Unknown Session", notice.emit());
        }
    }

    fn handle_signal(&mut self, now: Time, station: Station, leg: &Leg, signal: Signal) {
        let id = signal.request;
        match signal.body {
            SignalBody::RegistrationRequest(request) => {
                self.handle_registration(now, station, leg, id, request);
            }
            SignalBody::DirectionRequest(request) => {
                self.handle_direction_request(now, station, leg, id, &request);
            }
            SignalBody::KeepAlive { token } => {
                self.handle_keep_alive(now, station, leg, id, token);
            }
            SignalBody::Ack => self.handle_ack(now, station, id),
            SignalBody::Goodbye => self.handle_goodbye(station),
            SignalBody::RegistrationResponse(_)
            | SignalBody::RouteDirection(_)
            | SignalBody::RelayDirection(_)
            | SignalBody::KeepAliveAck { .. }
            | SignalBody::Refusal(_)
            | SignalBody::Revocation { .. } => {}
        }
    }

    /// Adds a member, or changes the one of this name; durable before it counts.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn add_member(&mut self, now: Time, member: Member) -> Result<(), MembershipError> {
        let result = self.store_member(now, member);
        self.settle(now);
        result
    }

    /// Removes a member and ends what connects others with it.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn remove_member(&mut self, now: Time, name: &NodeName) -> Result<(), MembershipError> {
        let result = self.store_removal(now, name);
        self.settle(now);
        result
    }

    /// A plugin's answer.
    pub fn handle_outcome(&mut self, now: Time, id: EffectId, outcome: Outcome) {
        if let Some(why) = self.effects.answered(id) {
            self.answered(now, why, outcome);
            self.settle(now);
        }
    }

    fn answered(&mut self, now: Time, why: Why, outcome: Outcome) {
        match (why, outcome) {
            (Why::Load, Outcome::Loaded(loaded)) => self.loaded(now, loaded),
            (Why::Lease(station), Outcome::Leased(vips)) => self.leased(now, station, vips),
            (Why::Plan(exchange), Outcome::Planned(plan)) => {
                self.planned(now, exchange, Some(plan));
            }
            (why, Outcome::Stored(Err(error))) => self.failed(now, why, Some(&error.to_string())),
            (Why::Start(domain), Outcome::Stored(Ok(()))) => self.ready(domain),
            (Why::StoreLease(station, record), Outcome::Stored(Ok(()))) => {
                self.lease_stored(now, station, record);
            }
            (Why::AddMember(record), Outcome::Stored(Ok(()))) => self.member_added(now, record),
            (Why::RemoveMember(record, quarantine), Outcome::Stored(Ok(()))) => {
                self.member_removed(now, &record, quarantine);
            }
            (Why::Release(vips), Outcome::Stored(Ok(()))) => {
                let _full = self.effects.ask(now, Effect::Release(vips), Why::Nothing);
            }
            (Why::Nothing, _) => {}
            (why, _) => self.failed(now, why, Some("an answer to another question")),
        }
    }

    /// A plugin failed, or did not answer in time.
    fn failed(&mut self, now: Time, why: Why, said: Option<&str>) {
        let failure = |wanted| Failure { wanted, said: said.map(str::to_owned) };
        let wanted = match why {
            Why::Load | Why::Start(_) => {
                // An answer that is only late is waited for.
                if said.is_some() {
                    self.timers.set(Timer::Load, Some(now + LOAD_AGAIN));
                }
                "the registry's contents"
            }
            Why::Lease(station) => {
                self.refuse_waiting(station, Refusal::Failure);
                "virtual addresses for a node"
            }
            Why::StoreLease(station, record) => {
                self.refuse_waiting(station, Refusal::Failure);
                // What is only late may be stored yet, and must not be handed out.
                if let Some(vips) = record.vips.filter(|_| said.is_some()) {
                    let _full = self.effects.ask(now, Effect::Release(vips), Why::Nothing);
                }
                "a lease to be stored"
            }
            Why::Plan(exchange) => return self.planned(now, exchange, None),
            Why::AddMember(NodeRecord { name, .. })
            | Why::RemoveMember(NodeRecord { name, .. }, _) => {
                let failure = failure("a member to be stored");
                return self.out.event(CoordinatorEvent::MemberNotStored { name, failure });
            }
            Why::Release(_) | Why::Nothing => "addresses to be released",
        };
        self.out.event(CoordinatorEvent::Failure(failure(wanted)));
    }

    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Directions => self.resend(now),
                Timer::Effects => {
                    for why in self.effects.expired(now, Why::changes_things) {
                        self.failed(now, why, None);
                    }
                }
                Timer::Load => {
                    self.timers.set(Timer::Load, None);
                    let _room = self.effects.ask(now, Effect::Load, Why::Load);
                }
                Timer::Quarantine => self.release_quarantined(now),
                Timer::Sessions => self.drop_idle_sessions(now),
                Timer::Station(station) => self.station_timeout(now, station),
            }
            self.settle(now);
        }
    }

    fn drop_idle_sessions(&mut self, now: Time) {
        for (id, station) in self.sessions.idle(now) {
            self.end_session(id);
            if let Some(state) = self.members.station(station) {
                state.half_open.retain(|half| *half != id);
                state.session.take_if(|session| *session == id);
            }
        }
        self.timers.set(Timer::Sessions, None);
    }

    /// Sets the clocks.
    fn settle(&mut self, now: Time) {
        self.timers.set(Timer::Directions, self.directions.deadline());
        self.timers.set(Timer::Effects, self.effects.deadline());
        self.timers.set(Timer::Quarantine, self.quarantine_deadline());
        if self.sessions.is_empty() {
            self.timers.set(Timer::Sessions, None);
        } else if !self.timers.is_set(&Timer::Sessions) {
            self.timers.set(Timer::Sessions, Some(now + SESSION_SWEEP));
        }
    }

    /// Sets the clock of a station.
    fn watch(&mut self, station: Station) {
        let presence = self.members.presence(station);
        let at = presence.map(|p| p.lapses().map_or(p.expires, |lapses| lapses.min(p.expires)));
        self.timers.set(Timer::Station(station), at);
    }

    /// Says something to a station where it registered from last; whether it
    /// could.
    fn tell(&mut self, to: Station, signal: &Signal) -> bool {
        let leg = self.members.presence(to).map(|presence| presence.leg);
        leg.is_some_and(|leg| self.tell_at(to, &leg, signal))
    }

    /// Says something to a station at a place it has just spoken from: as much
    /// as one may say there before the place is proved. Somebody else may have
    /// sent from there what he had captured.
    fn tell_at(&mut self, to: Station, leg: &Leg, signal: &Signal) -> bool {
        let session = self.members.session_of(to);
        let Some(datagram) = session.and_then(|id| self.sessions.seal(&id, signal)) else {
            return false;
        };
        let observed = self.observe(leg);
        let proved = self.members.presence(to).is_some_and(|p| p.is_proved_at(&observed));
        let allowed = proved
            || self.members.station(to).is_some_and(|state| state.spend(leg, datagram.len()));
        if allowed {
            self.out.send(leg.back(), signal.body.name(), datagram);
        }
        allowed
    }

    /// The next datagram to send, written to `buffer`, and the way it takes.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>) -> Option<Leg> {
        self.out.poll_transmit(buffer)
    }

    /// The next question to a plugin.
    pub fn poll_effect(&mut self) -> Option<(EffectId, Effect)> {
        self.effects.poll()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<CoordinatorEvent> {
        self.out.poll_event()
    }

    /// When to call [`Coordinator::handle_timeout`], and what for.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        let (at, timer) = self.timers.next()?;
        let reason = match timer {
            Timer::Directions => "Route Direction",
            Timer::Effects => "plugin",
            Timer::Load => "registry",
            Timer::Quarantine => "quarantine",
            Timer::Sessions => "idle sessions",
            Timer::Station(_) => "registration",
        };
        Some((at, reason))
    }
}
