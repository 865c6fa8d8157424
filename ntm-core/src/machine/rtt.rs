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

    /// The wait for an answer on a path that nothing is known of.
    pub(crate) const UNKNOWN: Duration = Duration::from_millis(250);

    pub(crate) fn sample(&mut self, rtt: Duration) {
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

    /// How long to wait for an answer: max(20 ms, SRTT + 4·RTTVAR), or 250 ms
    /// without a sample.
    pub(crate) fn pto(&self) -> Duration {
        self.smoothed
            .map_or(Self::UNKNOWN, |smoothed| (smoothed + 4 * self.deviation).max(Self::FLOOR))
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
}
