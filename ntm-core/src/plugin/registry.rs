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
/// - It may take as long as a disk takes, so an implementation moves the work off
///   the runtime's threads. Calls may overlap; they take effect in the order in
///   which they were made.
/// - Not cancel safe in the sense that a dropped `commit` may still happen. After
///   2 s the coordinator counts a call as failed, whatever becomes of it; what is
///   written later is found at the next start.
/// - A commit that says yes and is forgotten costs, after a restart, the virtual
///   addresses of a node (so its conversations), or brings back a member that was
///   removed. A salt that is forgotten changes every Path ID.
/// - It holds the domain's salt and everybody's keys: for its owner's eyes alone.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Everything, in a stable order. Called once at start.
    ///
    /// # Errors
    /// The store cannot be read. The coordinator says so and admits nobody.
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
    pub roles: MemberRoles,
    /// Its virtual addresses, once it has registered as a terminal.
    pub vips: Option<Vips>,
}

/// What a member may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// An NTM terminal.
    Terminal,
    /// A relay server.
    Relay,
}

/// All that a member may be; at least one role, since a node may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<MemberRole>", into = "Vec<MemberRole>")]
pub struct MemberRoles {
    terminal: bool,
    relay: bool,
}

/// A member without a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a member needs a role: `terminal`, `relay`, or both")]
pub struct NoRole;

impl MemberRoles {
    /// Whether this is one of them.
    pub fn contains(self, role: MemberRole) -> bool {
        match role {
            MemberRole::Terminal => self.terminal,
            MemberRole::Relay => self.relay,
        }
    }

    /// These and those.
    #[must_use]
    pub fn with(self, other: impl Into<Self>) -> Self {
        let other = other.into();
        Self { terminal: self.terminal || other.terminal, relay: self.relay || other.relay }
    }
}

impl From<MemberRole> for MemberRoles {
    fn from(role: MemberRole) -> Self {
        Self { terminal: role == MemberRole::Terminal, relay: role == MemberRole::Relay }
    }
}

impl TryFrom<Vec<MemberRole>> for MemberRoles {
    type Error = NoRole;

    fn try_from(roles: Vec<MemberRole>) -> Result<Self, NoRole> {
        roles.into_iter().map(Self::from).reduce(Self::with).ok_or(NoRole)
    }
}

impl From<MemberRoles> for Vec<MemberRole> {
    fn from(roles: MemberRoles) -> Self {
        let all = [MemberRole::Terminal, MemberRole::Relay];
        all.into_iter().filter(|role| roles.contains(*role)).collect()
    }
}

/// What a record is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
