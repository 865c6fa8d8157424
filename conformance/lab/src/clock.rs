use nix::time::{ClockId, clock_gettime};
use ntm_core::Time;

/// This moment on `CLOCK_BOOTTIME`, the clock that nodes run on too: what they
/// report and what the lab measures can be subtracted.
pub fn now() -> Time {
    // The call fails only for a clock that the kernel does not have; Linux has
    // had this one since 2.6.39.
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists");
    let (seconds, nanos) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
    Time::from_nanos(seconds * 1_000_000_000 + nanos)
}
