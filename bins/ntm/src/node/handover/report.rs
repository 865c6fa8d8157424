//! What `ntm handover --json` shows. As with the status, fields are added, never
//! changed.

use std::net::{IpAddr, SocketAddr};

use ntm_core::Time;
use ntm_core::id::{Epoch, NodeName, PathId};
use ntm_core::terminal::{Cause, Notice, Way, Winner};
use serde::Serialize;

use super::{Move, Steps, Who};

/// A move, ours or a peer's.
#[derive(Clone, Debug, Serialize)]
pub struct MoveReport {
    /// The epoch that it began: that of who moved.
    pub epoch: Epoch,
    /// `local` (our address changed), `dead_path`, `peer` (it said so) or
    /// `rebinding` (its packets come from elsewhere).
    pub cause: &'static str,
    /// The source address used since.
    pub source: Option<IpAddr>,
    /// The one before.
    pub old_source: Option<IpAddr>,
    /// When it was noticed: nanoseconds of the system's boot-time clock.
    pub detected_ns: u64,
    /// When the first datagram about it was handed to the network, on the same
    /// clock.
    pub sent_ns: Option<u64>,
    /// Steps of the whole node, in microseconds since the first datagram.
    pub phases_us: NodePhases,
    /// What became of packets of applications.
    pub packets: PacketReport,
    /// Steps of each tunnel.
    pub tunnels: Vec<TunnelMove>,
}

/// Steps of the whole node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NodePhases {
    /// From the system's event to the first datagram.
    pub detected: Option<u64>,
    /// Until the coordinator had registered the new location.
    pub registered: Option<u64>,
}

/// Packets of applications, of all tunnels, within five seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PacketReport {
    /// Those that had to wait for a path.
    pub held: u64,
    /// Those that waited in vain, or that the network would not take.
    pub dropped: u64,
}

/// Steps of one tunnel, in microseconds since the first datagram; of a peer's move,
/// since it was noticed.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelMove {
    /// The tunnel.
    pub path_id: PathId,
    /// Who is at the other end.
    pub peer: Option<NodeName>,
    /// The way before.
    pub old: Option<WayReport>,
    /// The way since.
    pub new: Option<WayReport>,
    /// Until the first word of it was sent to the peer, or came from it.
    pub told: Option<u64>,
    /// Until the coordinator's direction arrived.
    pub directed: Option<u64>,
    /// Until the path worked again; of a peer's move, until it had proved where it is.
    pub rebuilt: Option<u64>,
    /// What led there: `update`, `direction` or `peer`.
    pub won: Option<&'static str>,
    /// Until the peer's new place was given up, as it proved nothing.
    pub reverted: Option<u64>,
    /// Until the first packet from the peer.
    pub first_packet: Option<u64>,
}

/// A way, without judging it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WayReport {
    /// `direct` or `relay`.
    pub kind: &'static str,
    /// The peer's real address, or the relay's.
    pub remote: SocketAddr,
}

impl From<Way> for WayReport {
    fn from(way: Way) -> Self {
        let kind = if way.relayed { "relay" } else { "direct" };
        Self { kind, remote: way.leg.remote }
    }
}

impl Move {
    pub(super) fn report(&self) -> MoveReport {
        let (cause, source, start) = match self.who {
            Who::Own(Cause::Local { source }) => ("local", Some(source), self.sent),
            Who::Own(Cause::DeadPath) => ("dead_path", None, self.sent),
            Who::Peer(Some(Notice::Word) | None) => ("peer", None, None),
            Who::Peer(Some(Notice::Rebinding)) => ("rebinding", None, None),
        };
        let start = start.unwrap_or(self.detected);
        let since_start = |at: Option<Time>| at.map(|at| micros(start, at));
        let [held, dropped] =
            [0, 1].map(|at| self.packets.now[at].saturating_sub(self.packets.before[at]));
        let tunnels = self.tunnels.iter().map(|(path, steps)| tunnel(*path, steps, since_start));
        MoveReport {
            epoch: self.epoch,
            cause,
            source,
            old_source: self.old_source,
            detected_ns: self.event.unwrap_or(self.detected).nanos(),
            sent_ns: self.sent.map(Time::nanos),
            phases_us: NodePhases {
                detected: self.event.map(|event| micros(event, start)),
                registered: since_start(self.registered),
            },
            packets: PacketReport { held, dropped },
            tunnels: tunnels.collect(),
        }
    }
}

fn tunnel(
    path_id: PathId,
    steps: &Steps,
    since_start: impl Fn(Option<Time>) -> Option<u64>,
) -> TunnelMove {
    TunnelMove {
        path_id,
        peer: steps.peer.clone(),
        old: steps.old.map(WayReport::from),
        new: steps.new.map(WayReport::from),
        told: since_start(steps.told),
        directed: since_start(steps.directed),
        rebuilt: since_start(steps.rebuilt),
        won: steps.winner.map(|winner| match winner {
            Winner::Update => "update",
            Winner::Direction => "direction",
            Winner::Peer => "peer",
        }),
        reverted: since_start(steps.reverted),
        first_packet: since_start(steps.first_packet),
    }
}

fn micros(from: Time, to: Time) -> u64 {
    u64::try_from(to.since(from).as_micros()).unwrap_or(u64::MAX)
}
