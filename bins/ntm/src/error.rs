use std::io;
use std::process::ExitCode;

use ntm_core::plugin::{Fault, PluginError};

use crate::config::{ConfigError, Sources};

/// Why a program of ours ends; one exit code a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The thing asked for failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The process may not do what it needs.
    Permission = 3,
    /// Something it needs is not on this machine.
    Missing = 4,
    /// Somebody else holds what it needs: a port, a name, a file.
    Busy = 5,
    /// This system or build cannot do it.
    Unsupported = 6,
    /// A second signal ended it at once.
    Stopped = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Config => Self::Usage,
            Fault::Permission => Self::Permission,
            Fault::Missing => Self::Missing,
            Fault::Busy => Self::Busy,
            Fault::Unsupported => Self::Unsupported,
            Fault::System => Self::Failed,
        }
    }
}

/// Why a node does not start: a sentence, and the exit code that goes with it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// For the process.
    pub exit: Exit,
    /// For a person: file, line, what is wrong and what to do.
    pub message: String,
}

impl StartError {
    /// What a plugin refused, at the place in the configuration that is to blame.
    pub fn plugin(sources: &Sources, section: &str, error: &PluginError) -> Self {
        let message = sources.plugin_error(section, error).to_string();
        Self { exit: error.fault.into(), message }
    }

    /// As [`plugin`](Self::plugin), where the value at `path` is to blame.
    pub fn at(sources: &Sources, path: &str, error: &PluginError) -> Self {
        let message = sources.error(path, error.to_string()).to_string();
        Self { exit: error.fault.into(), message }
    }

    /// A failure of the system while doing `what`.
    pub fn io(what: &str, error: &io::Error) -> Self {
        let fault = PluginError::io(what, error, "").fault;
        Self { exit: fault.into(), message: format!("cannot {what}: {error}") }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self { exit: Exit::Usage, message: error.to_string() }
    }
}
