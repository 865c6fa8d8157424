//! From the relay to a direct way that the plan allows, where the first checks
//! of it were lost; and from one transport back to a better one.

use std::time::Duration;

use super::cx::Cx;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;

/// After the relay or the worse transport was chosen,
const FIRST: Duration = Duration::from_millis(250);
/// and then twice as long each time, up to this.
const LONGEST: Duration = Duration::from_secs(30);
/// After so long without a plan for where both ends are the coordinator is asked for
/// one: it may have restarted, and not have known both when one of them moved.
const UNPLANNED: Duration = Duration::from_secs(1);

/// When direct ways are looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Upgrade {
    next: Time,
    wait: Duration,
}

impl Upgrade {
    pub(super) fn new(now: Time) -> Self {
        Self { next: now + FIRST, wait: FIRST }
    }
}

impl Tunnel {
    /// Asks along every direct way that has been named and would be better than the
    /// one in use.
    pub(super) fn upgrade_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(upgrade) = self.upgrade.as_mut().filter(|upgrade| upgrade.next <= cx.now) else {
            return;
        };
        upgrade.wait = (2 * upgrade.wait).min(LONGEST);
        upgrade.next = cx.now + cx.rng.jitter(upgrade.wait);
        let waited = upgrade.wait > UNPLANNED;
        if self.by_relay_only.is_some() || !self.liveness.is_in_use(cx.now) {
            return;
        }
        let is_planned = self.planned.0 >= self.peer_epoch && self.planned_in == cx.epoch;
        if waited && self.is_relayed() && !is_planned {
            self.ask_direction(cx);
        }
        let asked = |leg: &Leg| self.remotes.get(leg).is_some_and(|r| r.probe.is_some());
        let unasked: Vec<Leg> = self.better_ways().into_iter().filter(|leg| !asked(leg)).collect();
        for leg in unasked {
            if cx.surroundings.may_reach(leg.remote.ip()) {
                self.probe(cx, &leg, Why::Proof);
            }
        }
    }

    pub(super) fn upgrade_deadline(&self) -> Option<(Time, &'static str)> {
        self.upgrade.map(|upgrade| (upgrade.next, "a better path"))
    }
}
