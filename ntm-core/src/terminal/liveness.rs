//! Knowing that a path died, and keeping idle NATs open.

use std::time::Duration;

use super::cx::Cx;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;
use crate::tunnel::Traffic;
use crate::wire::Control;

/// Packets go out and nothing comes back for this long: ask.
const SILENCE: Duration = Duration::from_secs(1);
/// A tunnel that carried something within this time is in use.
const IN_USE: Duration = Duration::from_secs(60);
/// A natted idle end keeps its mapping with one datagram each, give or take a
/// tenth.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// What is known of a tunnel's pulse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Liveness {
    traffic: Traffic,
    /// Since when packets have been going out without an answer.
    waiting: Option<Time>,
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
            waiting: None,
            carried: None,
            sent: now,
            keep_alive: KEEP_ALIVE,
            renewal_waits: false,
        }
    }

    /// Something authenticated came from the peer, or another way is used: what
    /// has gone unanswered so far does not count.
    pub(super) fn restart(&mut self) {
        self.waiting = None;
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
            self.liveness.restart();
        } else if sent && self.liveness.waiting.is_none() {
            self.liveness.waiting = Some(cx.now);
        }
        if sent {
            self.liveness.sent = cx.now;
        }
        if sent || received {
            self.liveness.carried = Some(cx.now);
            self.liveness.renewal_waits = false;
            self.renew_if_due(cx);
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
        if self.probe_at().is_some_and(|at| at <= cx.now) {
            self.liveness.waiting = None;
            self.probe(cx, &selected.leg, Why::Liveness);
        }
        if self.keep_alive_at().is_some_and(|at| at <= cx.now) {
            self.liveness.sent = cx.now;
            self.liveness.keep_alive = cx.rng.jitter(KEEP_ALIVE);
            if cx.is_natted(selected.leg.remote.is_ipv6()) {
                self.say(cx, &selected.leg, &Control::KeepAlive);
            }
        }
    }

    fn probe_at(&self) -> Option<Time> {
        self.liveness.waiting.map(|since| since + SILENCE)
    }

    /// Direct idle tunnels with a live session are kept open; relayed ones are
    /// by the relay binding.
    fn keep_alive_at(&self) -> Option<Time> {
        let idle = self.selected.is_some() && self.current.is_some() && !self.is_relayed();
        idle.then(|| self.liveness.sent + self.liveness.keep_alive)
    }

    pub(super) fn liveness_deadline(&self) -> Option<(Time, &'static str)> {
        self.selected?;
        let probe = self.probe_at().map(|at| (at, "silence"));
        let keep_alive = self.keep_alive_at().map(|at| (at, "keep-alive"));
        [probe, keep_alive].into_iter().flatten().min()
    }
}
