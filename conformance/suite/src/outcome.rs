use std::fmt;
use std::io;

use ntm_core::plugin::PluginError;

/// What became of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was kept; perhaps with a figure.
    Passed(Note),
    /// It was broken: how that was seen.
    Failed(String),
    /// The plugin does not say that it can do this: the capability.
    NotClaimed(&'static str),
    /// It cannot be tried on this machine: why.
    NotTried(String),
}

/// A remark about a promise that was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note(pub String);

/// What a check returns.
pub type Verdict = Result<Note, Stop>;

/// Why a check goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The promise is broken: how that was seen.
    Broken(String),
    /// It cannot be tried here: why.
    NotTried(String),
}

impl Stop {
    /// The promise is broken.
    pub fn broken(how: impl Into<String>) -> Self {
        Self::Broken(how.into())
    }

    /// It cannot be tried here.
    pub fn not_tried(why: impl Into<String>) -> Self {
        Self::NotTried(why.into())
    }
}

/// The promise was kept, and there is nothing to add.
impl Note {
    /// Nothing to add.
    pub const NONE: Self = Self(String::new());
}

impl<T: Into<String>> From<T> for Note {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

/// Everything that a plugin refuses unexpectedly breaks what is being tried.
impl From<PluginError> for Stop {
    fn from(error: PluginError) -> Self {
        Self::Broken(format!("the plugin refused: {error}"))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(format!("unexpected: {error}"))
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(note) => Self::Passed(note),
            Err(Stop::Broken(how)) => Self::Failed(how),
            Err(Stop::NotTried(why)) => Self::NotTried(why),
        }
    }
}

impl Outcome {
    /// In a word, as reports have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotClaimed(_) => "not claimed",
            Self::NotTried(_) => "not tried",
        }
    }

    /// What there is to say about it; empty if nothing.
    pub fn remark(&self) -> String {
        match self {
            Self::Passed(note) => note.0.clone(),
            Self::Failed(how) => how.clone(),
            Self::NotClaimed(capability) => format!("`{capability}` is not claimed"),
            Self::NotTried(why) => format!("not tried here: {why}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Ends a check with [`Stop::Broken`] and the sentence, unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err($crate::Stop::broken(format!($($sentence)+)));
        }
    };
}
