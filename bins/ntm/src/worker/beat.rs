//! Whether a worker still moves. A lane of a plugin may never come back, and
//! nobody can take a thread out of it; but others can see that it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ntm_core::Time;

/// A turn takes microseconds, and a machine that is short of processors some tenths
/// of a second. Longer than a shared object is given for an entry that must not block
/// (2 s): its instance is given up first, and who takes over finds another.
const STUCK: Duration = Duration::from_secs(3);
/// Looks in that time at least: whoever looks may be short of processors, too.
const LOOKS: u32 = 3;

/// The worker's end: even while it waits for something to do, odd while it works.
#[derive(Debug)]
pub(super) struct Beat(Arc<AtomicU64>, u64);

/// The end of who looks after it.
#[derive(Debug)]
pub(super) struct Pulse {
    beat: Arc<AtomicU64>,
    seen: u64,
    since: Time,
    looks: u32,
}

pub(super) fn pair() -> (Beat, Pulse) {
    let beat = Arc::new(AtomicU64::new(0));
    let pulse = Pulse { beat: beat.clone(), seen: 0, since: Time::ZERO, looks: 0 };
    (Beat(beat, 0), pulse)
}

impl Beat {
    pub(super) fn begin(&mut self) {
        self.1 |= 1;
        self.0.store(self.1, Ordering::Relaxed);
    }

    pub(super) fn end(&mut self) {
        self.1 += 1;
        self.0.store(self.1, Ordering::Relaxed);
    }
}

impl Pulse {
    pub(super) fn is_stuck(&mut self, now: Time) -> bool {
        let beat = self.beat.load(Ordering::Relaxed);
        if beat & 1 == 0 || beat != self.seen {
            (self.seen, self.since, self.looks) = (beat, now, 0);
            return false;
        }
        self.looks += 1;
        self.looks >= LOOKS && now.since(self.since) >= STUCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_turn_that_does_not_end_is_noticed_and_neither_waiting_nor_many_turns_are() {
        let (mut beat, mut pulse) = pair();
        let mut at = Time::ZERO;
        let mut looks = |pulse: &mut Pulse, turn: &mut dyn FnMut()| {
            let look = |_| {
                turn();
                at += Duration::from_secs(1);
                pulse.is_stuck(at)
            };
            (0..10).map(look).position(|stuck| stuck)
        };
        assert_eq!(looks(&mut pulse, &mut || {}), None, "it waits");
        let many = &mut || {
            beat.begin();
            beat.end();
            beat.begin();
        };
        assert_eq!(looks(&mut pulse, many), None, "it works");
        assert_eq!(looks(&mut pulse, &mut || {}), Some(2));
        let (mut beat, mut pulse) = pair();
        beat.begin();
        assert!(!pulse.is_stuck(Time::ZERO) && !pulse.is_stuck(Time::ZERO + STUCK), "two looks");
    }
}
