//! What came out.

mod json;
mod junit;

use std::fmt;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::requirement::Requirement;
use crate::subject::Subject;

/// What became of every promise of one plugin, or of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What its author calls it.
    pub name: String,
    /// What it is: a kind of plugin, or a role.
    pub kind: &'static str,
    /// Where it came from.
    pub origin: String,
    /// Every promise that was looked at.
    pub tried: Vec<Tried>,
}

/// What became of one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The promise.
    pub requirement: Requirement,
    /// What became of it.
    pub outcome: Outcome,
    /// How long that took.
    pub took: Duration,
}

impl Tried {
    /// Whether the promise is broken.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

impl Report {
    pub(crate) fn new(subject: &Subject, tried: Vec<Tried>) -> Self {
        let (name, origin) = (subject.name().to_owned(), subject.origin().to_owned());
        Self { name, kind: subject.kind().name(), origin, tried }
    }

    /// Whether no promise is broken.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Those that are broken.
    pub fn failed(&self) -> impl Iterator<Item = &Tried> {
        self.tried.iter().filter(|it| it.failed())
    }

    fn count(&self, what: impl Fn(&Outcome) -> bool) -> usize {
        self.tried.iter().filter(|it| what(&it.outcome)).count()
    }
}

/// One line, such as `ntm conformance: udp 23/23 passed, 2 not claimed`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.count(|it| matches!(it, Outcome::Passed(_)));
        let failed = self.failed().count();
        write!(f, "ntm conformance: {} {passed}/{} passed", self.name, passed + failed)?;
        let not_claimed = self.count(|it| matches!(it, Outcome::NotClaimed(_)));
        let not_tried = self.count(|it| matches!(it, Outcome::NotTried(_)));
        for (count, what) in [(not_claimed, "not claimed"), (not_tried, "not tried here")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::kind::Kind;

    pub(crate) fn sample() -> Report {
        let outcomes = [
            Outcome::Passed("10 times".into()),
            Outcome::Failed("a < b & \"c\"\u{1}".into()),
            Outcome::NotClaimed("colour"),
            Outcome::NotTried("no room".into()),
        ];
        let requirement = Requirement {
            id: "VIP-0",
            kinds: &[Kind::Vip],
            section: "docs/plugins/PROMISES.md#vip",
            title: "a sample",
            why: "",
        };
        let took = Duration::from_millis(1500);
        let tried = outcomes.map(|outcome| Tried { requirement, outcome, took }).to_vec();
        Report { name: "mine".into(), kind: "vip", origin: "built in".into(), tried }
    }

    #[test]
    fn a_line_sums_up() {
        let line = "ntm conformance: mine 1/2 passed, 1 not claimed, 1 not tried here";
        assert_eq!(sample().to_string(), line);
        assert!(!sample().passed());
    }
}
