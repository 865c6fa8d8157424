use std::time::Duration;

use super::Rtt;
use crate::{Rng, Time};

/// No wait between two attempts is longer.
const CAP: Duration = Duration::from_secs(4);

/// When to send something again.
///
/// On a path with a known round trip and little patience ([`Backoff::urgent`]):
/// at 0, 5 and 20 ms, then after one PTO, doubling. Otherwise after one PTO,
/// doubling. Never more than 4 s apart; each wait is jittered by a tenth once
/// it is longer than 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    started: Time,
    sent: u32,
    early: u32,
    wait: Duration,
    next: Time,
}

/// Offsets of the early copies of something urgent.
const EARLY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(20)];

impl Backoff {
    /// Something that is sent now and has not been sent before.
    pub(crate) fn patient(now: Time, rtt: &Rtt) -> Self {
        Self { started: now, sent: 0, early: 0, wait: rtt.pto(), next: now }
    }

    /// The same, where every millisecond counts.
    pub(crate) fn urgent(now: Time, rtt: &Rtt) -> Self {
        let early = if rtt.smoothed().is_some() { EARLY.len() as u32 } else { 0 };
        Self { early, ..Self::patient(now, rtt) }
    }

    /// Notes that it is sent now and plans the next time.
    pub(crate) fn sent(&mut self, now: Time, rng: &mut Rng) {
        let copy = self.sent as usize;
        self.sent += 1;
        if self.sent <= self.early {
            self.next = self.started + EARLY[copy];
            if self.next > now {
                return;
            }
        }
        self.next = now + rng.jitter(self.wait);
        self.wait = (self.wait * 2).min(CAP);
    }

    /// Whether it is time to send it (again).
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.next <= now
    }

    /// When to send it next.
    pub(crate) fn next(&self) -> Time {
        self.next
    }

    /// When it was begun.
    pub(crate) fn started(&self) -> Time {
        self.started
    }

    /// How often it has been sent.
    pub(crate) fn copies(&self) -> u32 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(mut backoff: Backoff, count: usize) -> Vec<u64> {
        let mut rng = Rng::from_seed([3; 32]);
        let start = backoff.next();
        (0..count)
            .map(|_| {
                let at = backoff.next();
                backoff.sent(at, &mut rng);
                at.since(start).as_millis() as u64
            })
            .collect()
    }

    #[test]
    fn the_urgent_ladder_starts_at_0_5_and_20_ms() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_millis(10));
        let offsets = offsets(Backoff::urgent(Time::ZERO, &rtt), 6);
        assert_eq!(offsets[..3], [0, 5, 20]);
        let pto = rtt.pto().as_millis() as u64;
        let gaps: Vec<_> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (gap, expected) in gaps[2..].iter().zip([pto, 2 * pto, 4 * pto]) {
            assert!((expected * 89 / 100..=expected * 111 / 100).contains(gap), "{gaps:?}");
        }
    }

    #[test]
    fn without_a_sample_it_waits_250_ms_and_doubles_to_4_s() {
        let offsets = offsets(Backoff::urgent(Time::ZERO, &Rtt::default()), 9);
        let gaps: Vec<_> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (gap, expected) in gaps.iter().zip([250, 500, 1000, 2000, 4000, 4000, 4000, 4000]) {
            assert!((expected * 89 / 100..=expected * 111 / 100).contains(gap), "{gaps:?}");
        }
    }
}
