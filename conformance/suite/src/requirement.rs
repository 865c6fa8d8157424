use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use crate::case::Case;
use crate::kind::Kind;
use crate::outcome::Verdict;

/// One promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its identifier, such as `VIP-3`: never given to another promise.
    pub id: &'static str,
    /// The kinds of plugins that make it.
    pub kinds: &'static [Kind],
    /// Where it stands: a file of this project and a heading in it, such as
    /// `docs/plugins/PROMISES.md#vip`.
    pub section: &'static str,
    /// The promise, as half a sentence.
    pub title: &'static str,
    /// What a broken one costs whom.
    pub why: &'static str,
}

/// What tries a promise: it ends, or is counted as hanging.
pub type Try = for<'a> fn(&'a Case) -> Pin<Box<dyn Future<Output = Verdict> + 'a>>;

/// A promise, and how it is tried.
#[derive(Clone, Copy)]
pub struct Check {
    /// The promise.
    pub requirement: Requirement,
    /// The capabilities that a plugin has to claim for it to be tried.
    pub needs: &'static [&'static str],
    /// After this time it counts as hanging.
    pub limit: Duration,
    /// Takes a network of whole nodes on the real kernel: only tried if asked for.
    pub lab: bool,
    /// Tries it.
    pub run: Try,
}

impl Check {
    /// How long a check may take unless it says otherwise: a machine that is
    /// busy is not a plugin that hangs.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// A promise of these kinds, tried like this.
    pub const fn new(requirement: Requirement, run: Try) -> Self {
        Self { requirement, needs: &[], limit: Self::LIMIT, lab: false, run }
    }

    /// Tried only where all of these capabilities are claimed.
    #[must_use]
    pub const fn needs(mut self, capabilities: &'static [&'static str]) -> Self {
        self.needs = capabilities;
        self
    }

    /// With another time limit.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Only tried if asked for.
    #[must_use]
    pub const fn lab(mut self) -> Self {
        self.lab = true;
        self
    }

    /// Its identifier.
    pub fn id(&self) -> &'static str {
        self.requirement.id
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.requirement.id).finish()
    }
}
