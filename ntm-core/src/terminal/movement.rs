//! Movement: what follows from ours, following the peer where it goes, and choosing
//! among ways by what has been proved.

use std::time::Duration;

use super::cx::Cx;
use super::event::TerminalEvent;
use super::phase::{Notice, PeerPhase, Rebuilding};
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::{Candidate, Leg, Scope};
use crate::id::Epoch;
use crate::wire::{Control, Punch, RouteDirection, Token, TunnelRequest, TunnelResponse};

/// When a direction's candidates are checked after the first time, counted from
/// its arrival.
const BURST: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(140)];

/// Checks of the candidates of a direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Burst {
    since: Time,
    round: usize,
    legs: Vec<Leg>,
    check: Check,
}

/// What candidates are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Check {
    /// Our Tunnel Request: we begin.
    Request,
    /// A challenge, which opens our NAT as well: the peer begins.
    Challenge,
    /// Without a session, a datagram that only opens our NAT.
    Punch,
}

/// A challenge that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ping {
    token: Token,
    leg: Leg,
    sent: Time,
}

impl Tunnel {
    /// We have moved (or left a dead path) under a new epoch: the table learns
    /// it, relays are told, and the peer too unless the mode says to wait for
    /// the coordinator's direction.
    pub(super) fn moved(&mut self, cx: &mut Cx<'_>, old_gone: bool, tell_peer: bool) {
        if !self.lags_behind(cx.epoch) {
            self.lag = None;
            self.point_again(cx);
        }
        self.update = None;
        self.old_gone |= old_gone;
        self.end_contest(cx);
        // An answer to what was asked from where we were proves nothing here.
        self.remotes.iter_mut().for_each(|remote| remote.probe = None);
        self.by_relay_only = None;
        self.rebuilding = self.is_live(cx.now).then(|| Rebuilding::new(cx.epoch));
        self.translate(cx);
        if tell_peer {
            self.rebind(cx);
            if self.is_live(cx.now) {
                self.begin_update(cx);
            }
            self.send_due_binds(cx);
        }
        self.tried = None;
    }

    /// Asks whether a way works.
    pub(super) fn probe(&mut self, cx: &mut Cx<'_>, leg: &Leg, why: Why) {
        let leg = &self.came_by(leg);
        let relay = self.relay_at(leg);
        let keep = self.selected.map(|selected| selected.leg);
        let remote = self.remotes.note(cx.now, leg, relay, keep);
        let token = remote.challenge(cx.now, cx.rng, why);
        self.say(cx, leg, &Control::Challenge { epoch: cx.epoch, token });
    }

    /// Takes note of whether the plan knows a direct way.
    pub(super) fn note_plan(&mut self, cx: &Cx<'_>, direction: &RouteDirection) {
        // Neither older than what the peer said, nor than another direction: one that
        // forbids direct ways has relays, whose tickets have an order.
        let (planned, newest) = self.planned;
        let serial = direction.relays.iter().map(|grant| grant.ticket.serial).max();
        let late = direction.peer_epoch == planned && serial.is_some_and(|own| own < newest);
        if direction.own_epoch == cx.epoch
            && direction.peer_epoch >= planned.max(self.peer_epoch)
            && !late
        {
            let forbidden = direction.candidates.is_empty();
            self.by_relay_only = forbidden.then_some(direction.peer_epoch);
            self.planned = (direction.peer_epoch, serial.unwrap_or(newest));
            self.planned_in = cx.epoch;
        }
    }

    /// The coordinator's direction for a tunnel with a live session: its
    /// candidates are added, and checked in a short burst.
    pub(super) fn directed(&mut self, cx: &mut Cx<'_>, direction: &RouteDirection) {
        let legs = self.note_candidates(cx, direction);
        if legs.is_empty() && self.relays.is_empty() {
            return;
        }
        let legs: Vec<_> = legs.into_iter().chain(self.relay_legs()).collect();
        let told = match direction.begin && self.update.is_none() {
            true => self.begin_update(cx),
            false => Vec::new(),
        };
        let check = if self.update.is_some() { Check::Request } else { Check::Challenge };
        self.burst = Some(Burst { since: cx.now, round: 0, legs: legs.clone(), check });
        let untold = |leg: &Leg| !told.iter().any(|told| told.same_remote(leg));
        self.check_now(cx, legs.into_iter().filter(untold), check);
    }

    /// Opens our NAT towards these, from where the peer will begin.
    pub(super) fn punch(&mut self, cx: &mut Cx<'_>, legs: Vec<Leg>) {
        self.burst =
            Some(Burst { since: cx.now, round: 0, legs: legs.clone(), check: Check::Punch });
        self.check_now(cx, legs, Check::Punch);
    }

    /// The candidates of a direction that is not older than what the peer said
    /// itself, as ways.
    pub(super) fn note_candidates(
        &mut self,
        cx: &mut Cx<'_>,
        direction: &RouteDirection,
    ) -> Vec<Leg> {
        if direction.peer_epoch < self.peer_epoch {
            return Vec::new();
        }
        let keep = self.selected.map(|selected| selected.leg);
        let scopes = [Scope::Global, Scope::Private];
        let mut legs: Vec<Leg> = Vec::new();
        for leg in direction.candidates.iter().filter_map(|c| cx.leg_to_peer(c, &scopes)) {
            // Named twice, an address is still asked once.
            if !legs.contains(&leg) {
                legs.push(leg);
            }
        }
        for leg in &legs {
            self.remotes.note(cx.now, leg, None, keep).name(direction.peer_epoch);
        }
        legs
    }

    fn burst_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(burst) = &mut self.burst else { return };
        let mut due = false;
        while burst.round < BURST.len() && burst.since + BURST[burst.round] <= cx.now {
            burst.round += 1;
            due = true;
        }
        let (legs, check) = (burst.legs.clone(), burst.check);
        if burst.round == BURST.len() {
            self.burst = None;
        }
        if due {
            self.check_now(cx, legs, check);
        }
    }

    fn check_now(&mut self, cx: &mut Cx<'_>, legs: impl IntoIterator<Item = Leg>, check: Check) {
        for leg in legs {
            let settled = self
                .remotes
                .get(&leg)
                .is_some_and(|remote| remote.is_current(self.peer_epoch, cx.epoch));
            if settled && self.is_selected(&leg) {
                continue;
            }
            match check {
                Check::Request if self.update.is_some() => self.send_update_by(cx, &leg),
                Check::Request | Check::Challenge => self.probe(cx, &leg, Why::Proof),
                Check::Punch if self.is_live(cx.now) => {}
                Check::Punch => {
                    let punch = Punch { path: self.path, side: self.side };
                    cx.out.send(leg, "Punch", punch.emit());
                }
            }
        }
    }

    /// A control message from the peer, authenticated and new.
    pub(super) fn handle_control(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        control: Control,
        bytes: usize,
    ) {
        let keep = self.selected.map(|selected| selected.leg);
        let relay = self.relay_at(leg);
        self.remotes.note(cx.now, leg, relay, keep).received += bytes as u64;
        if self.is_selected(leg) {
            self.heard(cx.now);
        }
        match control {
            Control::TunnelRequest(request) => self.handle_request(cx, leg, &request),
            Control::TunnelResponse(response) => self.handle_response(cx, leg, &response),
            Control::Challenge { epoch, token } => {
                if self.note_peer_epoch(cx, leg, epoch, false) {
                    self.probe(cx, leg, Why::Proof);
                }
                if !cx.surroundings.has_left(leg.local) {
                    self.say(cx, leg, &Control::ChallengeResponse { epoch: cx.epoch, token });
                }
                // The peer is there: our own news reaches it at once.
                if self.update.is_some() {
                    self.send_update_by(cx, leg);
                }
            }
            Control::ChallengeResponse { epoch, token } => {
                self.note_peer_epoch(cx, leg, epoch, false);
                self.handle_challenge_response(cx, epoch, &token);
            }
            Control::KeepAlive | Control::Report => {}
            // The peer said farewell.
            Control::Close => self.close_sessions(cx),
        }
    }

    fn handle_request(&mut self, cx: &mut Cx<'_>, leg: &Leg, request: &TunnelRequest) {
        if request.epoch < self.peer_epoch {
            return;
        }
        self.note_peer_epoch(cx, leg, request.epoch, request.old_gone);
        if self.selected.is_none() {
            self.select(cx, leg, None);
        }
        for candidate in &request.candidates {
            self.note_candidate(cx, candidate, request.epoch);
        }
        let current = self
            .remotes
            .get(leg)
            .is_some_and(|remote| remote.relay.is_some() || remote.is_proved(cx.now));
        let challenge = if current {
            None
        } else {
            let remote = self.remotes.note(cx.now, leg, None, Some(*leg));
            Some(remote.challenge(cx.now, cx.rng, Why::Proof))
        };
        let response = TunnelResponse { epoch: cx.epoch, echo: request.challenge, challenge };
        self.say(cx, leg, &Control::TunnelResponse(response));
        self.rebuilt(cx, leg, true);
        if self.update.is_some() {
            self.send_update_by(cx, leg);
        }
    }

    fn note_candidate(&mut self, cx: &mut Cx<'_>, candidate: &Candidate, epoch: Epoch) {
        let keep = self.selected.map(|selected| selected.leg);
        let Some(leg) = cx.leg_to_peer(candidate, &[Scope::Global]) else { return };
        match self.remotes.get_mut(&leg).filter(|remote| remote.named.is_some()) {
            Some(remote) => remote.name(epoch),
            None => self.remotes.note(cx.now, &leg, None, keep).name(epoch),
        }
    }

    fn handle_response(&mut self, cx: &mut Cx<'_>, leg: &Leg, response: &TunnelResponse) {
        self.note_peer_epoch(cx, leg, response.epoch, false);
        if let Some(token) = response.challenge {
            self.say(cx, leg, &Control::ChallengeResponse { epoch: cx.epoch, token });
        }
        let Some(update) = &self.update else { return };
        let Some((asked, _)) = update.asked.iter().find(|(_, token)| *token == response.echo)
        else {
            return;
        };
        let (asked, copies, started) = (*asked, update.backoff.copies(), update.backoff.started());
        self.update = None;
        self.old_gone = false;
        let keep = self.selected.map(|selected| selected.leg);
        if copies == 1 {
            let rtt = cx.now.since(started);
            self.remotes.note(cx.now, &asked, None, keep).rtt.sample(rtt);
        }
        self.confirm(cx, &asked, response.epoch);
        if self.is_selected(&asked) {
            self.end_lag(cx);
        }
    }

    fn handle_challenge_response(&mut self, cx: &mut Cx<'_>, epoch: Epoch, token: &Token) {
        if self.note_tried(cx, token, None) {
            return;
        }
        if let Some(ping) = self.ping.take_if(|ping| ping.token == *token) {
            let (path, way, rtt) = (self.path, self.way(&ping.leg), cx.now.since(ping.sent));
            cx.event(TerminalEvent::Pong { path, way, rtt });
            return self.confirm(cx, &ping.leg, epoch);
        }
        let answered =
            self.remotes.iter_mut().find_map(|r| r.answered(cx.now, token).then_some(r.leg));
        if let Some(leg) = answered.or_else(|| self.size_answered(cx, token)) {
            self.confirm(cx, &leg, epoch);
        }
    }

    /// Asks for a sign of life by the way in use, because somebody wants to know.
    pub(super) fn ping(&mut self, cx: &mut Cx<'_>) {
        let Some(leg) = self.selected.map(|selected| selected.leg) else { return };
        let token = cx.rng.bytes();
        self.ping = Some(Ping { token, leg, sent: cx.now });
        self.say(cx, &leg, &Control::Challenge { epoch: cx.epoch, token });
    }

    /// The peer's epoch, from its own mouth. A higher one than before means that
    /// it has moved, to where this came from: packets follow at once.
    /// Returns whether it did, to an address that is not proved.
    fn note_peer_epoch(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        epoch: Epoch,
        old_gone: bool,
    ) -> bool {
        if epoch <= self.peer_epoch {
            return false;
        }
        self.peer_epoch = epoch;
        self.end_contest(cx);
        if old_gone {
            // Where it was before, nobody answers for it.
            let past = |named: &mut Epoch| *named < epoch;
            for remote in self.remotes.iter_mut() {
                let _past = remote.named.take_if(past);
            }
        }
        // The direction for where it is now may have been quicker.
        self.by_relay_only = self.by_relay_only.filter(|planned| *planned >= epoch);
        let way_before = self.selected.map(|selected| self.way(&selected.leg));
        if !self.is_selected(leg) {
            // What goes by the old way instead goes without a limit.
            let before = self.selected.filter(|selected| selected.proved && !old_gone);
            self.select(cx, leg, before.map(|selected| selected.leg));
        }
        self.note_followed(cx, Notice::Word, way_before);
        self.selected.is_some_and(|selected| !selected.proved)
    }

    /// A way has answered: it is used if there is none in use, if the one in
    /// use has not answered since either end moved, if it is direct and the
    /// other is relayed (the other way round where the plan says so), by a better
    /// transport, or if it carries what the other does not. Otherwise
    /// the first proved one stays. An answer that was overtaken by the news of a
    /// move chooses nothing.
    pub(super) fn prefer(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        if self.is_wider(cx, leg) {
            return self.select(cx, leg, None);
        }
        if let Some(contest) = &mut self.contest {
            if contest.challenger.same_remote(leg) {
                if contest.follows {
                    return self.select(cx, leg, None);
                }
                let old = self.selected.and_then(|selected| self.remotes.get(&selected.leg));
                let patience = old.map_or(Duration::ZERO, |old| old.rtt.pto());
                contest.decide_at.get_or_insert(cx.now + patience);
            } else if !contest.follows && self.is_selected(leg) {
                self.end_contest(cx);
            }
            return;
        }
        let current =
            self.remotes.get(leg).is_some_and(|r| r.is_current(self.peer_epoch, cx.epoch));
        let Some(selected) = self.selected else {
            if current {
                self.select(cx, leg, None);
            }
            return;
        };
        if selected.leg.same_remote(leg) {
            if !selected.proved {
                self.point_again(cx);
            }
            return;
        }
        let (Some(used), Some(new)) = (self.remotes.get(&selected.leg), self.remotes.get(leg))
        else {
            return;
        };
        let stale = !used.is_current(self.peer_epoch, cx.epoch);
        let better = match (used.relay.is_some(), new.relay.is_some()) {
            (true, false) => self.by_relay_only.is_none(),
            (false, true) => self.by_relay_only.is_some(),
            // Of two relays both ends take the same.
            (true, true) => self.comes_first(leg, &selected.leg),
            (false, false) => new.leg.transport < used.leg.transport,
        };
        let better = better && !self.is_blocked(cx, new);
        let worse = self.by_relay_only.is_some() && used.relay.is_some() && new.relay.is_none();
        if current && (better || stale && !worse) {
            self.select(cx, leg, None);
        }
    }

    /// An unproved way that nothing has proved in time: back to the last proved
    /// one.
    fn revert_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(selected) = self.selected else { return };
        let Some((_, before)) = selected.revert.filter(|(at, _)| *at <= cx.now) else { return };
        let usable = |leg: &Leg| {
            self.remotes
                .get(leg)
                .is_some_and(|remote| remote.is_proved(cx.now) || remote.relay.is_some())
        };
        let proved = before
            .filter(usable)
            .or_else(|| self.remotes.iter().map(|remote| remote.leg).find(|leg| usable(leg)));
        self.end_following(cx, PeerPhase::Reverted);
        match proved {
            Some(leg) => self.select(cx, &leg, None),
            None => self.deselect(cx),
        }
        self.ask_direction(cx);
    }

    fn probe_timeout(&mut self, cx: &mut Cx<'_>) {
        let due: Vec<Leg> = self
            .remotes
            .iter()
            .filter(|r| r.probe.as_ref().is_some_and(|probe| probe.backoff.is_due(cx.now)))
            .map(|remote| remote.leg)
            .collect();
        for leg in due {
            let Some(remote) = self.remotes.get_mut(&leg) else { continue };
            let Some(probe) = &remote.probe else { continue };
            if probe.is_hopeless() {
                let why = probe.why;
                remote.probe = None;
                // Nobody there: the next packet from there asks both anew.
                let was_asked = self.contest.as_ref().is_some_and(|contest| {
                    contest.decide_at.is_none() && contest.challenger.same_remote(&leg)
                });
                if was_asked {
                    self.end_contest(cx);
                }
                if why == Why::Liveness && self.is_selected(&leg) {
                    self.path_died(cx, &leg);
                }
                continue;
            }
            let why = probe.why;
            self.probe(cx, &leg, why);
        }
    }

    pub(super) fn movement_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.update.as_ref().is_some_and(|update| update.backoff.is_due(cx.now)) {
            if self.is_live(cx.now) {
                self.send_update(cx);
            } else {
                self.update = None;
            }
        }
        self.burst_timeout(cx);
        self.probe_timeout(cx);
        self.contest_timeout(cx);
        self.revert_timeout(cx);
        self.upgrade_timeout(cx);
    }

    pub(super) fn movement_deadline(&self) -> Option<(Time, &'static str)> {
        let update = self.update.as_ref().map(|update| (update.backoff.next(), "Tunnel Request"));
        let burst = self.burst.as_ref().and_then(|burst| {
            BURST.get(burst.round).map(|offset| (burst.since + *offset, "candidate checks"))
        });
        let probe = self
            .remotes
            .iter()
            .filter_map(|remote| remote.probe.as_ref())
            .map(|probe| (probe.backoff.next(), "challenge"))
            .min();
        let contest =
            self.contest.as_ref().and_then(|contest| contest.decide_at).map(|at| (at, "contest"));
        let revert =
            self.selected.and_then(|selected| selected.revert).map(|(at, _)| (at, "unproved path"));
        let upgrade = self.upgrade_deadline();
        [update, burst, probe, contest, revert, upgrade].into_iter().flatten().min()
    }
}
