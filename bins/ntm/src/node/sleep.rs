use std::time::Duration;

use ntm_core::Time;

/// What passes unnoticed without being sleep.
const SLACK: Duration = Duration::from_secs(1);
/// A timer that is so late was not kept waiting by a busy machine.
const LATE: Duration = Duration::from_secs(5);

/// Notices that the machine has slept, or stood still as a virtual one does.
#[derive(Debug)]
pub(crate) struct Sleep {
    /// How far the clock that counts sleep is ahead of the one that does not.
    ahead: Duration,
    /// When a timer of the loop is due, by the clock that counts sleep.
    due: Time,
}

impl Sleep {
    /// `boot` counts sleep, `awake` does not.
    pub(crate) fn new(boot: Time, awake: Time) -> Self {
        Self { ahead: boot.since(awake), due: boot }
    }

    /// A timer has been set.
    pub(crate) fn expect(&mut self, due: Time) {
        self.due = due;
    }

    /// A timer of the loop has fired: how long the machine has slept since the
    /// last one, if it has.
    pub(crate) fn check(&mut self, boot: Time, awake: Time) -> Option<Duration> {
        let ahead = boot.since(awake);
        let slept = ahead.saturating_sub(self.ahead);
        self.ahead = ahead;
        let late = boot.since(self.due);
        if slept >= SLACK { Some(slept) } else { (late >= LATE).then_some(late) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_counts_sleep_and_runs_ahead_tells_of_it_once() {
        let mut sleep = Sleep::new(at(1000), at(400));
        sleep.expect(at(1001));
        assert_eq!(sleep.check(at(1001), at(401)), None);
        sleep.expect(at(1002));
        assert_eq!(sleep.check(at(1062), at(402)), Some(60 * SECOND));
        sleep.expect(at(1063));
        assert_eq!(sleep.check(at(1063), at(403)), None);
    }

    #[test]
    fn a_timer_that_is_far_too_late_tells_of_a_machine_that_stood_still() {
        let mut sleep = Sleep::new(at(1000), at(1000));
        sleep.expect(at(1001));
        assert_eq!(sleep.check(at(1003), at(1003)), None, "merely busy");
        sleep.expect(at(1004));
        assert_eq!(sleep.check(at(1064), at(1064)), Some(60 * SECOND));
    }
}
