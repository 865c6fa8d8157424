use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ntm_core::address::Candidate;
use ntm_core::id::{NodeName, PublicKey};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::sources::Sources;

/// `[node]`: who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name in the domain.
    pub name: NodeName,
    /// What it does, at least one thing.
    pub role: BTreeSet<Role>,
    /// The file of its private key.
    pub key: PathBuf,
    /// The file of the keys that it has seen of other nodes and holds them to.
    pub peers: PathBuf,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Role {
    /// `terminal`: an NTM terminal.
    #[serde(rename = "terminal")]
    Terminal,
    /// `dc`: a Direction Coordinator.
    #[serde(rename = "dc", alias = "coordinator")]
    Dc,
    /// `rs`: a Relay Server.
    #[serde(rename = "rs", alias = "relay")]
    Rs,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminal => "terminal",
            Self::Dc => "dc",
            Self::Rs => "rs",
        })
    }
}

/// `[node]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeKeys {
    name: NodeName,
    #[serde(deserialize_with = "roles")]
    role: BTreeSet<Role>,
    key: FilePath,
    peers: Option<FilePath>,
}

impl NodeKeys {
    pub(super) fn resolve(self, sources: &Sources) -> Node {
        let key = sources.beside(&self.key.0);
        let peers = match self.peers {
            Some(peers) => sources.beside(&peers.0),
            None => key.with_extension("peers"),
        };
        Node { name: self.name, role: self.role, key, peers }
    }
}

/// The name of a file, as it is written.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct FilePath(PathBuf);

impl TryFrom<String> for FilePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.is_empty() { Err("a file has a name") } else { Ok(Self(text.into())) }
    }
}

fn roles<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Role>, D::Error> {
    let roles = BTreeSet::deserialize(from)?;
    if roles.is_empty() {
        return Err(D::Error::custom("a node does at least one of `terminal`, `dc` and `rs`"));
    }
    Ok(roles)
}

/// `[[dc]]`: a coordinator that the node registers with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dc {
    /// Where it listens, at least one address.
    #[serde(deserialize_with = "at_least_one_address")]
    pub addresses: Vec<Candidate>,
    /// Its key.
    pub public_key: PublicKey,
}

fn at_least_one_address<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Candidate>, D::Error> {
    let list = addresses(from)?;
    if list.is_empty() {
        return Err(D::Error::custom("this needs at least one address"));
    }
    Ok(list)
}

/// A list of addresses where somebody can listen, each with its transport.
pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Candidate>, D::Error> {
    let list = Vec::<Address>::deserialize(from)?;
    Ok(list.into_iter().map(|Address(candidate)| candidate).collect())
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Address(Candidate);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let candidate: Candidate = text.parse().map_err(|_| {
            let example = match text.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(ip) => format!("it lacks a port, as in `{}`", SocketAddr::new(ip, 4330)),
                Err(_) => "use one such as `203.0.113.1:4330`, `[2001:db8::1]:4330` or \
                           `quic:203.0.113.1:443`"
                    .into(),
            };
            format!("`{text}` is not an address with a port; {example}")
        })?;
        let addr = candidate.addr;
        if addr.ip().is_unspecified() || addr.ip().is_multicast() || addr.port() == 0 {
            return Err(format!("nobody can be reached at `{text}`"));
        }
        Ok(Self(candidate))
    }
}

/// `[handover]`: how a terminal moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handover {
    /// Which sequence it follows.
    pub mode: HandoverMode,
}

/// The sequence of messages after a move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandoverMode {
    /// `fast`: tell the peers and the coordinator in the same instant.
    #[default]
    Fast,
    /// `seed`: the paper's: register, then ask for directions again.
    Seed,
}

/// `[tunnel]`: how packets travel in tunnels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tunnel {
    /// The ciphers that a terminal offers; the best that both ends offer is used.
    pub ciphers: Vec<Cipher>,
    /// What the outer header tells of a packet's class of service.
    pub dscp: DscpMode,
    /// Threads that move packets.
    pub workers: Workers,
    /// How urgent the system takes them to be.
    pub priority: Priority,
}

impl Default for Tunnel {
    fn default() -> Self {
        let ciphers = vec![Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
        Self {
            ciphers,
            dscp: DscpMode::default(),
            workers: Workers::default(),
            priority: Priority::default(),
        }
    }
}

/// A cipher for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Cipher {
    /// `aes-256-gcm`: the fastest where the CPU has instructions for it; offered
    /// nowhere else.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// `chacha20-poly1305`: every node has it.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

/// Whether the outer header has the inner one's DSCP (RFC 2983).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DscpMode {
    /// `clear`: 0, so that nobody on the way learns what kind of traffic it is.
    #[default]
    Clear,
    /// `copy`: the same.
    Copy,
}

/// How urgent the system takes the threads that move packets to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// `normal`: as any other thread.
    #[default]
    Normal,
    /// `realtime`: before all that is not.
    Realtime,
}

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Workers(usize);

impl Workers {
    const MOST: usize = 64;

    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u64> for Workers {
    type Error = String;

    fn try_from(workers: u64) -> Result<Self, String> {
        let number = usize::try_from(workers).ok();
        let number = number.filter(|number| (1..=Self::MOST).contains(number));
        number.map(Self).ok_or_else(|| format!("{workers} is not between 1 and {}", Self::MOST))
    }
}

/// `[control]`: where `ntm status` and others reach the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// A Unix socket; `/run/ntm/NAME.sock` where it is not set.
    pub socket: PathBuf,
}

/// `[control]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ControlKeys {
    socket: Option<FilePath>,
}

impl ControlKeys {
    pub(super) fn resolve(self, name: &NodeName, sources: &Sources) -> Control {
        let socket = match self.socket {
            Some(socket) => sources.beside(&socket.0),
            None => format!("/run/ntm/{name}.sock").into(),
        };
        Control { socket }
    }
}

/// `[log]`: how the node tells what it does; the command line wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A filter such as `info` or `warn,ntm_core=debug`.
    pub level: Option<String>,
    /// For whom.
    pub format: Option<LogFormat>,
}

/// For whom log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human`: one line an event.
    Human,
    /// `json`: one object an event.
    Json,
}
