//! The machine's clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use ntm_core::Time;
use rustix::time::{ClockId, clock_gettime};

/// Goes on while the machine sleeps: a node that slept has probably moved, and
/// its leases have aged.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Now.
pub fn now() -> Time {
    read(CLOCK)
}

/// The same by a clock that stops while the machine sleeps.
pub fn awake() -> Time {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Time {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Time::from_nanos(seconds * 1_000_000_000 + nanos)
}

/// The second of the calendar at which [`now`] would have been zero.
pub fn unix_at_zero() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    unix.saturating_sub(now().nanos() / 1_000_000_000)
}
