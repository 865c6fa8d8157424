//! What `ntm status --json` shows. The shape is documented in `docs/STATUS.md`
//! and kept: fields are added, never changed.

use std::net::{IpAddr, SocketAddr};

use ntm_core::coordinator::CoordinatorStatus;
use ntm_core::crypto::Suite;
use ntm_core::id::{Epoch, NodeName, PathId, PublicKey};
use ntm_core::plugin::{MemberRole, MemberRoles};
use ntm_core::relay::RelayStatus;
use ntm_core::terminal::{TerminalStatus, TunnelState, Way};
use ntm_core::tunnel::Traffic;
use ntm_host::Library;
use serde::Serialize;

use super::handover::MoveReport;
use crate::worker::Stats;

/// A node at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: NodeName,
    /// Its public key.
    pub public_key: PublicKey,
    /// The version of this program.
    pub version: &'static str,
    /// As a terminal.
    pub terminal: Option<TerminalReport>,
    /// As a coordinator.
    pub coordinator: Option<CoordinatorReport>,
    /// As a relay.
    pub relay: Option<RelayReport>,
    /// Its transports, in their order.
    pub transports: Vec<PluginFacts>,
    /// Its virtual interface.
    pub interface: Option<PluginFacts>,
    /// The libraries that it has loaded.
    pub plugins: Vec<LibraryReport>,
    /// What was dropped so far, by reason.
    pub dropped: Drops,
}

/// How a plugin runs.
#[derive(Clone, Debug, Serialize)]
pub struct PluginFacts {
    /// The plugin, or the interface's name.
    pub name: String,
    /// Where it listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listens: Vec<SocketAddr>,
    /// What it says of itself.
    pub facts: std::collections::BTreeMap<String, String>,
}

/// A library with a plugin.
#[derive(Clone, Debug, Serialize)]
pub struct LibraryReport {
    /// What its author calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is in it.
    pub kinds: Vec<&'static str>,
    /// The file.
    pub file: String,
    /// Instances in use; none while another is being opened in the place of one that
    /// broke.
    pub working: u64,
    /// Instances that broke so far.
    pub broken: u64,
    /// What the last of these did.
    pub last: Option<String>,
}

impl LibraryReport {
    /// Of all libraries.
    pub(super) fn all() -> Vec<Self> {
        let report = |library: &Library| Self {
            name: library.summary().name.clone(),
            version: library.summary().version.clone(),
            kinds: library.summary().kinds.names().collect(),
            file: library.path().display().to_string(),
            working: library.health().working(),
            broken: library.health().broken(),
            last: library.health().last(),
        };
        Library::loaded().into_iter().map(report).collect()
    }
}

/// A terminal.
#[derive(Clone, Debug, Serialize)]
pub struct TerminalReport {
    /// Its epoch.
    pub epoch: Epoch,
    /// Whether its coordinator knows it now.
    pub registered: bool,
    /// Its virtual addresses.
    pub vips: Vec<IpAddr>,
    /// Its real addresses, as it claims them.
    pub claimed: Vec<SocketAddr>,
    /// The same as its coordinator sees them.
    pub observed: Vec<SocketAddr>,
    /// The round trip to the coordinator in microseconds.
    pub coordinator_rtt_us: Option<u64>,
    /// Its tunnels.
    pub tunnels: Vec<TunnelReport>,
    /// The last moves, its own and its peers', the latest last.
    pub moves: Vec<MoveReport>,
}

/// A tunnel.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelReport {
    /// Its Path ID.
    pub path_id: PathId,
    /// The peer.
    pub peer: NodeName,
    /// The peer's virtual addresses.
    pub vips: Vec<IpAddr>,
    /// `live`, `connecting`, `searching` or `resting`.
    pub state: &'static str,
    /// The way in use.
    pub path: Option<PathReport>,
    /// The largest packet that is sent by that way, in bytes.
    pub limit: Option<u16>,
    /// The round trip in microseconds.
    pub rtt_us: Option<u64>,
    /// The age of the keys in seconds.
    pub session_age_s: Option<u64>,
    /// The cipher of its packets.
    pub cipher: Option<&'static str>,
    /// Packets and bytes, as applications see them.
    pub traffic: TrafficReport,
}

/// A way.
#[derive(Clone, Debug, Serialize)]
pub struct PathReport {
    /// `direct` or `relay`.
    pub kind: &'static str,
    /// The transport's plugin.
    pub transport: String,
    /// The peer's real address, or the relay's.
    pub remote: SocketAddr,
    /// Whether the peer has proved that it receives there.
    pub proved: bool,
}

/// Traffic so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TrafficReport {
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received.
    pub received_bytes: u64,
}

/// A coordinator.
#[derive(Clone, Debug, Serialize)]
pub struct CoordinatorReport {
    /// Whether its registry has been read.
    pub ready: bool,
    /// Its members.
    pub members: Vec<MemberReport>,
}

/// A member of the domain.
#[derive(Clone, Debug, Serialize)]
pub struct MemberReport {
    /// Its name.
    pub name: NodeName,
    /// Its key.
    pub public_key: PublicKey,
    /// What it may be.
    pub roles: MemberRoles,
    /// Its virtual addresses.
    pub vips: Vec<IpAddr>,
    /// Where it is now, by role.
    pub present: Vec<PresenceReport>,
}

/// Where a member is.
#[derive(Clone, Debug, Serialize)]
pub struct PresenceReport {
    /// As what.
    pub role: MemberRole,
    /// Its epoch.
    pub epoch: Epoch,
    /// The addresses it claims.
    pub claimed: Vec<SocketAddr>,
    /// The addresses it was seen at.
    pub observed: Vec<SocketAddr>,
    /// Whether it has proved that it receives there.
    pub proved: bool,
}

/// A relay.
#[derive(Clone, Debug, Serialize)]
pub struct RelayReport {
    /// Whether its coordinator knows it now.
    pub registered: bool,
    /// Where its coordinator sees it.
    pub observed: Vec<SocketAddr>,
    /// Paths being relayed.
    pub pairs: usize,
    /// Datagrams forwarded so far.
    pub forwarded: u64,
}

/// Packets and datagrams that were dropped.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Drops {
    /// From applications: not IP, or not from our virtual address.
    pub unroutable: u64,
    /// From the network: no such tunnel, or keys that are over.
    pub no_key: u64,
    /// From the network: not genuine.
    pub forged: u64,
    /// From the network: seen before.
    pub replayed: u64,
    /// From the network: inner addresses that are not the pair's.
    pub address: u64,
    /// From the network: congestion signalled to a flow that cannot see it.
    pub congested: u64,
    /// Waited too long for a path.
    pub held_in_vain: u64,
    /// Signalling that came faster than it could be read.
    pub signalling: u64,
    /// The network would not take it.
    pub send_errors: u64,
    /// The interface would not take it.
    pub interface: u64,
}

impl From<Stats> for Drops {
    fn from(stats: Stats) -> Self {
        Self {
            unroutable: stats.dropped.unroutable,
            no_key: stats.dropped.no_key,
            forged: stats.dropped.forged,
            replayed: stats.dropped.replayed,
            address: stats.dropped.address,
            congested: stats.dropped.congested,
            held_in_vain: stats.held_in_vain,
            signalling: stats.control_drops,
            send_errors: stats.worker.send_errors,
            interface: stats.worker.interface_drops,
        }
    }
}

/// `transports`: in their order, each with its plugin's name.
pub(super) fn path_report<T>(way: &Way, proved: bool, transports: &[(String, T)]) -> PathReport {
    let kind = if way.relayed { "relay" } else { "direct" };
    let transport = transports.get(usize::from(way.leg.transport.0));
    let transport = transport.map(|(name, _)| name.clone()).unwrap_or_default();
    PathReport { kind, transport, remote: way.leg.remote, proved }
}

pub(super) fn terminal<T>(
    status: TerminalStatus,
    transports: &[(String, T)],
    traffic: impl Fn(&PathId) -> Traffic,
    moves: Vec<MoveReport>,
) -> TerminalReport {
    let micros = |span: std::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let addresses =
        |list: Vec<ntm_core::address::Candidate>| list.into_iter().map(|c| c.addr).collect();
    let tunnels = status.tunnels.into_iter().map(|tunnel| {
        let traffic = traffic(&tunnel.path);
        TunnelReport {
            path_id: tunnel.path,
            peer: tunnel.peer,
            vips: tunnel.vips.iter().collect(),
            state: match tunnel.state {
                TunnelState::Live => "live",
                TunnelState::Connecting => "connecting",
                TunnelState::Searching => "searching",
                TunnelState::Resting => "resting",
            },
            path: tunnel.way.map(|way| path_report(&way, tunnel.proved, transports)),
            limit: tunnel.limit,
            rtt_us: tunnel.rtt.map(micros),
            session_age_s: tunnel.session_age.map(|age| age.as_secs()),
            cipher: tunnel.suite.map(Suite::name),
            traffic: TrafficReport {
                sent_packets: traffic.sent,
                sent_bytes: traffic.sent_bytes,
                received_packets: traffic.received,
                received_bytes: traffic.received_bytes,
            },
        }
    });
    TerminalReport {
        epoch: status.epoch,
        registered: status.registered,
        vips: status.vips.iter().collect(),
        tunnels: tunnels.collect(),
        moves,
        claimed: addresses(status.claimed),
        observed: addresses(status.observed),
        coordinator_rtt_us: status.coordinator_rtt.map(micros),
    }
}

pub(super) fn coordinator(status: CoordinatorStatus) -> CoordinatorReport {
    let members = status.members.into_iter().map(|member| {
        let present = member.present.into_iter().map(|(role, presence)| PresenceReport {
            role,
            epoch: presence.epoch,
            claimed: presence.location.claimed.iter().map(|c| c.addr).collect(),
            observed: presence.location.observed.iter().map(|o| o.candidate.addr).collect(),
            proved: presence.proved,
        });
        MemberReport {
            present: present.collect(),
            vips: member.record.vips.iter().flat_map(|vips| vips.iter()).collect(),
            name: member.record.name,
            public_key: member.record.key,
            roles: member.record.roles,
        }
    });
    CoordinatorReport { ready: status.ready, members: members.collect() }
}

pub(super) fn relay(status: RelayStatus, forwarded: u64) -> RelayReport {
    RelayReport {
        registered: status.registered,
        observed: status.observed.iter().map(|candidate| candidate.addr).collect(),
        pairs: status.pairs,
        forwarded,
    }
}
