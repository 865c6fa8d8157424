//! Two links at once: the better one is tried while the other goes on carrying,
//! and left only when the better one has answered (make before break).
//!
//! What is sent is held to the link in use meanwhile, since the system's routes may
//! lead to the other already. If nothing answers, nothing has happened. If the link
//! in use goes, it is a move like any other, at once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cx::{Ask, Cx};
use super::event::{Cause, LinkTrial, TerminalEvent};
use super::tunnel::Tunnel;
use super::{Mode, Terminal};
use crate::Time;
use crate::address::{Leg, LocalPin};
use crate::id::{Epoch, PathId};
use crate::machine::Backoff;
use crate::wire::{Control, RequestId, Token};

/// A link that does not answer for this long is not used.
const PATIENCE: Duration = Duration::from_secs(3);
/// Somebody has answered by the new link: those who have not are waited for so
/// long, and then follow by what is told them after the move.
const GRACE: Duration = Duration::from_millis(250);
/// A link that did not answer is tried again after this,
const AGAIN: Duration = Duration::from_secs(10);
/// then after twice as long each time, up to this.
const LONGEST: Duration = Duration::from_secs(320);
/// Tunnels that are asked; the others follow these.
const MOST_TRIED: usize = 32;
/// After the move, a tunnel's packets leave by the old link until the peer or the
/// relay has answered by the new one, and no longer than this.
pub(super) const LAG: Duration = Duration::from_secs(3);

/// What is being done about better links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Overlap {
    state: State,
    /// How long the last wait after a failed trial was.
    wait: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum State {
    /// There is none.
    #[default]
    Idle,
    Trying(Trial),
    /// These did not answer.
    Refused {
        links: BTreeSet<LocalPin>,
        again: Time,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Trial {
    links: BTreeSet<LocalPin>,
    backoff: Backoff,
    /// What the coordinator was asked.
    request: RequestId,
    /// Whether it has answered.
    heard_coordinator: bool,
    /// When the first answer came, from whomever.
    heard: Option<Time>,
}

/// The way in use, asked about by another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tried {
    leg: Leg,
    token: Token,
    answered: bool,
    /// What the relay wants returned from there.
    challenge: Option<Token>,
}

/// Packets leave as before the last move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lag {
    pin: LocalPin,
    epoch: Epoch,
    /// The largest inner packet that fits the old link.
    limit: u16,
    until: Time,
}

impl Overlap {
    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Idle => None,
            State::Trying(trial) => {
                let end = trial.backoff.started() + PATIENCE;
                let grace = trial.heard.map(|heard| heard + GRACE);
                Some(grace.map_or(end, |grace| grace.min(end)).min(trial.backoff.next()))
            }
            State::Refused { again, .. } => Some(*again),
        }
    }

    /// The link in use is in doubt: the other one is worth a trial now.
    pub(super) fn hurry(&mut self, now: Time) {
        if let State::Refused { again, .. } = &mut self.state {
            *again = now;
        }
    }
}

impl Terminal {
    /// After a look at the addresses: begins, goes on with, or ends a trial.
    pub(super) fn consider_links(&mut self, now: Time) {
        let better = self.surroundings.better_links();
        let known = match &self.overlap.state {
            State::Idle => None,
            State::Trying(Trial { links, .. }) | State::Refused { links, .. } => Some(links),
        };
        if better.is_empty() {
            self.overlap = Overlap::default();
        } else if known != Some(&better) {
            self.overlap = Overlap::default();
            self.try_links(now, better);
        }
    }

    fn try_links(&mut self, now: Time, links: BTreeSet<LocalPin>) {
        let live = self.tunnels.values().any(|tunnel| tunnel.is_live(now));
        if !live || self.config.mode == Mode::Seed {
            // Nothing to lose, or the paper's sequence.
            return self.take_better(now);
        }
        let source = links.first().map(|link| link.ip);
        let rtt = self.tunnels.values().map(Tunnel::rtt).find(|rtt| rtt.smoothed().is_some());
        let backoff = Backoff::urgent(now, &rtt.unwrap_or_default());
        let request = RequestId::of_node(self.rng.number());
        let trial = Trial { links, backoff, request, heard_coordinator: false, heard: None };
        self.overlap.state = State::Trying(trial);
        for tunnel in self.tunnels.values_mut() {
            tunnel.tried = None;
        }
        if let Some(source) = source {
            let event = TerminalEvent::Link { source, trial: LinkTrial::Begun };
            self.out.event(event);
        }
        self.send_trial(now);
    }

    /// Asks by the better links whoever has not answered by them.
    fn send_trial(&mut self, now: Time) {
        let State::Trying(trial) = &mut self.overlap.state else { return };
        trial.backoff.sent(now, &mut self.rng);
        let (request, heard) = (trial.request, trial.heard_coordinator);
        if !heard {
            let surroundings = &self.surroundings;
            let better: Vec<_> = self
                .client
                .destinations()
                .filter_map(|ip| Some((ip, surroundings.better(ip)?)))
                .collect();
            self.with_client(now, |client, cx| client.ask_by(cx, request, &better));
        }
        let paths: Vec<PathId> = self
            .tunnels
            .values()
            .filter(|tunnel| tunnel.is_live(now))
            .map(|tunnel| tunnel.path)
            .take(MOST_TRIED)
            .collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.try_link(cx));
        }
    }

    /// The coordinator has answered a question that is none of the client's own.
    pub(super) fn coordinator_answered(&mut self, now: Time, answer: RequestId) {
        if let State::Trying(trial) = &mut self.overlap.state
            && trial.request == answer
        {
            trial.heard_coordinator = true;
            self.judge_trial(now);
        }
    }

    /// Whether enough has answered by the better links.
    pub(super) fn judge_trial(&mut self, now: Time) {
        let State::Trying(trial) = &mut self.overlap.state else { return };
        let tried = || self.tunnels.values().filter_map(|tunnel| tunnel.tried.as_ref());
        let answered = tried().filter(|tried| tried.answered).count();
        if answered > 0 || trial.heard_coordinator {
            let heard = *trial.heard.get_or_insert(now);
            if answered == tried().count() || now.since(heard) >= GRACE {
                self.take_better(now);
            }
        } else if now.since(trial.backoff.started()) >= PATIENCE {
            let links = std::mem::take(&mut trial.links);
            let source = links.first().map(|link| link.ip);
            self.overlap.wait = (2 * self.overlap.wait).clamp(AGAIN, LONGEST);
            let again = now + self.rng.jitter(self.overlap.wait);
            self.overlap.state = State::Refused { links, again };
            if let Some(source) = source {
                let event = TerminalEvent::Link { source, trial: LinkTrial::Failed };
                self.out.event(event);
            }
        }
    }

    pub(super) fn overlap_timeout(&mut self, now: Time) {
        match &mut self.overlap.state {
            State::Idle => {}
            State::Trying(trial) => {
                if trial.backoff.is_due(now) {
                    self.send_trial(now);
                }
                self.judge_trial(now);
            }
            State::Refused { links, again } if *again <= now => {
                let links = std::mem::take(links);
                self.try_links(now, links);
            }
            State::Refused { .. } => {}
        }
    }

    /// Moves to the better links. Tunnels go on sending by the old ones until they
    /// have heard from the other side.
    fn take_better(&mut self, now: Time) {
        self.overlap = Overlap::default();
        if self.config.mode == Mode::Fast {
            let paths: Vec<_> = self.tunnels.keys().copied().collect();
            for path in paths {
                self.with_tunnel(now, &path, |tunnel, cx| tunnel.begin_lag(cx));
            }
        }
        let source = self.surroundings.take_better();
        self.update_reachability();
        if let Some(source) = source {
            self.act_on_move(now, Cause::Local { source }, false);
        }
    }

    /// Holds tunnels' packets to the links that are used now.
    pub(super) fn hold_tunnels(&mut self, now: Time) {
        let held = |tunnel: &Tunnel| tunnel.selected.is_some_and(|selected| selected.pin.is_some());
        if !self.surroundings.holds() && !self.tunnels.values().any(held) {
            return;
        }
        let paths: Vec<_> = self.tunnels.keys().copied().collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.hold(cx));
        }
    }
}

impl Tunnel {
    /// What packets by this way are held to.
    pub(super) fn pin(&self, cx: &Cx<'_>, leg: &Leg) -> Option<LocalPin> {
        match &self.lag {
            Some(lag) => Some(lag.pin),
            None => cx.surroundings.pin(leg.remote.ip()),
        }
    }

    /// The epoch that packets carry: an older one from the old link, so that it
    /// contests nothing at the peer.
    pub(super) fn epoch_said(&self, cx: &Cx<'_>) -> Epoch {
        self.lag.map_or(cx.epoch, |lag| lag.epoch)
    }

    /// The largest inner packet that may leave while some leave by the old link.
    pub(super) fn limit_of_lag(&self) -> u16 {
        self.lag.map_or(u16::MAX, |lag| lag.limit)
    }

    /// Whether packets wait for an answer after the move that began this epoch.
    pub(super) fn lags_behind(&self, epoch: Epoch) -> bool {
        self.lag.is_some_and(|lag| lag.epoch.next() == epoch)
    }

    /// Asks by the better link, unless that has answered.
    fn try_link(&mut self, cx: &mut Cx<'_>) {
        let Some(selected) = self.selected else { return };
        let Some(pin) = cx.surroundings.better(selected.leg.remote.ip()) else { return };
        let leg = selected.leg.pinned(Some(pin));
        let known = self.tried.filter(|tried| tried.leg == leg);
        let token = known.map_or_else(|| cx.rng.bytes(), |tried| tried.token);
        let tried = known.unwrap_or(Tried { leg, token, answered: false, challenge: None });
        self.tried = Some(tried);
        if tried.answered {
            return;
        }
        if self.relay_at(&leg).is_some() {
            return self.try_relay(cx, &leg, token);
        }
        let challenge = Control::Challenge { epoch: cx.epoch, token };
        if let Some(session) = self.current.as_mut().filter(|session| session.is_live(cx.now)) {
            let datagram = session.seal(self.path, self.side, cx.epoch, &challenge);
            cx.out.send(leg, challenge.name(), datagram);
        }
    }

    /// Takes the answer to what was asked by the better link, if it is that.
    pub(super) fn note_tried(
        &mut self,
        cx: &mut Cx<'_>,
        answer: &Token,
        challenge: Option<Token>,
    ) -> bool {
        let Some(tried) = self.tried.as_mut().filter(|tried| tried.token == *answer) else {
            return false;
        };
        tried.answered = true;
        tried.challenge = challenge;
        cx.asks.push(Ask::Judge);
        true
    }

    /// What a relay wants returned from the better link.
    pub(super) fn token_for(&self, relay: &Leg) -> Option<Token> {
        self.tried.filter(|tried| tried.leg.same_remote(relay)).and_then(|tried| tried.challenge)
    }

    /// The better link is about to be used: packets stay until the move is known at
    /// the other side.
    fn begin_lag(&mut self, cx: &mut Cx<'_>) {
        let remote = self.selected.filter(|s| s.proved).map(|selected| selected.leg.remote.ip());
        let remote =
            remote.filter(|ip| self.is_live(cx.now) && cx.surroundings.better(*ip).is_some());
        self.lag = remote.and_then(|ip| cx.surroundings.pin(ip)).map(|pin| Lag {
            pin,
            epoch: cx.epoch,
            limit: self.limit.unwrap_or(u16::MAX),
            until: cx.now + LAG,
        });
    }

    /// Packets leave by the link that is used now.
    pub(super) fn end_lag(&mut self, cx: &mut Cx<'_>) {
        if self.lag.take().is_some() {
            self.point_again(cx);
        }
    }

    fn hold(&mut self, cx: &mut Cx<'_>) {
        self.lag.take_if(|lag| !cx.surroundings.is_attached(&lag.pin));
        if let Some(selected) = self.selected
            && self.pin(cx, &selected.leg) != selected.pin
        {
            self.point_again(cx);
        }
    }

    pub(super) fn lag_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.lag.is_some_and(|lag| lag.until <= cx.now) {
            self.end_lag(cx);
        }
    }

    pub(super) fn lag_deadline(&self) -> Option<(Time, &'static str)> {
        self.lag.map(|lag| (lag.until, "old link"))
    }
}
