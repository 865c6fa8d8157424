//! Knowing that a path died, telling the peer that ours lives, and keeping idle NATs
//! open.

use std::time::Duration;

use super::cx::Cx;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;
use crate::tunnel::Traffic;
use crate::wire::Control;

/// A driver tells of traffic four times a second while there is any: it is not
/// asked sooner.
const TOLD: Duration = Duration::from_millis(300);
/// An end that receives and has said nothing for so long reports; its driver has
/// taken a quarter of a second to tell of the first packet.
const REPORT: Duration = Duration::from_secs(1);
/// The longest pause that traffic may be used to, beyond three PTO: by then there is
/// a report.
const MOST_USUAL: Duration = Duration::from_millis(1300);
/// A tunnel that carried something within this time is in use.
const IN_USE: Duration = Duration::from_secs(60);
/// A natted idle end keeps its mapping with one datagram each, give or take a
/// tenth.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// What is known of a tunnel's pulse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Liveness {
    traffic: Traffic,
    /// When the traffic was last told.
    told: Time,
    /// When the peer last said something itself, by the way in use.
    heard: Time,
    /// Since when packets have been going out without an answer.
    waiting: Option<Time>,
    /// Pauses that turned out to mean nothing: how long an answer may take beyond
    /// three PTO.
    usual: Duration,
    /// Since when the peer's packets have been coming in without an answer.
    owed: Option<Time>,
    /// When the tunnel last carried an application's packet.
    carried: Option<Time>,
    /// When anything last went out.
    sent: Time,
    /// How long after that a keep-alive follows.
    keep_alive: Duration,
    /// The session was due for renewal while nobody used it: look again when
    /// somebody does.
    pub(super) renewal_waits: bool,
}

impl Liveness {
    pub(super) fn new(now: Time) -> Self {
        Self {
            traffic: Traffic::default(),
            told: now,
            heard: now,
            waiting: None,
            usual: Duration::ZERO,
            owed: None,
            carried: None,
            sent: now,
            keep_alive: KEEP_ALIVE,
            renewal_waits: false,
        }
    }

    /// Another way is used: what has gone unanswered so far does not count.
    pub(super) fn restart(&mut self) {
        self.waiting = None;
    }

    /// We have said something by the way in use.
    pub(super) fn spoke(&mut self, now: Time) {
        self.sent = now;
        self.owed = None;
    }

    pub(super) fn session_renewed(&mut self) {
        self.renewal_waits = false;
        self.traffic.key_used = 0;
    }

    /// The peer's packets so far.
    pub(super) fn received(&self) -> u64 {
        self.traffic.received
    }

    pub(super) fn key_used(&self) -> u64 {
        self.traffic.key_used
    }

    pub(super) fn is_in_use(&self, now: Time) -> bool {
        self.carried.is_some_and(|at| now.since(at) < IN_USE)
    }
}

impl Tunnel {
    /// The traffic so far, as workers counted it. To be told four times a second
    /// while there is any.
    pub(super) fn handle_traffic(&mut self, cx: &mut Cx<'_>, traffic: Traffic) {
        let before = std::mem::replace(&mut self.liveness.traffic, traffic);
        let received = traffic.received > before.received;
        let sent = traffic.sent > before.sent;
        if received {
            self.is_alive();
            self.liveness.usual -= self.liveness.usual / 64;
        }
        let liveness = &mut self.liveness;
        liveness.told = cx.now;
        let unanswered = traffic.unanswered.filter(|since| *since > liveness.heard);
        if received {
            liveness.waiting = unanswered;
        } else if sent && liveness.waiting.is_none() {
            liveness.waiting = unanswered.or(Some(cx.now));
        }
        if sent {
            liveness.spoke(cx.now);
        } else if received {
            liveness.owed.get_or_insert(cx.now);
        }
        if sent || received {
            liveness.carried = Some(cx.now);
            liveness.renewal_waits = false;
            self.renew_if_due(cx);
        }
        if self.silent_at().is_some_and(|at| at <= cx.now) {
            self.ask_for_life(cx);
        }
    }

    /// The peer has said something by the way in use.
    pub(super) fn heard(&mut self, now: Time) {
        self.liveness.heard = now;
        self.liveness.waiting = None;
        self.is_alive();
    }

    /// Something authenticated has come from the peer: if the path is in question,
    /// it is no longer, and such a pause is nothing unusual.
    fn is_alive(&mut self) {
        let selected = self.selected.and_then(|selected| self.remotes.get_mut(&selected.leg));
        let Some(remote) = selected else { return };
        let pto = remote.rtt.pto();
        if let Some(probe) = remote.probe.as_mut().filter(|probe| probe.why == Why::Liveness) {
            probe.why = Why::Proof;
            let usual = &mut self.liveness.usual;
            *usual = (2 * *usual).max(3 * pto).min(MOST_USUAL);
        }
    }

    /// Whether the way in use will be asked or given up now, or a report sent,
    /// unless packets have gone or come since the traffic was told.
    pub(super) fn depends_on_traffic(&self, now: Time) -> bool {
        let probe = self.selected_remote().and_then(|remote| remote.probe.as_ref());
        let verdict = probe
            .filter(|probe| probe.why == Why::Liveness && probe.is_hopeless())
            .map(|probe| probe.backoff.next());
        let due = [verdict, self.ask_at(), self.report_at()].into_iter().flatten().min();
        due.is_some_and(|at| at <= now)
    }

    pub(super) fn ask_for_life(&mut self, cx: &mut Cx<'_>) {
        if let Some(selected) = self.selected {
            self.liveness.waiting = None;
            self.probe(cx, &selected.leg, Why::Liveness);
        }
    }

    /// The way in use does not answer any more: the next best one is used at
    /// once, and the terminal acts as after a move.
    pub(super) fn path_died(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        if let Some(remote) = self.remotes.get_mut(leg) {
            remote.confirmed = None;
            remote.probe = None;
        }
        if !self.is_selected(leg) {
            return;
        }
        let alternative = self.relay_legs().into_iter().find(|relay| !relay.same_remote(leg));
        let alternative = alternative.or_else(|| {
            self.remotes
                .iter()
                .filter(|remote| remote.relay.is_none() && remote.is_proved(cx.now))
                .map(|remote| remote.leg)
                .find(|other| !other.same_remote(leg))
        });
        match alternative {
            Some(other) => self.select(cx, &other, None),
            None => self.deselect(cx),
        }
        self.recover(cx);
    }

    pub(super) fn liveness_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(selected) = self.selected else { return };
        if self.ask_at().is_some_and(|at| at <= cx.now) {
            self.ask_for_life(cx);
        }
        if self.report_at().is_some_and(|at| at <= cx.now) {
            self.liveness.owed = None;
            self.say(cx, &selected.leg, &Control::Report);
        }
        if self.keep_alive_at().is_some_and(|at| at <= cx.now) {
            self.liveness.sent = cx.now;
            self.liveness.keep_alive = cx.rng.jitter(KEEP_ALIVE);
            if cx.is_natted(selected.leg.remote.is_ipv6()) {
                self.say(cx, &selected.leg, &Control::KeepAlive);
            }
        }
    }

    /// When packets have gone out for so long without an answer that the path is
    /// asked, unless it already is: three PTO after an answer was to be expected.
    fn silent_at(&self) -> Option<Time> {
        let remote = self.selected_remote()?;
        let is_asked = remote.probe.as_ref().is_some_and(|probe| probe.why == Why::Liveness);
        let since = self.liveness.waiting.filter(|_| !is_asked)?;
        Some(since + 3 * remote.rtt.pto() + self.liveness.usual)
    }

    /// The same, but not before the driver would have told by itself.
    fn ask_at(&self) -> Option<Time> {
        self.silent_at().map(|at| at.max(self.liveness.told + TOLD))
    }

    fn report_at(&self) -> Option<Time> {
        let owed = self.current.as_ref().and(self.liveness.owed)?;
        Some((owed + REPORT * 3 / 4).max(self.liveness.sent + REPORT))
    }

    /// Direct idle tunnels with a live session are kept open; relayed ones are
    /// by the relay binding.
    fn keep_alive_at(&self) -> Option<Time> {
        let idle = self.selected.is_some() && self.current.is_some() && !self.is_relayed();
        idle.then(|| self.liveness.sent + self.liveness.keep_alive)
    }

    pub(super) fn liveness_deadline(&self) -> Option<(Time, &'static str)> {
        self.selected?;
        let probe = self.ask_at().map(|at| (at, "silence"));
        let report = self.report_at().map(|at| (at, "report"));
        let keep_alive = self.keep_alive_at().map(|at| (at, "keep-alive"));
        [probe, report, keep_alive].into_iter().flatten().min()
    }
}
