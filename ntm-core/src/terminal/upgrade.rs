//! From the relay to a direct way that the plan allows, where the first checks
//! of it were lost.

use std::time::Duration;

use super::cx::Cx;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;

/// After the relay was chosen,
const FIRST: Duration = Duration::from_millis(250);
/// and then twice as long each time, up to this.
const LONGEST: Duration = Duration::from_secs(30);

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
    /// Asks along every direct way that has been named, while packets take the
    /// one through the relay.
    pub(super) fn upgrade_timeout(&mut self, cx: &mut Cx<'_>) {
        let Some(upgrade) = self.upgrade.as_mut().filter(|upgrade| upgrade.next <= cx.now) else {
            return;
        };
        upgrade.wait = (2 * upgrade.wait).min(LONGEST);
        upgrade.next = cx.now + cx.rng.jitter(upgrade.wait);
        if self.by_relay_only.is_some() || !self.liveness.is_in_use(cx.now) {
            return;
        }
        let named = self.remotes.iter().filter(|r| r.named && r.relay.is_none());
        let unasked: Vec<Leg> = named.filter(|r| r.probe.is_none()).map(|r| r.leg).collect();
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
