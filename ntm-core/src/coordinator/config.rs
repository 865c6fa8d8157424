use std::time::Duration;

use crate::address::Candidate;
use crate::id::{NodeName, PublicKey};
use crate::plugin::MemberRoles;

/// How a coordinator serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoordinatorConfig {
    /// Where others reach it: told to nodes, and put in the place of a loopback
    /// address at which it sees roles of its own node.
    pub public: Vec<Candidate>,
    /// Members that the configuration names; made sure of at start.
    pub members: Vec<Member>,
    /// What each ticket for a relay allows.
    pub quota: RelayQuota,
    /// Its clocks.
    pub clocks: Clocks,
}

/// Somebody who belongs to the domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its name, unique in the domain.
    pub name: NodeName,
    /// Its key, unique in the domain.
    pub key: PublicKey,
    /// What it may be.
    pub roles: MemberRoles,
}

/// What a pair may send through a relay with one ticket; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RelayQuota {
    /// Bytes per second.
    pub rate: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clocks {
    /// A terminal's registration.
    pub lifetime: Duration,
    /// Between keep-alives of a node behind a NAT.
    pub keep_alive_natted: Duration,
    /// Between keep-alives of a node in the open.
    pub keep_alive_open: Duration,
    /// Between keep-alives of a relay; after three and a half it counts as gone.
    pub keep_alive_relay: Duration,
    /// A ticket's, for beginning something with it.
    pub ticket: Duration,
    /// Before the addresses of a former member are handed out again.
    pub quarantine: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(300),
            keep_alive_natted: Duration::from_secs(25),
            keep_alive_open: Duration::from_secs(60),
            keep_alive_relay: Duration::from_secs(10),
            ticket: Duration::from_secs(600),
            quarantine: Duration::from_secs(24 * 3600),
        }
    }
}
