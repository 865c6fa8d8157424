use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ntm_core::Rng;

use super::Conditions;

/// What became of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Delivered to the other end.
    pub carried: u64,
    /// Lost on purpose: by chance, too large, or in flight when the plug was
    /// pulled.
    pub lost: u64,
    /// Dropped because a queue was full.
    pub overflowed: u64,
}

/// One direction of a link: decides when a frame arrives, and keeps it until.
pub(super) struct Direction {
    pub(super) conditions: Conditions,
    pub(super) counters: Counters,
    rng: Rng,
    /// In the order of their arrival times.
    flying: VecDeque<(Instant, Vec<u8>)>,
    flying_bytes: usize,
    /// When the last frame will have been put on the wire.
    wire_free: Instant,
    /// Buffers of frames that have arrived.
    spare: Vec<Vec<u8>>,
}

impl Direction {
    pub(super) fn new(conditions: Conditions, rng: Rng, now: Instant) -> Self {
        let counters = Counters::default();
        let (flying, spare) = (VecDeque::new(), Vec::new());
        Self { conditions, counters, rng, flying, flying_bytes: 0, wire_free: now, spare }
    }

    /// When a frame that is sent now arrives; `None` if it does not.
    pub(super) fn fate(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let conditions = &self.conditions;
        if bytes.saturating_sub(ETHERNET_HEADER) > conditions.largest_packet
            || conditions.loss > 0.0 && chance(&mut self.rng) < conditions.loss
        {
            self.counters.lost += 1;
            return None;
        }
        if self.flying_bytes + bytes > MAX_FLYING {
            self.counters.overflowed += 1;
            return None;
        }
        let mut sent = now;
        if let Some(rate) = conditions.rate {
            let start = self.wire_free.max(now);
            if start.duration_since(now) > wire_time(conditions.buffer, rate) {
                self.counters.overflowed += 1;
                return None;
            }
            sent = start + wire_time(bytes, rate);
            self.wire_free = sent;
        }
        let mut arrives = sent + conditions.delay;
        if !conditions.jitter.is_zero() {
            arrives += conditions.jitter.mul_f64(chance(&mut self.rng));
        }
        // A wire keeps the order, whatever the jitter or a change of the delay.
        Some(self.flying.back().map_or(arrives, |(last, _)| arrives.max(*last)))
    }

    /// Keeps a frame until its time.
    pub(super) fn keep(&mut self, arrives: Instant, frame: &[u8]) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(frame);
        self.flying_bytes += frame.len();
        self.flying.push_back((arrives, buffer));
    }

    /// When the next frame arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.flying.front().map(|(arrives, _)| *arrives)
    }

    /// Hands over the frames that have arrived by now.
    pub(super) fn deliver(&mut self, now: Instant, mut receive: impl FnMut(&[u8])) {
        while self.flying.front().is_some_and(|(arrives, _)| *arrives <= now) {
            let Some((_, frame)) = self.flying.pop_front() else { return };
            self.flying_bytes -= frame.len();
            self.counters.carried += 1;
            receive(&frame);
            if self.spare.len() < MAX_SPARE {
                self.spare.push(frame);
            }
        }
    }

    /// Loses what is in flight.
    pub(super) fn clear(&mut self) {
        self.counters.lost += self.flying.len() as u64;
        self.flying.clear();
        self.flying_bytes = 0;
    }
}

/// Evenly spread over 0 to 1, 1 excluded.
fn chance(rng: &mut Rng) -> f64 {
    // 53 bits are what a f64 holds exactly.
    (rng.number() >> 11) as f64 / (1_u64 << 53) as f64
}

fn wire_time(bytes: usize, rate: u64) -> Duration {
    Duration::from_nanos((bytes as u128 * 8_000_000_000 / u128::from(rate.max(1))) as u64)
}

const ETHERNET_HEADER: usize = 14;
/// Half a second at 1 Gbit/s.
const MAX_FLYING: usize = 64 * 1024 * 1024;
const MAX_SPARE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn direction(conditions: Conditions) -> (Direction, Instant) {
        let now = Instant::now();
        (Direction::new(conditions, Rng::from_seed([1; 32]), now), now)
    }

    fn arrivals(direction: &mut Direction, now: Instant) -> Vec<u8> {
        let mut arrived = Vec::new();
        direction.deliver(now, |frame| arrived.push(frame[0]));
        arrived
    }

    #[test]
    fn a_frame_arrives_after_the_delay_and_not_before() {
        let (mut direction, now) = direction(Conditions::delay(20 * MS));
        let arrives = direction.fate(now, 100).unwrap();
        direction.keep(arrives, &[1]);
        assert_eq!(direction.next(), Some(now + 20 * MS));
        assert!(arrivals(&mut direction, now + 19 * MS).is_empty());
        assert_eq!(arrivals(&mut direction, now + 20 * MS), [1]);
    }

    #[test]
    fn frames_keep_their_order_under_jitter_and_when_the_delay_shrinks() {
        let (mut direction, now) = direction(Conditions::delay(20 * MS).with_jitter(50 * MS));
        for number in 0..100 {
            if number == 50 {
                direction.conditions = Conditions::PERFECT;
            }
            let arrives = direction.fate(now + u32::from(number) * MS, 100).unwrap();
            direction.keep(arrives, &[number]);
        }
        let all = arrivals(&mut direction, now + 1000 * MS);
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_share_lost_is_the_share_asked_for() {
        let (mut direction, now) = direction(Conditions::PERFECT.with_loss(0.1));
        let arrived = (0..100_000).filter(|_| direction.fate(now, 100).is_some()).count();
        // Seeded: the same in each run; 4 standard deviations are 380.
        assert!((89_600..=90_400).contains(&arrived), "{arrived}");
        assert_eq!(direction.counters.lost as usize, 100_000 - arrived);
    }

    #[test]
    fn a_rate_spaces_frames_and_a_full_buffer_drops() {
        // 1250 bytes take 10 ms.
        let (mut direction, now) = direction(Conditions::PERFECT.with_rate(1_000_000));
        direction.conditions.buffer = 2 * 1250;
        let fates: Vec<_> = (0..5).map(|_| direction.fate(now, 1250)).collect();
        let after = |ms: u32| Some(now + ms * MS);
        assert_eq!(fates, [after(10), after(20), after(30), None, None]);
        assert_eq!(direction.counters.overflowed, 2);
        assert_eq!(direction.fate(now + 25 * MS, 1250), after(40));
    }

    #[test]
    fn what_is_too_large_vanishes() {
        let (mut direction, now) = direction(Conditions::PERFECT);
        direction.conditions.largest_packet = 1280;
        assert!(direction.fate(now, 1280 + ETHERNET_HEADER).is_some());
        assert!(direction.fate(now, 1281 + ETHERNET_HEADER).is_none());
    }

    #[test]
    fn what_is_in_flight_is_lost_when_the_plug_is_pulled() {
        let (mut direction, now) = direction(Conditions::delay(20 * MS));
        let arrives = direction.fate(now, 100).unwrap();
        direction.keep(arrives, &[1]);
        direction.clear();
        assert!(arrivals(&mut direction, now + 1000 * MS).is_empty());
        assert_eq!(direction.counters, Counters { lost: 1, ..Counters::default() });
    }
}
