use std::fmt;
use std::io;

/// Whose doing a plugin's failure is; decides the exit code and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value in the plugin's configuration cannot be used.
    Config,
    /// The process may not do what the plugin needs.
    Permission,
    /// Something the plugin needs is not on this machine.
    Missing,
    /// Somebody else holds what the plugin wants.
    Busy,
    /// This system or build cannot do it.
    Unsupported,
    /// The operating system failed in another way.
    System,
}

/// Why a plugin could not do what it was asked: what happened, to what, and
/// what a person can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginError {
    /// Whose doing it is.
    pub fault: Fault,
    /// What happened, as half a sentence without a full stop.
    pub message: String,
    /// What to do about it, as half a sentence; empty if nobody knows.
    pub remedy: String,
    /// The key in the plugin's own configuration that is to blame, dotted, so
    /// that the host can point at the line; `.` is the whole of it.
    pub key: Option<String>,
}

impl PluginError {
    /// A failure of this kind.
    pub fn new(fault: Fault, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault, message: message.into(), remedy: remedy.into(), key: None }
    }

    /// An operating system error while doing `what` ("open /dev/net/tun"),
    /// classified by its kind.
    pub fn io(what: impl fmt::Display, error: &io::Error, remedy: impl Into<String>) -> Self {
        let fault = if error.kind() == io::ErrorKind::PermissionDenied {
            Fault::Permission
        } else if error.kind() == io::ErrorKind::NotFound {
            Fault::Missing
        } else if error.kind() == io::ErrorKind::AddrInUse {
            Fault::Busy
        } else if error.kind() == io::ErrorKind::Unsupported {
            Fault::Unsupported
        } else {
            Fault::System
        };
        Self::new(fault, format!("cannot {what}: {error}"), remedy)
    }

    /// Blames this key of the plugin's configuration.
    #[must_use]
    pub fn at(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for PluginError {}
