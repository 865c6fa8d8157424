use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::mirror::Mirror;
use crate::Time;
use crate::address::Leg;

/// The most that a move may earn beyond three times what was received.
const MOST_CREDIT: u64 = 1 << 20;

/// To an address that has not been proved to receive, at most this many times
/// what came from it may be sent (RFC 9000, section 8).
pub(crate) const AMPLIFICATION: u64 = 3;

/// Where a tunnel's packets go: small, and never changed once published but
/// for its budget.
#[derive(Debug)]
pub struct Endpoint {
    /// The way.
    pub leg: Leg,
    /// Where packets go instead while the budget is used up: the path that was
    /// proved last, if it may still work.
    pub fallback: Option<Leg>,
    /// Where they go as well.
    pub mirror: Option<Mirror>,
    budget: Option<Budget>,
}

/// What may still be sent to an unproved address, however often the tunnel is
/// pointed there again.
#[derive(Clone, Debug)]
struct Budget {
    left: Arc<AtomicI64>,
    /// The received bytes that it accounts for.
    received: u64,
}

/// What the terminal knows of an address that it points a tunnel to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// It has returned a challenge.
    Proved,
    /// Not yet.
    Unproved {
        /// Bytes that have come from it so far.
        received: u64,
        /// The round trip of the path left behind, when an authenticated move
        /// earns credit: as much as was sent on that path in this time.
        credit: Option<Duration>,
    },
}

/// Where to point a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pointing {
    /// The way.
    pub leg: Leg,
    /// What is known of it.
    pub proof: Proof,
    /// See [`Endpoint::fallback`].
    pub fallback: Option<Leg>,
    /// The largest inner packet that fits, in bytes.
    pub limit: u16,
}

impl Endpoint {
    /// `rate`: bytes per second sent on the path left behind; `before`: where
    /// the tunnel pointed until now. The same unproved address again goes on
    /// with what is left of its budget, and with its fallback.
    pub(super) fn new(to: &Pointing, rate: u64, before: Option<&Self>) -> Self {
        let Proof::Unproved { received, credit } = to.proof else {
            return Self { leg: to.leg, fallback: to.fallback, mirror: None, budget: None };
        };
        let before = before.filter(|before| before.leg.same_remote(&to.leg));
        let fallback = to.fallback.or(before.and_then(|before| before.fallback));
        let (left, accounted) = match before.and_then(|before| before.budget.as_ref()) {
            Some(budget) => (budget.left.clone(), budget.received),
            None => (Arc::default(), 0),
        };
        let earned = credit.map_or(0, |rtt| {
            let bytes = u128::from(rate) * rtt.as_nanos() / 1_000_000_000;
            u64::try_from(bytes).unwrap_or(u64::MAX).min(MOST_CREDIT)
        });
        let news = received.saturating_sub(accounted).saturating_mul(AMPLIFICATION);
        add(&left, news.saturating_add(earned));
        let budget = Some(Budget { left, received: received.max(accounted) });
        Self { leg: to.leg, fallback, mirror: None, budget }
    }

    /// The same, with packets going that way as well, or no longer.
    pub(super) fn mirrored(&self, to: Option<Leg>) -> Self {
        let mirror = to.map(Mirror::new);
        Self { leg: self.leg, fallback: self.fallback, mirror, budget: self.budget.clone() }
    }

    /// Takes `bytes` from the budget before they are sent; `false` if there is
    /// not enough left, and then nothing is taken.
    pub fn debit(&self, bytes: u64) -> bool {
        let Some(budget) = &self.budget else { return true };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes).filter(|left| *left >= 0)
            })
            .is_ok()
    }

    /// Adds to the budget for `bytes` that came, authenticated, from this
    /// address.
    pub fn credit(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            add(&budget.left, bytes.saturating_mul(AMPLIFICATION));
        }
    }

    /// Whether there is no limit.
    pub fn is_proved(&self) -> bool {
        self.budget.is_none()
    }
}

/// Wraps after 2^63 bytes to an address that never answered; it does not.
fn add(left: &AtomicI64, bytes: u64) {
    left.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// How much is being sent, over the last tenth of a second or two.
#[derive(Debug, Default)]
pub struct Meter {
    since: AtomicU64,
    current: AtomicU64,
    previous: AtomicU64,
}

impl Meter {
    const WINDOW: Duration = Duration::from_millis(100);

    /// Counts `bytes` sent now. Called by workers once a batch; a race between
    /// two of them can misplace a batch, which an estimate bears.
    pub fn count(&self, now: Time, bytes: u64) {
        let since = Time::from_nanos(self.since.load(Ordering::Relaxed));
        let age = now.since(since);
        if age >= Self::WINDOW {
            let last = self.current.swap(0, Ordering::Relaxed);
            self.previous.store(if age < 2 * Self::WINDOW { last } else { 0 }, Ordering::Relaxed);
            self.since.store(now.nanos(), Ordering::Relaxed);
        }
        self.current.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes per second over the last window or two; what was sent before a
    /// silence counts until it is `2 × 100 ms` old.
    pub fn rate(&self, now: Time) -> u64 {
        let age = now.since(Time::from_nanos(self.since.load(Ordering::Relaxed)));
        let current = self.current.load(Ordering::Relaxed);
        let previous = self.previous.load(Ordering::Relaxed);
        let (bytes, span) = if previous == 0 {
            (current, age.max(Self::WINDOW))
        } else {
            (current + previous, age + Self::WINDOW)
        };
        let rate = u128::from(bytes) * 1_000_000_000 / span.as_nanos().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::TransportId;

    fn point(proof: Proof) -> Pointing {
        let leg = Leg::to(TransportId(0), ([203, 0, 113, 1], 4330).into());
        Pointing { leg, proof, fallback: None, limit: 1400 }
    }

    #[test]
    fn an_unproved_address_gets_three_times_what_it_sent() {
        let endpoint =
            Endpoint::new(&point(Proof::Unproved { received: 100, credit: None }), 1 << 30, None);
        assert!(endpoint.debit(300));
        assert!(!endpoint.debit(1));
        endpoint.credit(10);
        assert!(!endpoint.debit(31), "refused whole");
        assert!(endpoint.debit(30));
    }

    #[test]
    fn pointing_to_an_unproved_address_again_gives_it_no_second_budget() {
        let unproved = |received| point(Proof::Unproved { received, credit: None });
        let fallback = Some(Leg::to(TransportId(0), ([203, 0, 113, 9], 4330).into()));
        let first = Endpoint::new(&Pointing { fallback, ..unproved(100) }, 0, None);
        assert!(first.debit(250));
        let again = Endpoint::new(&unproved(100), 0, Some(&first));
        assert!(!again.debit(51) && again.debit(50));
        assert!(!first.debit(1), "a worker that still holds the old one");
        assert_eq!(again.fallback, fallback, "there is still nothing better");
        let more = Endpoint::new(&unproved(110), 0, Some(&again));
        assert!(!more.debit(31) && more.debit(30), "only what has come since");
        let mut elsewhere = unproved(10);
        elsewhere.leg.remote.set_port(1);
        let elsewhere = Endpoint::new(&elsewhere, 0, Some(&more));
        assert!(elsewhere.debit(30) && elsewhere.fallback.is_none());
    }

    #[test]
    fn a_move_earns_one_round_trip_of_the_old_path() {
        let rtt = Some(Duration::from_millis(20));
        let proof = Proof::Unproved { received: 0, credit: rtt };
        let endpoint = Endpoint::new(&point(proof), 1_000_000, None);
        assert!(endpoint.debit(20_000));
        assert!(!endpoint.debit(1));
        let endpoint = Endpoint::new(&point(proof), u64::MAX, None);
        assert!(endpoint.debit(MOST_CREDIT));
        assert!(!endpoint.debit(1), "never more than a mebibyte");
    }

    #[test]
    fn a_proved_address_has_no_limit() {
        let endpoint = Endpoint::new(&point(Proof::Proved), 0, None);
        assert!(endpoint.debit(u64::MAX) && endpoint.is_proved());
    }

    #[test]
    fn the_meter_follows_the_rate_and_forgets() {
        let meter = Meter::default();
        let start = Time::ZERO + Duration::from_secs(5);
        for ms in 0..250 {
            meter.count(start + Duration::from_millis(ms), 1_000);
        }
        let rate = meter.rate(start + Duration::from_millis(250));
        assert!((900_000..=1_100_000).contains(&rate), "{rate}");
        let later = start + Duration::from_secs(9);
        assert!(meter.rate(later) < 50_000);
        meter.count(later, 0);
        assert_eq!(meter.rate(later), 0);
    }
}
