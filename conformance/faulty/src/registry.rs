//! Registries with one mistake each, over the built-in `redb`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ntm_core::plugin::{Fault, PluginError, Record, Registry, Write};
use ntm_registry_redb::{Config, Redb};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// A commit is written with the next one.
    LosesLast,
    /// Half of a large batch is written on its own.
    HalfBatch,
    /// A batch is written from its end.
    BackToFront,
    /// Deletes are forgotten.
    KeepsDeleted,
    /// What is there stays as it is.
    NeverReplaces,
    /// Addresses that rest are forgotten.
    ForgetsQuarantine,
    /// What a node may be is forgotten at its second role.
    ForgetsRoles,
    /// Another order at every look.
    Unordered,
    /// Overlapping commits take effect as they please.
    Overtakes,
    /// Deleting what is not there is an error.
    RefusesAbsent,
    /// A commit that is given up happens in part.
    HalfWhenGivenUp,
    /// Anybody may read its file.
    ForEverybody,
}

/// A registry with this mistake.
pub struct Faulty {
    good: Redb,
    mistake: Mistake,
    calls: AtomicU64,
    late: Mutex<Vec<Write>>,
    path: PathBuf,
}

impl Faulty {
    /// Opens the built-in registry below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, mistake: Mistake) -> Result<Self, PluginError> {
        let (calls, late) = (AtomicU64::new(0), Mutex::default());
        let path = config.path.clone();
        Ok(Self { good: Redb::open(config)?, mistake, calls, late, path })
    }

    fn late(&self) -> MutexGuard<'_, Vec<Write>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn knows(&self, write: &Write) -> Result<bool, PluginError> {
        let key = match write {
            Write::Put(record) => record.key(),
            Write::Delete(key) => key.clone(),
        };
        Ok(self.good.load().await?.iter().any(|record| record.key() == key))
    }
}

#[async_trait]
impl Registry for Faulty {
    async fn load(&self) -> Result<Vec<Record>, PluginError> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut records = self.good.load().await?;
        match self.mistake {
            Mistake::ForgetsQuarantine => {
                records.retain(|record| !matches!(record, Record::Quarantine { .. }));
            }
            Mistake::Unordered if !records.is_empty() => {
                let at = nth as usize % records.len();
                records.rotate_left(at);
            }
            Mistake::ForgetsRoles => {
                for record in &mut records {
                    if let Record::Node(node) = record {
                        let roles: Vec<_> = node.roles.into();
                        node.roles = roles[0].into();
                    }
                }
            }
            // Its own process would find them still.
            Mistake::LosesLast => {
                for write in self.late().iter() {
                    match write {
                        Write::Put(new) => {
                            records.retain(|record| record.key() != new.key());
                            records.push(new.clone());
                        }
                        Write::Delete(key) => records.retain(|record| record.key() != *key),
                    }
                }
            }
            _ => {}
        }
        Ok(records)
    }

    async fn commit(&self, mut writes: Vec<Write>) -> Result<(), PluginError> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.mistake {
            Mistake::LosesLast => {
                let before = std::mem::replace(&mut *self.late(), writes);
                return self.good.commit(before).await;
            }
            Mistake::HalfBatch if writes.len() > 1 => {
                writes.truncate(writes.len().div_ceil(2));
            }
            Mistake::BackToFront => writes.reverse(),
            Mistake::KeepsDeleted => writes.retain(|write| matches!(write, Write::Put(_))),
            Mistake::NeverReplaces => {
                let mut fresh = Vec::new();
                for write in writes {
                    if !matches!(write, Write::Put(_)) || !self.knows(&write).await? {
                        fresh.push(write);
                    }
                }
                writes = fresh;
            }
            Mistake::Overtakes => {
                // The earlier a call, the longer it waits.
                let turns = 40_u64.saturating_sub(nth % 40);
                for _ in 0..turns {
                    yield_now().await;
                }
            }
            Mistake::RefusesAbsent => {
                for write in &writes {
                    if matches!(write, Write::Delete(_)) && !self.knows(write).await? {
                        return Err(PluginError::new(Fault::Missing, "it is not there", ""));
                    }
                }
            }
            Mistake::HalfWhenGivenUp if writes.len() > 1 => {
                let rest = writes.split_off(writes.len() / 2);
                self.good.commit(writes).await?;
                yield_now().await;
                writes = rest;
            }
            _ => {}
        }
        self.good.commit(writes).await?;
        if self.mistake == Mistake::ForEverybody {
            let everybody = Permissions::from_mode(0o644);
            std::fs::set_permissions(&self.path, everybody)
                .map_err(|error| PluginError::io("change the rights of a file", &error, ""))?;
        }
        Ok(())
    }
}
