use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bits that count moves, below those that tell the part of a second,
const MOVES: u32 = 16;
/// of which there are so many.
const PARTS: u64 = 1 << 16;

/// Counts the moves of one node, and is written by that node alone.
///
/// The upper half is the node's start in seconds of the calendar, the lower
/// half counts the moves since, and begins at the part of that second: a node that
/// restarts is newer than it ever was, and two ends that move at once cannot
/// conflict, since each writes its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The first epoch of a node that starts at this second of the calendar.
    pub fn starting(unix_seconds: u64) -> Self {
        Self(unix_seconds << 32)
    }

    /// The same, so far into that second: a node that starts twice in one second does
    /// not have the same epochs twice, of which others may have heard more than the
    /// coordinator.
    #[must_use]
    pub fn begun_after(self, part_of_second: Duration) -> Self {
        let part = u64::from(part_of_second.subsec_nanos()) * PARTS / 1_000_000_000;
        Self(self.0 | part << MOVES)
    }

    /// The epoch after one more move.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The first epoch of this node that is newer than `seen`, which the coordinator
    /// remembers from before a restart with a clock that was ahead: one of a later
    /// start, since others may know of moves after it that the coordinator has not
    /// heard of.
    #[must_use]
    pub fn above(self, seen: Self) -> Self {
        if seen < self {
            return self;
        }
        u32::try_from(seen.start() + 1).map_or(seen.next(), |after| Self::starting(after.into()))
    }

    /// The second of the calendar at which the node started.
    pub fn start(self) -> u64 {
        self.0 >> 32
    }

    /// What a capsule carries of it: how often the node has moved, as long as that is
    /// not very often.
    pub fn low(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.start(), self.low())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_newer_than_any_number_of_moves() {
        let before = (0..1000).fold(Epoch::starting(100), |epoch, _| epoch.next());
        assert!(Epoch::starting(101) > before);
    }

    #[test]
    fn a_clock_that_went_back_is_jumped_over_with_the_moves_that_nobody_told_of() {
        let remembered = Epoch::starting(900).next();
        let unheard = (0..1000).fold(remembered, |epoch, _| epoch.next());
        let restarted = Epoch::starting(100);
        assert!(restarted.above(remembered) > unheard);
        assert_eq!(Epoch::starting(901).above(remembered), Epoch::starting(901));
        let last = Epoch((u64::MAX >> 32 << 32) + 7);
        assert_eq!(restarted.above(last), last.next());
    }

    #[test]
    fn a_start_in_the_same_second_is_newer_than_the_moves_after_the_one_before() {
        let millis = Duration::from_millis;
        let first = Epoch::starting(900).begun_after(millis(500));
        let moved = (0..60).fold(first, |epoch, _| epoch.next());
        let again = Epoch::starting(900).begun_after(millis(501));
        assert!(again > moved);
        assert_eq!((again.start(), again.low()), (900, 0));
        assert!(Epoch::starting(901) > Epoch::starting(900).begun_after(millis(999)));
    }
}
