use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::endpoint::AMPLIFICATION;
use crate::address::Leg;

/// The smallest capsule: an IPv4 header in it.
const LEAST_CAPSULE: i64 = 64;
/// What asking a contested address costs: three challenges.
const ASKING: i64 = 3 * 61;

/// Where packets go as well while it is not clear which of two addresses is the
/// peer's: the same sealed capsules, of which the peer accepts one each.
#[derive(Debug)]
pub struct Mirror {
    /// The other way.
    pub leg: Leg,
    /// Three times what has come from there, less what has been sent there.
    left: Arc<AtomicI64>,
}

impl Mirror {
    /// To a way from which at least one capsule has come, and which is asked.
    pub(super) fn new(leg: Leg) -> Self {
        let left = AMPLIFICATION as i64 * LEAST_CAPSULE - ASKING;
        Self { leg, left: Arc::new(left.into()) }
    }

    /// So much has come from there, authenticated.
    pub fn credit(&self, bytes: u64) {
        let bytes = i64::try_from(bytes.saturating_mul(AMPLIFICATION)).unwrap_or(i64::MAX);
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes `bytes` before they are sent there; `false` if there is not enough left.
    pub fn debit(&self, bytes: u64) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let take = |left: i64| left.checked_sub(bytes).filter(|left| *left >= 0);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::TransportId;

    #[test]
    fn what_goes_there_with_the_challenges_is_three_times_what_came_at_most() {
        let leg = Leg::to(TransportId(0), ([203, 0, 113, 1], 4330).into());
        let mirror = Mirror::new(leg);
        let (mut came, mut sent) = (LEAST_CAPSULE as u64, ASKING as u64);
        for bytes in [100, 64, 1444, 70] {
            mirror.credit(bytes);
            came += bytes;
            for size in [1444, 300, 64] {
                while mirror.debit(size) {
                    sent += size;
                }
            }
            assert!(sent <= 3 * came && sent + 64 > 3 * came, "{sent} for {came}");
        }
    }
}
