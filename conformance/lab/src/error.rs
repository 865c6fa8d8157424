use std::io;
use std::time::Duration;

/// Why the lab could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused a step ("mount /run").
    #[error("cannot {what}: {source}")]
    System {
        /// The step, as an infinitive.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused a request over netlink.
    #[error("cannot {what}: {source}")]
    Netlink {
        /// The request, as an infinitive.
        what: String,
        /// What the kernel said.
        source: Box<rtnetlink::Error>,
    },
    /// Something the step needs is not on this machine.
    #[error("{what} is not here; {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What a person can do about it.
        remedy: String,
    },
    /// Something awaited did not come.
    #[error("{what} did not come within {limit:?}")]
    Timeout {
        /// What was awaited.
        what: String,
        /// For how long.
        limit: Duration,
    },
    /// The caller asked for what cannot be, or the network is not what it was
    /// asked to be.
    #[error("{0}")]
    Wrong(String),
}

/// What most of the lab returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }

    pub(crate) fn netlink(what: impl Into<String>, source: rtnetlink::Error) -> Self {
        Self::Netlink { what: what.into(), source: Box::new(source) }
    }

    pub(crate) fn wrong(sentence: impl Into<String>) -> Self {
        Self::Wrong(sentence.into())
    }
}

/// Says which step it was that the system refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::system(what(), error))
    }
}
