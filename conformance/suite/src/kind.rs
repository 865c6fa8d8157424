use std::fmt;
use std::str::FromStr;

use ntm_host::Kinds;

/// The kinds of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Carries datagrams between real addresses.
    Transport,
    /// Knows this machine's addresses.
    Watcher,
    /// Plans which paths to try.
    Traversal,
    /// Chooses virtual addresses.
    Vip,
    /// Application packets in and out.
    Interface,
    /// What a coordinator must not lose.
    Registry,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Transport,
        Self::Watcher,
        Self::Traversal,
        Self::Vip,
        Self::Interface,
        Self::Registry,
    ];

    /// As a configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Watcher => "watcher",
            Self::Traversal => "traversal",
            Self::Vip => "vip",
            Self::Interface => "interface",
            Self::Registry => "registry",
        }
    }

    /// Those among the kinds of a library.
    pub fn of(kinds: Kinds) -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| kinds.names().any(|name| name == kind.name())).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.into_iter().map(Self::name).collect();
            format!("there is no kind `{text}`; use one of {}", all.join(", "))
        })
    }
}
