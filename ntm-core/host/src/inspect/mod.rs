//! What a file is, without running any of its code.

mod header;
mod object;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

pub use self::header::{Kinds, Summary};
pub(crate) use self::header::{again, linked, text};
pub use self::object::read;

use crate::refusal::{Refusal, Why};

/// Larger files are no plugins: read whole, they would cost this much memory.
const LARGEST: u64 = 1 << 30;

/// Why this program loads no library at all.
const STATIC: Option<&str> = if cfg!(all(target_env = "musl", target_feature = "crt-static")) {
    Some("is static (musl)")
} else if cfg!(not(feature = "dynamic")) {
    Some("was made without the feature `dynamic`")
} else {
    None
};

/// Reads what a library says of itself, and whether this host could load it.
///
/// # Errors
/// Why not, with what could be read nevertheless.
pub fn inspect(path: &Path) -> Result<Summary, Refusal> {
    let refused = |why| Refusal::new(path, None, why);
    let data = contents(path).map_err(refused)?;
    let summary = read(&data).map_err(refused)?;
    match summary.unfit().or(STATIC.map(Why::StaticBuild)) {
        Some(why) => Err(Refusal::new(path, Some(summary), why)),
        None => match writable(path) {
            Some(why) => Err(Refusal::new(path, Some(summary), why)),
            None => Ok(summary),
        },
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, Why> {
    // Opening a pipe would wait for its other end.
    let meta = std::fs::metadata(path).map_err(|error| Why::io(&error))?;
    if meta.is_dir() {
        return Err(Why::Folder);
    }
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(Why::NotLibrary);
    }
    let mut data = Vec::new();
    let file = File::open(path).map_err(|error| Why::io(&error))?;
    file.take(LARGEST).read_to_end(&mut data).map_err(|error| Why::io(&error))?;
    Ok(data)
}

/// As root, what others may write is not run.
fn writable(path: &Path) -> Option<Why> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent();
    [Some(&*path), folder].into_iter().flatten().find_map(|place| {
        let meta = std::fs::metadata(place).ok()?;
        // In a sticky folder nobody replaces what is another's.
        let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
        (meta.mode() & 0o022 != 0 && !sticky).then(|| Why::Writable(place.to_owned()))
    })
}
