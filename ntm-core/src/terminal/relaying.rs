//! Relays: showing them our tickets, telling them when we move, and noticing
//! when they are gone.

use std::time::Duration;

use super::cx::{Ask, Cx};
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::{Candidate, Leg};
use crate::crypto::Secret;
use crate::id::Epoch;
use crate::machine::Backoff;
use crate::wire::{Bind, BindAck, BindStatus, RelayGrant, RelayId, Token};

/// Relays known for one tunnel.
const MOST_RELAYS: usize = 4;
/// Keys of earlier grants of a relay under which its answer still counts.
const MOST_KEYS_BEFORE: usize = 16;
/// A binding is refreshed this often, give or take a tenth.
const REFRESH: Duration = Duration::from_secs(25);
/// Unanswered Binds after which a relay is taken for dead,
const PATIENCE: u32 = 4;
/// and not before it has been silent for this long: on a loaded uplink answers
/// take many times the round trip of before.
const SILENCE: Duration = Duration::from_secs(2);
/// A relay that said no is not asked again before this, unless the coordinator
/// grants it anew: two that both refuse would be tried in turn for ever.
const REST: Duration = Duration::from_secs(4);
/// After a direction the peer may still begin for this long.
const AWAITED: Duration = Duration::from_secs(15);
/// A direct path that has worked this long needs no relay beside it.
const KEEP_WARM: Duration = Duration::from_secs(10);
/// A relayed tunnel asks for fresh tickets this long after the last ones.
const TICKET_AGE: Duration = Duration::from_secs(300);

/// A relay that the coordinator has granted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RelayUse {
    grant: RelayGrant,
    /// Keys of grants before this one under which an answer may be under way, the
    /// newest first: the last, and while a question is open all since it was asked.
    keys_before: Vec<Secret>,
    /// The way that it knows us by.
    pub(super) leg: Leg,
    granted: Time,
    /// The newest direction names it. What it does not name is known as a relay
    /// still: the peer may go on using it.
    offered: bool,
    state: Binding,
    /// The relay's last challenge, to be returned.
    token: Option<Token>,
    /// Another way that it is asked by, and what it has to echo from there.
    trial: Option<Trial>,
}

/// Whether a relay hears us by another transport, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Trial {
    nonce: Token,
    /// Its challenge that has been returned from there.
    returned: Option<Token>,
}

/// Whether the relay knows where we are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Binding {
    /// Not used.
    Idle,
    /// A Bind is under way; `bound` was the epoch before it, if any.
    Asked { backoff: Backoff, nonce: Token, bound: Option<Epoch> },
    /// It knows our address of this epoch.
    Bound { epoch: Epoch, refresh_at: Time },
    /// It said no, or nothing.
    Failed { at: Time },
}

impl RelayUse {
    fn relay(&self) -> RelayId {
        self.grant.relay()
    }

    /// Whether it listens there, at whichever of its addresses.
    fn listens_at(&self, leg: &Leg) -> bool {
        let named = |candidate: &Candidate| candidate.addr == leg.remote;
        self.leg.same_remote(leg) || self.grant.candidates.iter().any(named)
    }

    /// The keys of grants before this new one under which an answer may be under way:
    /// several directions may come while one answer does.
    fn keys_before(&self, new: &RelayGrant) -> Vec<Secret> {
        let is_asked = matches!(self.state, Binding::Asked { .. });
        let most = if is_asked { MOST_KEYS_BEFORE } else { 1 };
        let superseded = (self.grant.key != new.key).then_some(self.grant.key);
        superseded.into_iter().chain(self.keys_before.iter().copied()).take(most).collect()
    }

    fn is_usable(&self) -> bool {
        match &self.state {
            Binding::Idle | Binding::Failed { .. } => false,
            Binding::Asked { .. } | Binding::Bound { .. } => true,
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self.state, Binding::Failed { .. })
    }

    /// Whether it has said no, or nothing, just now.
    fn rests(&self, now: Time) -> bool {
        matches!(self.state, Binding::Failed { at } if now.since(at) < REST)
    }

    /// Whether the relay knows the address that we have now.
    fn is_bound_at(&self, now_epoch: Epoch) -> bool {
        match &self.state {
            Binding::Bound { epoch, .. } => *epoch == now_epoch,
            Binding::Asked { bound, .. } => *bound == Some(now_epoch),
            Binding::Idle | Binding::Failed { .. } => false,
        }
    }
}

/// The way to a relay: as before while that leads there.
fn leg_to_relay(cx: &Cx<'_>, grant: &RelayGrant, before: Option<Leg>) -> Option<Leg> {
    let legs = cx.legs_to(&grant.candidates);
    let reached = |leg: &&Leg| cx.surroundings.may_reach(leg.remote.ip());
    let as_before = |leg: &&Leg| before.is_some_and(|before| before.same_remote(leg));
    let kept = legs.iter().find(|leg| as_before(leg) && reached(leg));
    kept.or_else(|| legs.iter().find(reached)).or(legs.first()).copied()
}

impl Tunnel {
    /// Takes over the relays of a direction: the first is the one to use.
    pub(super) fn grant_relays(&mut self, cx: &mut Cx<'_>, grants: &[RelayGrant]) {
        for at in 0..self.relays.len() {
            let id = self.relays[at].relay();
            if let Some(grant) = grants.iter().find(|grant| grant.relay() == id) {
                self.reach(cx, at, grant);
            }
        }
        let mut before = std::mem::take(&mut self.relays);
        for grant in grants {
            let known = before.iter().position(|relay| relay.relay() == grant.relay());
            let known = known.map(|at| before.remove(at));
            let before = known.as_ref().map(|known| known.leg);
            let now = leg_to_relay(cx, grant, before);
            // Without an address just now we go on knowing that it is a relay.
            let any = || grant.candidates.iter().find_map(|c| cx.node.leg_to(c));
            let Some(leg) = now.or(before).or_else(any) else { continue };
            let (state, token, keys_before) = match known {
                Some(known) if known.leg == leg && !known.has_failed() => {
                    let keys = known.keys_before(grant);
                    (known.state, known.token, keys)
                }
                Some(_) | None => (Binding::Idle, None, Vec::new()),
            };
            let (grant, granted) = (grant.clone(), cx.now);
            let relay = grant.relay();
            let offered = now.is_some() || before.is_some();
            let trial = None;
            let relay_use =
                RelayUse { grant, keys_before, leg, granted, offered, state, token, trial };
            self.relays.push(relay_use);
            self.remotes.note(cx.now, &leg, Some(relay), self.selected.map(|s| s.leg));
        }
        // Others stay, even if the coordinator would choose these now, unless another
        // relay has taken their place; the one in use before all.
        let in_use = |relay: &RelayUse| self.is_selected(&relay.leg);
        before.sort_by_key(|relay| (!in_use(relay), !relay.is_usable()));
        before.retain(|old| !self.relays.iter().any(|new| new.listens_at(&old.leg)));
        let kept = before.into_iter().map(|relay| RelayUse { offered: false, ..relay });
        self.relays.extend(kept);
        self.relays.truncate(MOST_RELAYS);
        self.forget_ways_of_past_relays();
        // Another relay in the place of the one in use, reached by another address.
        if let Some(leg) = self.selected.map(|selected| selected.leg)
            && self.remotes.get(&leg).is_none()
            && self.relay_at(&leg).is_some()
        {
            self.select(cx, &leg, None);
        }
    }

    fn forget_ways_of_past_relays(&mut self) {
        let relays = &self.relays;
        let is_past = |id: &RelayId| relays.iter().all(|relay| relay.relay() != *id);
        let past = self.remotes.iter().filter(|remote| remote.relay.as_ref().is_some_and(is_past));
        let past: Vec<Leg> = past.map(|remote| remote.leg).collect();
        self.remotes.retain(|remote| !past.contains(&remote.leg));
        if let Some(attempt) = &mut self.attempt {
            attempt.forget(&past);
        }
    }

    /// Forgets relays that the newest direction did not name.
    pub(super) fn forget_past_relays(&mut self) {
        self.relays.retain(|relay| relay.offered);
        self.forget_ways_of_past_relays();
    }

    /// Finds relays of IPv4 by the translator of a network of IPv6 alone.
    pub(super) fn translate_relays(&mut self, cx: &mut Cx<'_>) {
        if self.relays.iter().any(|relay| relay.leg.remote.is_ipv4()) {
            let grants: Vec<_> = self.relays.iter().map(|relay| relay.grant.clone()).collect();
            self.grant_relays(cx, &grants);
            self.bind_relays(cx);
        }
    }

    /// Makes ourselves known to every granted relay that does not know us here.
    pub(super) fn bind_relays(&mut self, cx: &mut Cx<'_>) {
        for at in 0..self.relays.len() {
            let under_way = matches!(self.relays[at].state, Binding::Asked { .. });
            let rests = self.relays[at].rests(cx.now);
            let wanted = self.relays[at].offered || self.relays[at].is_usable();
            if wanted && !under_way && !rests && !self.relays[at].is_bound_at(cx.epoch) {
                self.ask(cx, at, None);
            }
        }
    }

    /// Every relay that knows us has to be told that we have moved. What is sent
    /// through it next tells it; [`send_due_binds`](Self::send_due_binds) tells
    /// the others.
    pub(super) fn rebind(&mut self, cx: &mut Cx<'_>) {
        for at in 0..self.relays.len() {
            if self.relays[at].is_usable() {
                let grant = self.relays[at].grant.clone();
                self.reach(cx, at, &grant);
                // What it asked of us while the link was tried proves it now.
                self.relays[at].token = self.token_for(&self.relays[at].leg);
                self.open_bind(cx, at);
            }
        }
    }

    /// Reaches a relay by another of its addresses, if the one in use leads there no
    /// more. What a tunnel points to is where the relay is told of us.
    fn reach(&mut self, cx: &mut Cx<'_>, at: usize, grant: &RelayGrant) {
        let before = self.relays[at].leg;
        let Some(leg) = leg_to_relay(cx, grant, Some(before)) else { return };
        if leg.same_remote(&before) {
            return;
        }
        let relay = &mut self.relays[at];
        (relay.leg, relay.state, relay.token) = (leg, Binding::Idle, None);
        self.remotes.relocate(&before, &leg);
        if self.is_selected(&before) {
            self.select(cx, &leg, None);
        }
    }

    /// The relay at the other end of this leg, if one listens there, seems to have
    /// forgotten us: the next datagram through it tells it, and so do we.
    pub(super) fn bind_anew(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        let at = self.relays.iter().position(|relay| relay.leg.same_remote(leg));
        if let Some(at) = at.filter(|at| self.relays[*at].is_usable()) {
            self.relays[at].token = None;
            self.relays[at].state = Binding::Idle;
            self.ask(cx, at, None);
        }
    }

    /// The relay, if one listens at the other end of this leg.
    pub(super) fn relay_at(&self, leg: &Leg) -> Option<RelayId> {
        self.relays.iter().find(|relay| relay.listens_at(leg)).map(RelayUse::relay)
    }

    /// The way that something came by; through a relay, the one that we take to it.
    pub(super) fn came_by(&self, leg: &Leg) -> Leg {
        if self.relays.iter().any(|relay| relay.leg.same_remote(leg)) {
            return *leg;
        }
        self.relays.iter().find(|relay| relay.listens_at(leg)).map_or(*leg, |relay| relay.leg)
    }

    /// Whether the coordinator would name the relay at this leg before the one at
    /// the other.
    pub(super) fn comes_first(&self, leg: &Leg, other: &Leg) -> bool {
        let path = u128::from_be_bytes(*self.path.as_bytes());
        let rank = |leg| self.relay_at(leg).map(|id| u128::from_be_bytes(id.0) ^ path);
        matches!((rank(leg), rank(other)), (Some(one), Some(other)) if one < other)
    }

    /// The ways through relays that know us or are just being told, the one to
    /// use first.
    pub(super) fn relay_legs(&self) -> Vec<Leg> {
        self.relays.iter().filter(|relay| relay.is_usable()).map(|relay| relay.leg).collect()
    }

    /// Starts a Bind with everything that makes it reliable.
    fn ask(&mut self, cx: &mut Cx<'_>, at: usize, carried: Option<(&'static str, Vec<u8>)>) {
        self.open_bind(cx, at);
        self.send_bind(cx, at, carried);
    }

    fn open_bind(&mut self, cx: &mut Cx<'_>, at: usize) {
        let rtt = self.remotes.get(&self.relays[at].leg).map(|r| r.rtt).unwrap_or_default();
        let relay = &mut self.relays[at];
        let bound = match &relay.state {
            Binding::Bound { epoch, .. } => Some(*epoch),
            Binding::Asked { bound, .. } => *bound,
            Binding::Idle | Binding::Failed { .. } => None,
        };
        let backoff = Backoff::urgent(cx.now, &rtt);
        relay.state = Binding::Asked { backoff, nonce: cx.rng.bytes(), bound };
    }

    fn send_bind(&mut self, cx: &mut Cx<'_>, at: usize, carried: Option<(&'static str, Vec<u8>)>) {
        let relay = &mut self.relays[at];
        let Binding::Asked { nonce, backoff, .. } = &mut relay.state else { return };
        let nonce = *nonce;
        if backoff.is_due(cx.now) {
            backoff.sent(cx.now, cx.rng);
        }
        let (name, carried) = match carried {
            Some((_, datagram)) => ("Bind with message", datagram),
            None => ("Bind", Vec::new()),
        };
        let bind = Bind {
            path: self.path,
            side: self.side,
            ticket: relay.grant.ticket.clone(),
            epoch: cx.epoch,
            nonce,
            token: relay.token,
            carried,
        };
        let datagram = bind.emit(&relay.grant.key);
        cx.out.send(relay.leg, name, datagram);
    }

    /// Asks a relay that knows us whether it hears us by another link, too: it
    /// takes no Bind of the same epoch from elsewhere for a move.
    pub(super) fn try_relay(&self, cx: &mut Cx<'_>, leg: &Leg, nonce: Token) {
        let relay = self.relays.iter().find(|relay| relay.leg.same_remote(leg));
        let Some(relay) = relay.filter(|relay| relay.is_bound_at(cx.epoch)) else { return };
        let bind = Bind {
            path: self.path,
            side: self.side,
            ticket: relay.grant.ticket.clone(),
            epoch: cx.epoch,
            nonce,
            token: None,
            carried: Vec::new(),
        };
        cx.out.send(*leg, "Bind", bind.emit(&relay.grant.key));
    }

    /// Whether what goes this way needs a Bind around it.
    pub(super) fn needs_bind(&self, cx: &Cx<'_>, leg: &Leg) -> bool {
        let relay = self.relays.iter().find(|relay| relay.leg.same_remote(leg));
        self.remotes.get(leg).is_some_and(|remote| remote.relay.is_some())
            && !relay.is_some_and(|relay| relay.is_bound_at(cx.epoch))
    }

    /// Sends a datagram for the peer through a relay; one that does not know our
    /// present address gets it inside a Bind.
    pub(super) fn emit_relayed(
        &mut self,
        cx: &mut Cx<'_>,
        relay: RelayId,
        name: &'static str,
        datagram: Vec<u8>,
    ) {
        let Some(at) = self.relays.iter().position(|known| known.relay() == relay) else { return };
        if self.relays[at].is_bound_at(cx.epoch) {
            cx.out.send(self.relays[at].leg, name, datagram);
        } else if matches!(self.relays[at].state, Binding::Asked { .. }) {
            self.send_bind(cx, at, Some((name, datagram)));
        } else {
            self.ask(cx, at, Some((name, datagram)));
        }
    }

    /// The relay's answer.
    pub(super) fn handle_bind_ack(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        ack: &BindAck,
        datagram: &[u8],
    ) {
        // One that was asked by a translator answers from where nobody has named it.
        let answers = |relay: &RelayUse| {
            relay.listens_at(leg) || relay.trial.is_some_and(|trial| trial.nonce == ack.nonce)
        };
        let Some(at) = self.relays.iter().position(answers) else { return };
        let relay = &self.relays[at];
        let genuine = |key: &Secret| BindAck::is_genuine(datagram, key);
        let from_relay = genuine(&relay.grant.key) || relay.keys_before.iter().any(genuine);
        if ack.side != self.side || !from_relay {
            return;
        }
        cx.out.received(leg, "Bind Ack", datagram.len());
        if ack.epoch == cx.epoch && self.note_tried(cx, &ack.nonce, ack.challenge) {
            return;
        }
        let relay = &mut self.relays[at];
        if !relay.leg.same_remote(leg) {
            return self.handle_trial_ack(cx, at, leg, ack);
        }
        // An answer to the question that is open, and to no other.
        let Binding::Asked { backoff, nonce, .. } = &relay.state else { return };
        if ack.epoch != cx.epoch || ack.nonce != *nonce {
            return;
        }
        if backoff.copies() == 1
            && let Some(remote) = self.remotes.get_mut(leg)
            && remote.rtt.smoothed().is_none()
        {
            remote.rtt.sample(cx.now.since(backoff.started()));
        }
        match ack.status {
            BindStatus::Bound | BindStatus::Challenge => {
                let refresh_at = cx.now + cx.rng.jitter(REFRESH);
                relay.state = Binding::Bound { epoch: cx.epoch, refresh_at };
                if let Some(token) = ack.challenge {
                    relay.token = Some(token);
                    // Proof of our address: until then the relay sends little.
                    self.ask(cx, at, None);
                }
                if self.is_selected(leg) {
                    self.end_lag(cx);
                }
            }
            BindStatus::Expired | BindStatus::Quota | BindStatus::Busy | BindStatus::Address => {
                self.relay_failed(cx, at);
            }
            // Somebody with our key is ahead of us: our next epoch will be higher.
            BindStatus::Stale => relay.state = Binding::Failed { at: cx.now },
        }
    }

    /// Asks a relay by better transports than the one that it knows us by.
    fn try_better(&mut self, cx: &mut Cx<'_>, at: usize) {
        let relay = &self.relays[at];
        let mut legs = cx.legs_to(&relay.grant.candidates);
        legs.retain(|leg| leg.transport < relay.leg.transport);
        self.try_by(cx, at, legs);
    }

    /// Asks a relay that has left a second copy unanswered by every transport.
    fn try_others(&mut self, cx: &mut Cx<'_>, at: usize) {
        let relay = &self.relays[at];
        let Binding::Asked { backoff, .. } = &relay.state else { return };
        if backoff.copies() > 2 {
            let mut legs = cx.legs_to(&relay.grant.candidates);
            legs.retain(|leg| leg.transport != relay.leg.transport);
            self.try_by(cx, at, legs);
        }
    }

    fn try_by(&mut self, cx: &mut Cx<'_>, at: usize, legs: Vec<Leg>) {
        let trial = Trial { nonce: cx.rng.bytes(), returned: None };
        let trial = *self.relays[at].trial.get_or_insert(trial);
        for leg in legs {
            self.send_trial(cx, at, &leg, trial);
        }
    }

    fn send_trial(&self, cx: &mut Cx<'_>, at: usize, leg: &Leg, trial: Trial) {
        let relay = &self.relays[at];
        let bind = Bind {
            path: self.path,
            side: self.side,
            ticket: relay.grant.ticket.clone(),
            epoch: cx.epoch,
            nonce: trial.nonce,
            token: trial.returned,
            carried: Vec::new(),
        };
        cx.out.send(*leg, "Bind", bind.emit(&relay.grant.key));
    }

    /// A relay has answered by another way than it knows us by: once it knows us there,
    /// that is the one to use.
    fn handle_trial_ack(&mut self, cx: &mut Cx<'_>, at: usize, leg: &Leg, ack: &BindAck) {
        let relay = &mut self.relays[at];
        let Some(trial) = relay.trial.as_mut().filter(|trial| trial.nonce == ack.nonce) else {
            return;
        };
        if ack.epoch != cx.epoch {
            return;
        }
        match (ack.status, ack.challenge) {
            (BindStatus::Challenge, Some(token)) if trial.returned != Some(token) => {
                trial.returned = Some(token);
                let trial = *trial;
                self.send_trial(cx, at, &leg.unpinned(), trial);
            }
            (BindStatus::Bound, _) => {
                let before = relay.leg;
                (relay.leg, relay.token, relay.trial) = (leg.unpinned(), None, None);
                // Once more, in case a Bind by the way before it was overtaken.
                self.ask(cx, at, None);
                self.remotes.relocate(&before, leg);
                if self.is_selected(&before) {
                    self.select(cx, leg, None);
                }
            }
            (
                BindStatus::Challenge
                | BindStatus::Expired
                | BindStatus::Quota
                | BindStatus::Busy
                | BindStatus::Address
                | BindStatus::Stale,
                _,
            ) => {}
        }
    }

    fn relay_failed(&mut self, cx: &mut Cx<'_>, at: usize) {
        self.relays[at].state = Binding::Failed { at: cx.now };
        let leg = self.relays[at].leg;
        if self.is_selected(&leg) {
            self.path_died(cx, &leg);
        } else if self.is_live(cx.now) || self.attempt.is_some() {
            self.ask_direction(cx);
        }
    }

    /// Asks for a direction, at most every few seconds.
    pub(super) fn ask_direction(&mut self, cx: &mut Cx<'_>) {
        const EVERY: Duration = Duration::from_secs(4);
        if self.asked_direction.is_none_or(|at| cx.now.since(at) >= EVERY) {
            self.asked_direction = Some(cx.now);
            cx.asks.push(Ask::Direct(self.path));
        }
    }

    pub(super) fn relaying_timeout(&mut self, cx: &mut Cx<'_>) {
        self.release_relays(cx);
        self.send_due_binds(cx);
        for at in 0..self.relays.len() {
            match &self.relays[at].state {
                Binding::Bound { refresh_at, .. } if *refresh_at <= cx.now => {
                    self.ask(cx, at, None);
                    self.try_better(cx, at);
                }
                Binding::Idle
                | Binding::Asked { .. }
                | Binding::Bound { .. }
                | Binding::Failed { .. } => {}
            }
        }
        if self.ticket_due().is_some_and(|at| at <= cx.now) {
            for relay in &mut self.relays {
                relay.granted = cx.now;
            }
            self.ask_direction(cx);
        }
    }

    pub(super) fn send_due_binds(&mut self, cx: &mut Cx<'_>) {
        for at in 0..self.relays.len() {
            let Binding::Asked { backoff, .. } = &self.relays[at].state else { continue };
            if backoff.is_due(cx.now) {
                let silent = cx.now.since(backoff.started());
                if backoff.copies() > PATIENCE && silent >= SILENCE {
                    self.relay_failed(cx, at);
                } else {
                    self.send_bind(cx, at, None);
                    self.try_others(cx, at);
                }
            }
        }
    }

    /// Lets relays go that a direct path has made superfluous, and all of them
    /// when the tunnel rests.
    fn release_relays(&mut self, cx: &mut Cx<'_>) {
        let superfluous = match self.selected {
            Some(selected) => {
                !self.is_relayed() && selected.proved && cx.now.since(selected.since) >= KEEP_WARM
            }
            None => {
                let awaited = self.relays.iter().any(|r| cx.now.since(r.granted) < AWAITED);
                !self.is_live(cx.now) && self.attempt.is_none() && !awaited
            }
        };
        if superfluous {
            for relay in &mut self.relays {
                relay.state = Binding::Idle;
            }
        }
    }

    fn ticket_due(&self) -> Option<Time> {
        let offered = self.relays.iter().filter(|relay| relay.offered);
        let granted = offered.map(|relay| relay.granted).min()?;
        self.is_relayed().then_some(granted + TICKET_AGE)
    }

    pub(super) fn relaying_deadline(&self) -> Option<(Time, &'static str)> {
        let binding = self.relays.iter().filter_map(|relay| match &relay.state {
            Binding::Asked { backoff, .. } => Some((backoff.next(), "Bind")),
            Binding::Bound { refresh_at, .. } => Some((*refresh_at, "relay binding")),
            Binding::Idle | Binding::Failed { .. } => None,
        });
        let in_use = self.relays.iter().any(RelayUse::is_usable);
        let release = self
            .selected
            .filter(|selected| in_use && selected.proved && !self.is_relayed())
            .map(|selected| (selected.since + KEEP_WARM, "relay release"));
        let ticket = self.ticket_due().map(|at| (at, "relay ticket"));
        binding.chain(release).chain(ticket).min()
    }
}
