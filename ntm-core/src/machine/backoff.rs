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
///
/// Where no answer is a verdict ([`Backoff::insistent`]): three questions, one
/// wait and then two more apart, of which the second is asked three times and the
/// third six times, half a wait apart; two more waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    pace: Pace,
    started: Time,
    sent: u32,
    wait: Duration,
    next: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pace {
    Patient,
    Urgent,
    Insistent,
}

/// Offsets of the early copies of something urgent.
const EARLY: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(20)];

/// A radio that looks for other networks is silent for a third of a second: not
/// all that is silent that long is dead.
const LEAST_INSISTENT: Duration = Duration::from_millis(75);

impl Backoff {
    /// Copies of what is asked insistently.
    pub(crate) const INSISTENT: u32 = 10;

    /// Something that is sent now and has not been sent before.
    pub(crate) fn patient(now: Time, rtt: &Rtt) -> Self {
        Self { pace: Pace::Patient, started: now, sent: 0, wait: rtt.pto(), next: now }
    }

    /// The same, where every millisecond counts.
    pub(crate) fn urgent(now: Time, rtt: &Rtt) -> Self {
        let pace = if rtt.smoothed().is_some() { Pace::Urgent } else { Pace::Patient };
        Self { pace, ..Self::patient(now, rtt) }
    }

    /// Something of which silence is believed after [`Backoff::INSISTENT`] copies:
    /// where one datagram in ten is lost each way, once in ten million times by
    /// mistake.
    pub(crate) fn insistent(now: Time, rtt: &Rtt) -> Self {
        let wait = rtt.pto().clamp(LEAST_INSISTENT, CAP);
        Self { pace: Pace::Insistent, wait, ..Self::patient(now, rtt) }
    }

    /// Notes that it is sent now and plans the next time.
    pub(crate) fn sent(&mut self, now: Time, rng: &mut Rng) {
        let copy = self.sent as usize;
        self.sent += 1;
        match self.pace {
            Pace::Urgent if copy < EARLY.len() => {
                self.next = self.started + EARLY[copy];
                if self.next > now {
                    return;
                }
            }
            Pace::Insistent => {
                let wait = match self.sent {
                    1 => self.wait,
                    ..Self::INSISTENT => self.wait / 2,
                    _ => 2 * self.wait,
                };
                self.next = now + wait;
                return;
            }
            Pace::Patient | Pace::Urgent => {}
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
    fn an_insistent_question_is_asked_one_three_and_six_times_within_seven_waits() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_millis(100));
        let offsets = offsets(Backoff::insistent(Time::ZERO, &rtt), 11);
        let halves: Vec<_> = offsets.iter().map(|ms| ms / 150).collect();
        assert_eq!(halves, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14]);
        rtt = Rtt::default();
        rtt.sample(Duration::from_micros(300));
        let near = self::offsets(Backoff::insistent(Time::ZERO, &rtt), 11);
        assert_eq!(near[10], 525, "not sooner");
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
