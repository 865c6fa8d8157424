use std::io;
use std::path::Path;

use ntm_core::plugin::{Fault, PluginError};

/// What the database answered, as a sentence about the file at `path`.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest has nothing to tell a person apart by"
)]
pub(crate) fn explain(path: &Path, error: impl Into<redb::Error>) -> PluginError {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            let message = format!("another coordinator has {} open", path.display());
            PluginError::new(Fault::Busy, message, "stop it, or give each a file of its own")
        }
        redb::Error::UpgradeRequired(version) => newer(path, u64::from(version)),
        redb::Error::Corrupted(what) => damaged(path, &what),
        redb::Error::Io(error) => of_io(path, &error),
        other => {
            let message = format!("the registry {} failed: {other}", path.display());
            PluginError::new(Fault::System, message, "")
        }
    }
    .at("path")
}

/// An error of the operating system about the file at `path`.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest speaks for itself")]
pub(crate) fn of_io(path: &Path, error: &io::Error) -> PluginError {
    let what = format!("use the registry {}", path.display());
    match error.kind() {
        // What redb says of a file that is none of its own, or cut short.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            damaged(path, &error.to_string())
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            PluginError::io(what, error, "make room; what was acknowledged before is kept")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let remedy = "let the coordinator's user read and write the file and its folder";
            PluginError { fault: Fault::Permission, ..PluginError::io(what, error, remedy) }
        }
        io::ErrorKind::NotFound => PluginError::io(what, error, "create its folder"),
        _ => PluginError::io(what, error, ""),
    }
    .at("path")
}

/// The file's content cannot be what we wrote.
pub(crate) fn damaged(path: &Path, what: &str) -> PluginError {
    let message = format!("{} is damaged or not a registry: {what}", path.display());
    let remedy = "bring back a copy, or move it away to begin a new domain, in which every node \
                  gets new addresses";
    PluginError::new(Fault::System, message, remedy).at("path")
}

/// The file is of a version that we do not know.
pub(crate) fn newer(path: &Path, format: u64) -> PluginError {
    let message =
        format!("{} was written by another version of ntm (format {format})", path.display());
    PluginError::new(Fault::Unsupported, message, "run the version that wrote it").at("path")
}
