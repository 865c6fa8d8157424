use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::PluginError;
use crate::address::Vips;
use crate::id::{NodeName, PublicKey, Salt};

/// Keeps what a coordinator must not lose: the domain's salt, its nodes with
/// their keys, their virtual addresses. Where nodes are right now is not kept:
/// they say so again by themselves.
///
/// # For implementers
///
/// - `commit` returns when all its writes are durable, all of them or none:
///   after `kill -9` or a power cut at any moment, `load` gives the state
///   after some prefix of the commits that returned, plus perhaps the one that
///   had not.
/// - It may block for as long as a disk takes, so an implementation moves the
///   work off the runtime's threads. Calls may overlap; they take effect in the
///   order in which they were made.
/// - Not cancel safe in the sense that a dropped `commit` may still happen.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Everything, in a stable order. Called once at start.
    ///
    /// # Errors
    /// The store cannot be read; the coordinator does not start.
    async fn load(&self) -> Result<Vec<Record>, PluginError>;

    /// Applies `writes` in order as one unit.
    ///
    /// # Errors
    /// Nothing was written; the coordinator refuses what depended on it and
    /// says why.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError>;
}

/// One thing worth keeping.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The domain itself.
    Domain {
        /// What Path IDs are derived with.
        salt: Salt,
    },
    /// A member of the domain.
    Node(NodeRecord),
    /// Addresses that belonged to a node and may not be handed out again yet.
    Quarantine {
        /// The addresses.
        vips: Vips,
        /// The second of the calendar from which on they are free.
        until: u64,
    },
}

/// A member of the domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name, unique in the domain.
    pub name: NodeName,
    /// Its public key, unique in the domain.
    pub key: PublicKey,
    /// What it may be.
    pub role: MemberRole,
    /// Its virtual addresses, once it has registered as a terminal.
    pub vips: Option<Vips>,
}

/// What a member may be.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// An NTM terminal.
    #[default]
    Terminal,
    /// A relay server.
    Relay,
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// The one [`Record::Domain`].
    Domain,
    /// The [`Record::Node`] of this name.
    Node(NodeName),
    /// The [`Record::Quarantine`] of these addresses.
    Quarantine(Vips),
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Adds the record, or replaces the one with the same key.
    Put(Record),
    /// Removes the record, if it is there.
    Delete(RecordKey),
}

impl Record {
    /// What this record is found by.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Domain { .. } => RecordKey::Domain,
            Self::Node(node) => RecordKey::Node(node.name.clone()),
            Self::Quarantine { vips, .. } => RecordKey::Quarantine(*vips),
        }
    }
}
