use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts the moves of one node, and is written by that node alone.
///
/// The upper half is the node's start in seconds of the calendar, the lower
/// half the moves since: a node that restarts is newer than it ever was, and
/// two ends that move at once cannot conflict, since each writes its own.
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

    /// The epoch after one more move.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The first epoch of this node that is newer than `seen`, which somebody
    /// remembers from before a restart with a clock that was ahead.
    #[must_use]
    pub fn above(self, seen: Self) -> Self {
        if seen.0 >= self.0 { seen.next() } else { self }
    }

    /// The second of the calendar at which the node started.
    pub fn start(self) -> u64 {
        self.0 >> 32
    }

    /// What a capsule carries of it.
    pub fn low(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 32, self.0 & 0xffff_ffff)
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
    fn a_clock_that_went_back_is_jumped_over() {
        let remembered = Epoch::starting(900).next();
        let restarted = Epoch::starting(100);
        assert!(restarted.above(remembered) > remembered);
        assert_eq!(Epoch::starting(901).above(remembered), Epoch::starting(901));
    }
}
