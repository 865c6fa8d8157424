use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ntm_core::plugin::{Fault, PluginError};
use redb::{Builder, Database};

use crate::error::{explain, of_io};

/// Memory for pages of the file, in bytes: the database's default is 1 GiB.
const CACHE: usize = 16 << 20;

/// Opens the database at `path`, checking every page; makes one that
/// `initialise` filled where there is none.
pub(crate) fn open(
    path: &Path,
    initialise: impl FnOnce(&Database) -> Result<(), redb::Error>,
) -> Result<Database, PluginError> {
    match fs::metadata(path) {
        Ok(metadata) => refuse_readable_by_all(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, initialise)?,
        Err(error) => return Err(of_io(path, &error)),
    }
    reopen(path)
}

/// Opens the database at `path`, which is there, checking every page.
pub(crate) fn reopen(path: &Path) -> Result<Database, PluginError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder.open(path).map_err(|error| explain(path, error))
}

/// Makes the file under another name first, so that a crash leaves a whole
/// registry or none.
fn create(
    path: &Path,
    initialise: impl FnOnce(&Database) -> Result<(), redb::Error>,
) -> Result<(), PluginError> {
    let folder = folder(path);
    let io = |error| of_io(path, &error);
    fs::metadata(&folder).map_err(io)?;
    // Readable by its owner alone, as this crate makes them.
    let draft = tempfile::Builder::new().prefix(".ntm-registry-").tempfile_in(&folder);
    // Its kind alone: the name of the draft tells nobody anything.
    let draft = draft.map_err(|error| of_io(path, &error.kind().into()))?;
    let backend = redb::backends::FileBackend::new(draft.reopen().map_err(io)?);
    let backend = backend.map_err(|error| explain(path, error))?;
    let database = Builder::new().create_with_backend(backend);
    let database = database.map_err(|error| explain(path, error))?;
    initialise(&database).map_err(|error| explain(path, error))?;
    database.close().map_err(|error| explain(path, error))?;
    match draft.persist_noclobber(path) {
        Ok(_) => sync_folder(&folder).map_err(io),
        // Somebody was faster; theirs counts.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(of_io(path, &error.error)),
    }
}

/// Without this a power cut may forget the file's name.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

#[cfg(unix)]
fn refuse_readable_by_all(path: &Path, metadata: &fs::Metadata) -> Result<(), PluginError> {
    use std::os::unix::fs::PermissionsExt as _;

    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    let message = format!("others than its owner may use {path}, which holds the domain's secret");
    Err(PluginError::new(Fault::Permission, message, format!("run `chmod 600 {path}`")).at("path"))
}

#[cfg(not(unix))]
fn refuse_readable_by_all(_: &Path, _: &fs::Metadata) -> Result<(), PluginError> {
    Ok(())
}
