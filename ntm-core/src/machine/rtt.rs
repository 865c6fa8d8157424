use std::time::Duration;

/// Round trips of one path: smoothed mean and deviation (RFC 6298).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    deviation: Duration,
}

impl Rtt {
    /// No wait for an answer is shorter.
    const FLOOR: Duration = Duration::from_millis(20);

    /// Nor longer. What took longer has slept meanwhile: it says nothing of the path.
    const CEILING: Duration = Duration::from_secs(4);

    /// The wait for an answer on a path that nothing is known of.
    pub(crate) const UNKNOWN: Duration = Duration::from_millis(250);

    pub(crate) fn sample(&mut self, rtt: Duration) {
        let rtt = rtt.min(Self::CEILING);
        match self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.deviation = rtt / 2;
            }
            Some(smoothed) => {
                let off = smoothed.abs_diff(rtt);
                self.deviation = (self.deviation * 3 + off) / 4;
                self.smoothed = Some((smoothed * 7 + rtt) / 8);
            }
        }
    }

    /// The smoothed mean, once there is a sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How long to wait for an answer: SRTT + 4·RTTVAR, at least 20 ms and at most 4 s,
    /// or 250 ms without a sample.
    pub(crate) fn pto(&self) -> Duration {
        let wait = |smoothed| smoothed + 4 * self.deviation;
        let within = |wait: Duration| wait.clamp(Self::FLOOR, Self::CEILING);
        self.smoothed.map(wait).map_or(Self::UNKNOWN, within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_follows_the_samples() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.pto(), Rtt::UNKNOWN);
        rtt.sample(Duration::from_millis(100));
        assert_eq!(rtt.pto(), Duration::from_millis(300));
        for _ in 0..50 {
            rtt.sample(Duration::from_millis(100));
        }
        assert!(rtt.pto() < Duration::from_millis(105));
        for _ in 0..50 {
            rtt.sample(Duration::from_micros(300));
        }
        assert_eq!(rtt.pto(), Rtt::FLOOR);
    }

    #[test]
    fn an_answer_that_was_slept_through_is_no_reason_to_wait_for_minutes() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_secs(365));
        assert_eq!(rtt.pto(), Rtt::CEILING);
        for _ in 0..40 {
            rtt.sample(Duration::from_millis(10));
        }
        assert!(rtt.pto() < Duration::from_millis(250), "{:?}", rtt.pto());
    }
}
