use std::num::NonZeroU64;
use std::time::Duration;

use ntm_core::address::Candidate;
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{MemberRole, MemberRoles};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::node::addresses;

/// `[coordinator]`: how a coordinator serves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coordinator {
    /// The addresses at which others reach it: told to terminals, and put in the
    /// place of the loopback address at which it sees the node's own roles.
    #[serde(deserialize_with = "addresses")]
    pub public: Vec<Candidate>,
    /// What a pair of terminals may send through a relay.
    pub relay_quota: RelayQuota,
    /// Seconds between the keep-alives of members behind a NAT, 1 to 600: less
    /// than the time after which NATs forget; 25 where it is not set.
    #[serde(deserialize_with = "keep_alive")]
    pub keep_alive: Duration,
}

impl Default for Coordinator {
    fn default() -> Self {
        let keep_alive = Duration::from_secs(25);
        Self { public: Vec::new(), relay_quota: RelayQuota::default(), keep_alive }
    }
}

fn keep_alive<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let seconds = u64::deserialize(from)?;
    if (1..=600).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(D::Error::custom(format!("{seconds} is not from 1 to 600 seconds")))
    }
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
    /// What it may be: `"terminal"`, `"relay"` (or `"rs"`), or a list of both.
    #[serde(rename = "role", default = "terminal", deserialize_with = "member_roles")]
    pub roles: MemberRoles,
}

fn terminal() -> MemberRoles {
    MemberRole::Terminal.into()
}

fn member_roles<'de, D: Deserializer<'de>>(from: D) -> Result<MemberRoles, D::Error> {
    #[derive(Clone, Copy, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Terminal,
        #[serde(alias = "rs")]
        Relay,
    }
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`terminal`, `relay`, or a list of these")]
    enum OneOrMore {
        One(Role),
        More(Vec<Role>),
    }
    let roles = match OneOrMore::deserialize(from)? {
        OneOrMore::One(role) => vec![role],
        OneOrMore::More(roles) => roles,
    };
    let roles: Vec<_> = roles
        .into_iter()
        .map(|role| match role {
            Role::Terminal => MemberRole::Terminal,
            Role::Relay => MemberRole::Relay,
        })
        .collect();
    MemberRoles::try_from(roles).map_err(D::Error::custom)
}

/// `[relay]`: how a relay server serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Whether it also forwards to private addresses (RFC 1918, RFC 4193).
    pub allow_private: bool,
}
