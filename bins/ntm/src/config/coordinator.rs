use std::net::SocketAddr;
use std::num::NonZeroU64;

use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::MemberRole;
use serde::{Deserialize, Deserializer};

use super::node::addresses;

/// `[coordinator]`: how a coordinator serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coordinator {
    /// The addresses at which others reach it: told to terminals, and put in the
    /// place of the loopback address at which it sees the node's own roles.
    #[serde(deserialize_with = "addresses")]
    pub public: Vec<SocketAddr>,
    /// What a pair of terminals may send through a relay.
    pub relay_quota: RelayQuota,
}

/// `[coordinator.relay_quota]`: what goes into each ticket for a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayQuota {
    /// Bytes in a second, both ways together; 125 MB (1 Gbit/s) where it is not
    /// set.
    pub rate: NonZeroU64,
    /// Bytes in the life of a ticket; 1 TB where it is not set.
    pub bytes: NonZeroU64,
}

impl Default for RelayQuota {
    fn default() -> Self {
        const RATE: NonZeroU64 = NonZeroU64::new(125_000_000).expect("not zero");
        const BYTES: NonZeroU64 = NonZeroU64::new(1_000_000_000_000).expect("not zero");
        Self { rate: RATE, bytes: BYTES }
    }
}

/// `[[member]]`: somebody who belongs to the domain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, unique in the domain.
    pub name: NodeName,
    /// Its key, unique in the domain.
    pub public_key: PublicKey,
    /// What it may be: `terminal`, or `relay` (or `rs`).
    #[serde(default, deserialize_with = "member_role")]
    pub role: MemberRole,
}

fn member_role<'de, D: Deserializer<'de>>(from: D) -> Result<MemberRole, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Terminal,
        #[serde(alias = "rs")]
        Relay,
    }
    Ok(match Role::deserialize(from)? {
        Role::Terminal => MemberRole::Terminal,
        Role::Relay => MemberRole::Relay,
    })
}

/// `[relay]`: how a relay server serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Whether it also forwards to private addresses (RFC 1918, RFC 4193).
    pub allow_private: bool,
}
