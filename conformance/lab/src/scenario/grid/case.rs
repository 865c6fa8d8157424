use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::family::Family;
use crate::scenario::mover::{End, Mover};

/// The IP versions of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Versions {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Dual,
}

/// What a network is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing: its addresses are public.
    None,
    /// A router that keeps ports where it can.
    Cone,
    /// A router that draws a port for each destination.
    Symmetric,
    /// A home's router behind a carrier's.
    Cgnat,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Case {
    /// Of all networks before the move.
    pub before: Versions,
    /// Of those that are moved to.
    pub after: Versions,
    /// Who moves.
    pub mover: Mover,
    /// Of the networks that are moved from and to.
    pub kind: Kind,
}

/// Before the move or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

impl Versions {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Dual];

    /// As names of cells have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::Dual => "dual",
        }
    }

    pub(super) fn families(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::V4],
            Self::V6 => &[Family::V6],
            Self::Dual => &Family::BOTH,
        }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Cone, Self::Symmetric, Self::Cgnat];

    /// As names of cells have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cone => "cone",
            Self::Symmetric => "symmetric",
            Self::Cgnat => "cgnat",
        }
    }

    fn translates(self, family: Family) -> bool {
        match self {
            Self::None => false,
            Self::Cone | Self::Symmetric => true,
            Self::Cgnat => family == Family::V4,
        }
    }
}

impl Case {
    /// The whole grid, 108 cells.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            for mover in Mover::ALL {
                for before in Versions::ALL {
                    for after in Versions::ALL {
                        all.push(Self { before, after, mover, kind });
                    }
                }
            }
        }
        all
    }

    /// Nine cells in which every value of every dimension occurs, and every change of
    /// IP versions.
    pub fn quick() -> Vec<Self> {
        let cell = |nth: usize| Self {
            before: Versions::ALL[nth / 3],
            after: Versions::ALL[nth % 3],
            mover: Mover::ALL[(nth / 3 + nth) % 3],
            kind: Kind::ALL[nth % 4],
        };
        (0..9).map(cell).collect()
    }

    pub(super) fn versions(self, end: End, when: When) -> Versions {
        if when == When::After && self.mover.moves(end) { self.after } else { self.before }
    }

    /// What an end is behind.
    pub(super) fn kind_at(self, end: End) -> Kind {
        if self.mover.moves(end) { self.kind } else { Kind::None }
    }

    /// The way that the decision table asks for, as `ntm status` calls it: direct
    /// where the ends share a version in which at least one is not translated.
    pub(super) fn way(self, when: When) -> &'static str {
        let [mn, cn] = End::BOTH.map(|end| (self.versions(end, when), self.kind_at(end)));
        let shared = mn.0.families().iter().filter(|family| cn.0.families().contains(family));
        let direct = shared
            .into_iter()
            .any(|family| !(mn.1.translates(*family) && cn.1.translates(*family)));
        if direct { "direct" } else { "relay" }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, mover, kind } = self;
        write!(f, "{}-{}-{}-{}", before.name(), after.name(), mover.name(), kind.name())
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::all().into_iter().find(|case| case.to_string() == text);
        found.ok_or_else(|| Error::wrong(format!("there is no cell {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_whole_and_each_name_is_read_back() {
        let all = Case::all();
        assert_eq!(all.len(), 3 * 3 * 3 * 4);
        for case in &all {
            assert_eq!(&case.to_string().parse::<Case>().unwrap(), case);
        }
        assert!("v4-v5-mn-none".parse::<Case>().is_err());
    }

    #[test]
    fn few_cells_cover_every_value() {
        let quick = Case::quick();
        assert_eq!(quick.len(), 9);
        let has = |what: &dyn Fn(&Case) -> bool| quick.iter().any(what);
        for versions in Versions::ALL {
            assert!(has(&|case| case.before == versions) && has(&|case| case.after == versions));
        }
        assert!(Mover::ALL.iter().all(|mover| has(&|case| case.mover == *mover)));
        assert!(Kind::ALL.iter().all(|kind| has(&|case| case.kind == *kind)));
    }

    #[test]
    fn a_relay_is_needed_without_a_common_version_and_between_two_nats() {
        for (name, before, after) in [
            ("v4-v6-mn-none", "direct", "relay"),
            ("v4-v6-both-none", "direct", "direct"),
            ("dual-v6-cn-symmetric", "direct", "direct"),
            ("v4-v6-both-cone", "relay", "relay"),
            ("v4-dual-both-cgnat", "relay", "direct"),
            ("v6-v4-mn-cgnat", "direct", "relay"),
        ] {
            let case: Case = name.parse().unwrap();
            assert_eq!([case.way(When::Before), case.way(When::After)], [before, after], "{name}");
        }
    }
}
