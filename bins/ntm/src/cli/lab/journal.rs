//! What has been done of something long, kept in a file, line by line, so that it can
//! be gone on with whenever it was interrupted.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ntm::Exit;
use serde_json::Value;

use crate::cli::Failure;

/// An open journal. Nobody else can open it meanwhile.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// Opens or makes a journal of this kind, which is its first line. Returns the
    /// other lines. A last line that was not written to its end is taken away.
    ///
    /// # Errors
    /// It is in use, of another kind, or no journal, or the system refuses.
    pub(super) fn open(path: &Path, kind: &Value) -> Result<(Self, Vec<Value>), Failure> {
        let fails = |error: io::Error| {
            Failure::new(Exit::Failed, format!("cannot open {}: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(fails)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another run", path.display());
                return Err(Failure::new(Exit::Busy, message));
            }
            Err(TryLockError::Error(error)) => return Err(fails(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fails)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines = Vec::new();
        for (at, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = serde_json::from_slice(line).map_err(|error| {
                let message = format!("line {} of {}: {error}", at + 1, path.display());
                Failure::new(Exit::Usage, message)
            })?;
            lines.push(line);
        }
        let mut this = Self { file, path: path.to_owned() };
        if lines.is_empty() {
            this.file.set_len(0).map_err(fails)?;
            this.append(kind)?;
            return Ok((this, Vec::new()));
        }
        let first: Value = lines.remove(0);
        if first != *kind {
            let message = format!(
                "{} is about something else: {first} where this is {kind}; name another file",
                path.display()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        // Only now is it known to be ours.
        this.file.set_len(whole as u64).map_err(fails)?;
        Ok((this, lines))
    }

    /// Adds a line. When this returns it is on the disk.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn append(&mut self, line: &Value) -> Result<(), Failure> {
        let mut bytes = line.to_string();
        bytes.push('\n');
        let written = self.file.write_all(bytes.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write {}: {error}", self.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn opened(path: &Path) -> (Journal, Vec<Value>) {
        Journal::open(path, &json!({ "grid": 1 })).map_err(|failure| failure.message).unwrap()
    }

    fn refused(path: &Path) -> Failure {
        Journal::open(path, &json!({ "grid": 1 })).err().unwrap()
    }

    #[test]
    fn what_was_written_is_read_again_but_for_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells");
        let (mut journal, lines) = opened(&path);
        assert!(lines.is_empty());
        for number in 0..3 {
            assert!(journal.append(&json!({ "id": number })).is_ok());
        }
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 1..8 {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut journal, lines) = opened(&path);
            assert_eq!(lines, [json!({ "id": 0 }), json!({ "id": 1 })]);
            assert!(journal.append(&json!({ "id": 2 })).is_ok());
            assert_eq!(fs::read(&path).unwrap(), whole, "cut by {cut}");
        }
    }

    #[test]
    fn a_torn_first_line_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells");
        fs::write(&path, "{\"gr").unwrap();
        assert!(opened(&path).1.is_empty());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"grid\":1}\n");
    }

    #[test]
    fn another_run_and_another_kind_are_refused_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells");
        let (_held, _) = opened(&path);
        assert_eq!(refused(&path).exit, Exit::Busy);
        for text in ["{\"grid\":2}\n{\"id\":1}\n{\"to", "no JSON\nat all"] {
            let path = folder.path().join("other");
            fs::write(&path, text).unwrap();
            assert_eq!(refused(&path).exit, Exit::Usage);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
