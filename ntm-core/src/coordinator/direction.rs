//! The route decision, and telling both ends of it.

use std::time::Duration;

use super::exchanges::{Exchange, ExchangeId, Exchanges, Outstanding, Places, Unacknowledged};
use super::members::Station;
use super::relays::Relay;
use super::{Coordinator, CoordinatorEvent, Failure, Why};
use crate::Time;
use crate::address::Leg;
use crate::id::{PathId, PublicKey, Side};
use crate::machine::{Backoff, Effect, Rtt};
use crate::plugin::{Begin, MemberRole, NodeRecord, Plan, PlanRequest, PluginError};
use crate::wire::{
    DirectionRequest, PathRef, PeerInfo, Reason, Refusal, RelayDirection, RequestId,
    RouteDirection, Signal, SignalBody, Target,
};

/// Directions under way or remembered at once.
const MOST_EXCHANGES: usize = 65_536;
/// Of these, begun by one node.
const MOST_OF_ONE: usize = 1024;
/// Of these, those that the other end has not acknowledged.
const MOST_UNDER_WAY: usize = 64;
/// Of one pair.
const MOST_OF_PAIR: usize = 64;
/// Copies of a direction before its receiver counts as absent, which the asker
/// hears while it still asks: 8 s.
const MOST_COPIES: u32 = 5;
/// The directions under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Directions {
    exchanges: Exchanges,
    /// Messages that wait for an acknowledgement.
    unacknowledged: Outstanding,
}

fn terminal(key: PublicKey) -> Station {
    Station { key, role: MemberRole::Terminal }
}

impl Directions {
    pub(super) fn deadline(&self) -> Option<Time> {
        let both = [self.unacknowledged.deadline(), self.exchanges.deadline()];
        both.into_iter().flatten().min()
    }

    /// Drops what is under way for a path: something newer takes its place.
    fn supersede(&mut self, path: PathId) {
        for id in self.unacknowledged.of_path(path) {
            self.unacknowledged.remove(id);
        }
        let kept = |e: &Exchange| e.answers.is_some() && e.answered.is_some();
        let over = self.exchanges.of_path(path).filter(|(_, exchange)| !kept(exchange));
        for id in over.map(|(id, _)| id).collect::<Vec<_>>() {
            self.exchanges.remove(id);
        }
    }

    /// Drops what concerns a node that is no member any more.
    pub(super) fn forget(&mut self, key: &PublicKey) {
        self.exchanges.forget(key);
        for role in [MemberRole::Terminal, MemberRole::Relay] {
            for id in self.unacknowledged.of_station(Station { role, key: *key }) {
                self.unacknowledged.remove(id);
            }
        }
    }
}

impl Coordinator {
    pub(super) fn handle_direction_request(
        &mut self,
        now: Time,
        station: Station,
        leg: &Leg,
        id: RequestId,
        request: &DirectionRequest,
    ) {
        if let Some(exchange) = self.directions.exchanges.answering(station.key, id) {
            if let Some(direction) =
                exchange.for_initiator.clone().filter(|_| exchange.answered.is_some())
            {
                let body = SignalBody::RouteDirection(direction);
                self.tell_at(station, leg, &Signal { request: id, body });
            }
            return;
        }
        match self.admit(station, request) {
            Ok((path, responder)) => {
                self.begin(now, path, station.key, responder, Reason::Start, Some(id));
            }
            Err(refusal) => self.refuse(station, leg, id, refusal),
        }
    }

    fn refuse(&mut self, station: Station, leg: &Leg, request: RequestId, refusal: Refusal) {
        if let Some(record) = self.members.get(&station.key) {
            let name = record.name.clone();
            self.out.event(CoordinatorEvent::Refused { name, refusal });
        }
        let body = SignalBody::Refusal(refusal);
        self.tell_at(station, leg, &Signal { request, body });
    }

    /// Whether the asker may have this direction, and for which path to whom.
    fn admit(
        &self,
        station: Station,
        request: &DirectionRequest,
    ) -> Result<(PathId, PublicKey), Refusal> {
        if station.role != MemberRole::Terminal || self.members.presence(station).is_none() {
            return Err(Refusal::Unregistered);
        }
        let asker = self.members.get(&station.key).ok_or(Refusal::Unregistered)?;
        let target = self.members.find(&request.target).ok_or(Refusal::Unknown)?;
        let path = self.path_of(asker, target)?;
        if request.path.is_some_and(|claimed| claimed != path) {
            return Err(Refusal::WrongPath);
        }
        if self.members.presence(terminal(target.key)).is_none() {
            return Err(Refusal::Absent);
        }
        let exchanges = &self.directions.exchanges;
        let begun = exchanges.begun_by(&station.key);
        if begun.under_way >= MOST_UNDER_WAY
            || begun.all >= MOST_OF_ONE
            || exchanges.of_path(path).count() >= MOST_OF_PAIR
            || exchanges.len() >= MOST_EXCHANGES
        {
            return Err(Refusal::Busy);
        }
        Ok((path, target.key))
    }

    /// The Path ID of two members, if they may talk: all terminals of the domain
    /// may.
    fn path_of(&self, one: &NodeRecord, other: &NodeRecord) -> Result<PathId, Refusal> {
        let both = [one, other];
        if !both.iter().all(|record| record.roles.contains(MemberRole::Terminal)) {
            return Err(Refusal::Forbidden);
        }
        let domain = self.domain.as_ref().ok_or(Refusal::Failure)?;
        let (one, other) = (one.vips.ok_or(Refusal::Absent)?, other.vips.ok_or(Refusal::Absent)?);
        PathId::derive(&domain.salt, &one, &other).map(|(path, _)| path).ok_or(Refusal::Unknown)
    }

    /// A terminal has registered: its tunnels are directed anew, and so is what
    /// named its old location in the last seconds.
    pub(super) fn direct_after_move(
        &mut self,
        now: Time,
        station: Station,
        asked: &[PathRef],
        moved: bool,
    ) {
        let mut pairs: Vec<(PathId, PublicKey)> = Vec::new();
        for reference in asked {
            let Some(own) = self.members.get(&station.key) else { return };
            let Some(peer) = self.members.find(&Target::Vip(reference.peer)) else { continue };
            let pair = (reference.path, peer.key);
            if self.path_of(own, peer) == Ok(reference.path) && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        if moved && let Some(state) = self.members.station(station) {
            for recent in state.recent(now) {
                if !pairs.iter().any(|(path, _)| *path == recent.path) {
                    pairs.push((recent.path, recent.peer));
                }
            }
        }
        for (path, peer) in pairs {
            if self.members.presence(terminal(peer)).is_some()
                && self.directions.exchanges.len() < MOST_EXCHANGES
                && self.members.station(station).is_some_and(|state| state.may_direct(now))
            {
                self.redirect(now, path, station.key, peer);
            }
        }
    }

    /// Directs a pair whose ends are where they were not before. A request that
    /// is under way is answered from the new location too.
    fn redirect(&mut self, now: Time, path: PathId, mover: PublicKey, peer: PublicKey) {
        let open = self
            .directions
            .exchanges
            .of_path(path)
            .find(|(_, exchange)| exchange.answers.is_some() && exchange.answered.is_none())
            .map(|(_, exchange)| exchange.clone());
        self.directions.supersede(path);
        match open {
            Some(open) => {
                let (initiator, responder) = (open.initiator, open.responder);
                self.begin(now, path, initiator, responder, open.reason, open.answers);
            }
            None => self.begin(now, path, mover, peer, Reason::Move, None),
        }
    }

    fn begin(
        &mut self,
        now: Time,
        path: PathId,
        initiator: PublicKey,
        responder: PublicKey,
        reason: Reason,
        answers: Option<RequestId>,
    ) {
        let location = |key| {
            let presence = self.members.presence(terminal(key));
            presence.map(|presence| presence.location.clone()).unwrap_or_default()
        };
        let relays = self.relays_for(path);
        let request = PlanRequest {
            initiator: location(initiator),
            responder: location(responder),
            relays: relays.iter().map(Relay::option).collect(),
        };
        let id = self.directions.exchanges.add(Exchange {
            path,
            initiator,
            responder,
            reason,
            answers,
            places: self.places(initiator, responder),
            relays,
            for_initiator: None,
            answered: None,
            began: now,
        });
        if self.effects.ask(now, Effect::Plan(request), Why::Plan(id)).is_err() {
            self.planned(now, id, None);
        }
    }

    fn places(&self, initiator: PublicKey, responder: PublicKey) -> Places {
        [initiator, responder].map(|key| {
            let presence = self.members.presence(terminal(key))?;
            Some((presence.epoch, presence.location.observed.len()))
        })
    }

    /// The traversal plugin has answered, or has not (`None`): then the relay.
    pub(super) fn planned(
        &mut self,
        now: Time,
        id: ExchangeId,
        plan: Option<Result<Plan, PluginError>>,
    ) {
        let Some(exchange) = self.directions.exchanges.get(id) else { return };
        let Exchange { path, initiator, responder, reason, answers, .. } = *exchange;
        if exchange.places != self.places(initiator, responder) {
            // A plan for where they were says nothing of where they are.
            self.directions.exchanges.remove(id);
            return self.begin(now, path, initiator, responder, reason, answers);
        }
        let (relays, is_move) = (exchange.relays.len(), exchange.reason == Reason::Move);
        let by_relay = || Plan {
            to_initiator: Vec::new(),
            to_responder: Vec::new(),
            begin: Begin::Initiator,
            relays: (0..relays.min(RouteDirection::MOST_RELAYS)).collect(),
            pacing: Duration::from_millis(20),
        };
        let error = match plan {
            Some(Ok(mut plan)) => {
                plan.relays.retain(|at| *at < relays);
                return self.direct(now, id, plan);
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        let failure = Failure::new("a plan for a pair", error.as_ref());
        self.out.event(CoordinatorEvent::Failure(failure));
        if is_move {
            // A tunnel that works is not sent to a relay by a failure. If it does
            // not work, its ends will ask.
            self.directions.exchanges.remove(id);
        } else {
            self.direct(now, id, by_relay());
        }
    }

    fn direct(&mut self, now: Time, id: ExchangeId, plan: Plan) {
        let Some(exchange) = self.directions.exchanges.get(id).cloned() else { return };
        let leads_nowhere =
            plan.to_initiator.is_empty() && plan.to_responder.is_empty() && plan.relays.is_empty();
        let directions = if leads_nowhere { None } else { self.both_ways(now, &exchange, &plan) };
        let Some((for_initiator, for_responder)) = directions else {
            self.directions.exchanges.remove(id);
            if let (Some(request), Some(presence)) =
                (exchange.answers, self.members.presence(terminal(exchange.initiator)))
            {
                let leg = presence.leg;
                self.refuse(terminal(exchange.initiator), &leg, request, Refusal::NoPath);
            }
            return;
        };
        let (path, relayed) = (exchange.path, !plan.relays.is_empty());
        self.out.event(CoordinatorEvent::Directed { path, relayed });
        for (one, other) in
            [(exchange.initiator, exchange.responder), (exchange.responder, exchange.initiator)]
        {
            if let Some(state) = self.members.station(terminal(one)) {
                state.remember(now, path, other);
            }
        }
        if exchange.reason == Reason::Start {
            self.announce(now, path, &for_initiator);
        }
        let responder = terminal(exchange.responder);
        let initiator = terminal(exchange.initiator);
        if exchange.answers.is_some() {
            // The paper's order: CN first; MN when CN has acknowledged.
            self.directions.exchanges.keep_for_initiator(id, for_initiator);
            self.tell_surely(now, responder, path, for_responder, Some(id));
        } else {
            self.directions.exchanges.remove(id);
            self.tell_surely(now, initiator, path, for_initiator, None);
            self.tell_surely(now, responder, path, for_responder, None);
        }
    }

    /// Tells the relays to expect the pair; nobody waits for it.
    fn announce(&mut self, now: Time, path: PathId, direction: &RouteDirection) {
        for grant in &direction.relays {
            let serial = grant.ticket.serial;
            let body = SignalBody::RelayDirection(RelayDirection { path, serial, revoke: false });
            if let Some(relay) = self.relay_station(grant.relay()) {
                self.tell_surely_body(now, relay, path, body, None);
            }
        }
    }

    fn both_ways(
        &mut self,
        now: Time,
        exchange: &Exchange,
        plan: &Plan,
    ) -> Option<(RouteDirection, RouteDirection)> {
        let initiator = self.members.get(&exchange.initiator)?.clone();
        let responder = self.members.get(&exchange.responder)?.clone();
        let domain = self.domain.as_ref()?;
        let (_, side) = PathId::derive(&domain.salt, &initiator.vips?, &responder.vips?)?;
        let tickets: Vec<_> = plan
            .relays
            .iter()
            .take(RouteDirection::MOST_RELAYS)
            .filter_map(|at| exchange.relays.get(*at))
            .cloned()
            .collect();
        let tickets: Vec<_> = tickets
            .into_iter()
            .map(|relay| {
                let (lower, higher) = match side {
                    Side::Lower => (&initiator.key, &responder.key),
                    Side::Higher => (&responder.key, &initiator.key),
                };
                let ticket = self.ticket(now, &relay, exchange.path, lower, higher);
                (relay, ticket)
            })
            .collect();
        let there = self.members.presence(terminal(initiator.key))?;
        let here = self.members.presence(terminal(responder.key))?;
        let describe = |own: &NodeRecord, peer: &NodeRecord, is_initiator: bool| {
            let (own_presence, peer_presence) =
                if is_initiator { (there, here) } else { (here, there) };
            let own_side = if is_initiator { side } else { side.other() };
            let begins =
                plan.begin == if is_initiator { Begin::Initiator } else { Begin::Responder };
            let candidates = if is_initiator { &plan.to_responder } else { &plan.to_initiator };
            let relays = tickets.iter().map(|(relay, ticket)| relay.grant(ticket, own_side));
            Some(RouteDirection {
                path: exchange.path,
                begin: begins,
                unproved: !peer_presence.is_proved(),
                peer_asked: !is_initiator,
                reason: exchange.reason,
                own: own.vips?,
                own_epoch: own_presence.epoch,
                peer: PeerInfo { name: peer.name.clone(), key: peer.key, vips: peer.vips? },
                peer_epoch: peer_presence.epoch,
                candidates: candidates
                    .iter()
                    .take(RouteDirection::MOST_CANDIDATES)
                    .copied()
                    .collect(),
                pacing: plan.pacing,
                relays: relays.collect(),
            })
        };
        Some((describe(&initiator, &responder, true)?, describe(&responder, &initiator, false)?))
    }

    fn tell_surely(
        &mut self,
        now: Time,
        to: Station,
        path: PathId,
        direction: RouteDirection,
        then: Option<ExchangeId>,
    ) {
        self.tell_surely_body(now, to, path, SignalBody::RouteDirection(direction), then);
    }

    /// Says something until it is acknowledged.
    pub(super) fn tell_surely_body(
        &mut self,
        now: Time,
        to: Station,
        path: PathId,
        body: SignalBody,
        then: Option<ExchangeId>,
    ) {
        let id = RequestId::of_coordinator(self.rng.number());
        let backoff = Backoff::patient(now, &Rtt::default());
        let waiting = Unacknowledged { to, body, backoff, then, path, unsaid: true };
        self.directions.unacknowledged.add(id, waiting);
        self.say(now, id);
    }

    pub(super) fn handle_ack(&mut self, now: Time, station: Station, id: RequestId) {
        let waiting = self.directions.unacknowledged.get(id);
        if waiting.is_none_or(|waiting| waiting.to != station) {
            return;
        }
        let Some(done) = self.directions.unacknowledged.remove(id) else { return };
        let answered = done.then.and_then(|id| self.directions.exchanges.answered(now, id));
        let Some(exchange) = answered else { return };
        if let (Some(request), Some(direction)) = (exchange.answers, exchange.for_initiator.clone())
        {
            let to = terminal(exchange.initiator);
            let body = SignalBody::RouteDirection(direction);
            self.tell(to, &Signal { request, body });
        }
    }

    /// The station has proved where it is: it is told what it could not be told
    /// there before.
    pub(super) fn tell_what_waited(&mut self, now: Time, station: Station) {
        for id in self.directions.unacknowledged.of_station(station) {
            self.directions.unacknowledged.change(id, |waiting| {
                if waiting.unsaid {
                    waiting.backoff = Backoff::patient(now, &Rtt::default());
                }
            });
        }
        self.resend(now);
    }

    /// Repeats what has not been acknowledged, and gives up on who is silent.
    pub(super) fn resend(&mut self, now: Time) {
        for request in self.directions.unacknowledged.due(now) {
            let Some(waiting) = self.directions.unacknowledged.get(request) else { continue };
            if waiting.backoff.copies() >= MOST_COPIES {
                let given_up = self.directions.unacknowledged.remove(request);
                self.given_up(given_up.and_then(|waiting| waiting.then));
                continue;
            }
            self.say(now, request);
        }
        self.directions.exchanges.forget_past(now);
    }

    fn say(&mut self, now: Time, request: RequestId) {
        let rng = &mut self.rng;
        let told = self.directions.unacknowledged.change(request, |waiting| {
            waiting.backoff.sent(now, rng);
            (waiting.to, waiting.body.clone())
        });
        let Some((to, body)) = told else { return };
        if self.tell(to, &Signal { request, body }) {
            self.directions.unacknowledged.change(request, |waiting| waiting.unsaid = false);
        }
    }

    /// The responder does not answer: so the initiator learns.
    fn given_up(&mut self, exchange: Option<ExchangeId>) {
        let Some(exchange) = exchange.and_then(|id| self.directions.exchanges.remove(id)) else {
            return;
        };
        let initiator = terminal(exchange.initiator);
        if let (Some(request), Some(presence)) =
            (exchange.answers, self.members.presence(initiator))
        {
            let leg = presence.leg;
            self.refuse(initiator, &leg, request, Refusal::Absent);
        }
    }
}
