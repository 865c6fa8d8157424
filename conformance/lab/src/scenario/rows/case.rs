use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::family::Family;
use crate::scenario::domain::Mode;
use crate::scenario::mover::{End, Mover};

/// A row of the decision table, 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row(u8);

/// One cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A move after which the same row holds.
    Same {
        /// The row.
        row: Row,
        /// The family of all real addresses; the download's virtual ones too.
        family: Family,
        /// Who moves.
        mover: Mover,
        /// How it moves.
        mode: Mode,
    },
    /// A move of both ends, in fast mode, after which another row holds.
    Change {
        /// The row before.
        from: Row,
        /// The row after.
        to: Row,
    },
}

impl Row {
    /// All rows.
    pub const ALL: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// Its number in the table.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether an end is behind a NAT.
    pub(super) fn is_natted(self, end: End) -> bool {
        match self.0 {
            1 => false,
            2 => end == End::Mn,
            3 => end == End::Cn,
            _ => true,
        }
    }

    /// Whether both are behind the same one.
    pub(super) fn shares_nat(self) -> bool {
        self.0 == 5
    }

    /// The way that the table asks for, as `ntm status` calls it.
    pub fn way(self) -> &'static str {
        if self.0 == 4 { "relay" } else { "direct" }
    }
}

impl Case {
    /// The whole grid: 60 moves within a row, 20 from row to row.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for row in Row::ALL {
            for family in Family::BOTH {
                for mover in Mover::ALL {
                    for mode in [Mode::Fast, Mode::Seed] {
                        all.push(Self::Same { row, family, mover, mode });
                    }
                }
            }
        }
        for from in Row::ALL {
            for to in Row::ALL.into_iter().filter(|to| *to != from) {
                all.push(Self::Change { from, to });
            }
        }
        all
    }

    pub(super) fn before(self) -> Row {
        match self {
            Self::Same { row, .. } | Self::Change { from: row, .. } => row,
        }
    }

    pub(super) fn after(self) -> Row {
        match self {
            Self::Same { row, .. } | Self::Change { to: row, .. } => row,
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Self::Same { family, .. } => family,
            Self::Change { .. } => Family::V4,
        }
    }

    pub(super) fn mover(self) -> Mover {
        match self {
            Self::Same { mover, .. } => mover,
            Self::Change { .. } => Mover::Both,
        }
    }

    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Same { mode, .. } => mode,
            Self::Change { .. } => Mode::Fast,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { row, family, mover, mode } => {
                let family = if *family == Family::V4 { "v4" } else { "v6" };
                write!(f, "row{}-{family}-{}-{}", row.0, mover.name(), mode.name())
            }
            Self::Change { from, to } => write!(f, "row{}-to-row{}", from.0, to.0),
        }
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::all().into_iter().find(|case| case.to_string() == text);
        found.ok_or_else(|| Error::wrong(format!("there is no case {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_whole_and_each_name_is_read_back() {
        let all = Case::all();
        assert_eq!(all.len(), 80);
        for case in &all {
            assert_eq!(&case.to_string().parse::<Case>().unwrap(), case);
        }
        assert!("row6-v4-mn-fast".parse::<Case>().is_err());
    }
}
