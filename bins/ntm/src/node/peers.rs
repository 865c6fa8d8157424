//! The file of pinned keys: one `NAME KEY` a line, the key that was first seen
//! for the name. A person may edit it while the node is stopped.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Fault, MemberRole, NodeRecord, PluginError, Record, RecordKey, Write};

const HEADER: &str = "# The first key seen of each node. `ntm trust NAME` accepts a changed one.\n";

pub(crate) struct PeersFile {
    path: PathBuf,
    /// Held from reading to writing, so that no change is lost between them.
    changing: Mutex<()>,
}

impl PeersFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), changing: Mutex::default() }
    }

    /// What is in the file; nothing if there is none.
    pub(crate) fn load(&self) -> Result<Vec<Record>, PluginError> {
        let pins = self.read()?;
        let record = |(name, key)| {
            let roles = MemberRole::Terminal.into();
            Record::Node(NodeRecord { name, key, roles, vips: None })
        };
        Ok(pins.into_iter().map(record).collect())
    }

    /// Applies changes; the file is whole at every moment.
    pub(crate) fn store(&self, writes: &[Write]) -> Result<(), PluginError> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pins = self.read()?;
        for write in writes {
            match write {
                Write::Put(Record::Node(node)) => {
                    pins.insert(node.name.clone(), node.key);
                }
                Write::Delete(RecordKey::Node(name)) => {
                    pins.remove(name);
                }
                Write::Put(Record::Domain { .. } | Record::Quarantine { .. })
                | Write::Delete(RecordKey::Domain | RecordKey::Quarantine(_)) => {}
            }
        }
        self.write(&pins).map_err(|error| self.failure("write", &error))
    }

    fn read(&self) -> Result<BTreeMap<NodeName, PublicKey>, PluginError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.failure("read", &error)),
        };
        let mut pins = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pin = line
                .split_once(char::is_whitespace)
                .and_then(|(name, key)| Some((name.parse().ok()?, key.trim().parse().ok()?)));
            let Some((name, key)) = pin else {
                let message = format!("{}:{}: not `NAME KEY`", self.path.display(), at + 1);
                return Err(PluginError::new(Fault::Config, message, "mend or remove the line"));
            };
            pins.insert(name, key);
        }
        Ok(pins)
    }

    fn write(&self, pins: &BTreeMap<NodeName, PublicKey>) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        draft.write_all(HEADER.as_bytes())?;
        for (name, key) in pins {
            writeln!(draft, "{name} {key}")?;
        }
        draft.as_file().sync_all()?;
        draft.persist(&self.path)?;
        fs::File::open(folder)?.sync_all()
    }

    fn failure(&self, verb: &str, error: &io::Error) -> PluginError {
        let what = format!("{verb} the pinned keys in {}", self.path.display());
        PluginError::io(what, error, "set `peers` in [node] to a file that this user may write")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(name: &str, key: u8) -> Write {
        Write::Put(Record::Node(NodeRecord {
            name: name.parse().unwrap(),
            key: PublicKey::from_bytes([key; 32]),
            roles: MemberRole::Terminal.into(),
            vips: None,
        }))
    }

    #[test]
    fn pins_outlive_the_process_and_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = PeersFile::new(&folder.path().join("mn.peers"));
        assert_eq!(file.load(), Ok(vec![]));
        file.store(&[put("cn.example", 1), put("bn.example", 2)]).unwrap();
        file.store(&[put("cn.example", 3)]).unwrap();
        let again = PeersFile::new(&folder.path().join("mn.peers"));
        let keys: Vec<_> = again
            .load()
            .unwrap()
            .into_iter()
            .map(|record| match record {
                Record::Node(node) => (node.name.to_string(), node.key.as_bytes()[0]),
                Record::Domain { .. } | Record::Quarantine { .. } => panic!("not a pin"),
            })
            .collect();
        assert_eq!(keys, [("bn.example".into(), 2), ("cn.example".into(), 3)]);
    }

    #[test]
    fn a_spoiled_line_is_named_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mn.peers");
        fs::write(&path, "# remark\n\ncn.example nonsense\n").unwrap();
        let file = PeersFile::new(&path);
        let error = file.store(&[put("bn.example", 2)]).unwrap_err();
        assert!(error.to_string().contains("mn.peers:3:"), "{error}");
        assert!(fs::read_to_string(&path).unwrap().contains("nonsense"));
    }

    #[test]
    fn keys_that_are_stored_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let file = PeersFile::new(&folder.path().join(format!("mn{round}.peers")));
            std::thread::scope(|scope| {
                scope.spawn(|| file.store(&[put("cn.example", 1)]).unwrap());
                scope.spawn(|| file.store(&[put("bn.example", 2)]).unwrap());
            });
            assert_eq!(file.load().unwrap().len(), 2, "round {round}");
        }
    }
}
