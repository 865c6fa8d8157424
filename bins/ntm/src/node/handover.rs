//! The last moves, with their steps.

use std::collections::{BTreeMap, VecDeque};

use ntm_core::Time;
use ntm_core::id::{Epoch, PathId};
use ntm_core::terminal::{Cause, Phase};
use ntm_core::tunnel::Table;
use serde::Serialize;

/// Moves remembered.
const MOST: usize = 64;

/// The last moves of a terminal.
#[derive(Default)]
pub(crate) struct Handovers {
    moves: VecDeque<Move>,
    /// When the watcher's event came that is being worked off.
    event: Option<Time>,
}

struct Move {
    epoch: Epoch,
    cause: Cause,
    event: Option<Time>,
    detected: Time,
    sent: Option<Time>,
    registered: Option<Time>,
    tunnels: BTreeMap<PathId, Steps>,
}

#[derive(Default)]
struct Steps {
    directed: Option<Time>,
    rebuilt: Option<Time>,
    first_packet: Option<Time>,
}

/// A move, as `ntm handover --json` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct MoveReport {
    /// The epoch that it began.
    pub epoch: Epoch,
    /// `local` (our address changed) or `dead_path`.
    pub cause: &'static str,
    /// The source address used since.
    pub source: Option<std::net::IpAddr>,
    /// When it was noticed: nanoseconds of the system's boot-time clock.
    pub detected_ns: u64,
    /// When the first datagram about it was handed to the network, on the same
    /// clock.
    pub sent_ns: Option<u64>,
    /// Steps of the whole node, in microseconds since the first datagram.
    pub phases_us: NodePhases,
    /// Steps of each tunnel.
    pub tunnels: Vec<TunnelMove>,
}

/// Steps of the whole node.
#[derive(Clone, Debug, Serialize)]
pub struct NodePhases {
    /// From the system's event to the first datagram.
    pub detected: Option<u64>,
    /// Until the coordinator had registered the new location.
    pub registered: Option<u64>,
}

/// Steps of one tunnel, in microseconds since the first datagram.
#[derive(Clone, Debug, Serialize)]
pub struct TunnelMove {
    /// The tunnel.
    pub path_id: PathId,
    /// Until the coordinator's direction arrived.
    pub directed: Option<u64>,
    /// Until the path worked again.
    pub rebuilt: Option<u64>,
    /// Until the first packet from the peer.
    pub first_packet: Option<u64>,
}

impl Handovers {
    /// The watcher has said something; what follows may be a move.
    pub(crate) fn note_event(&mut self, at: Time) {
        self.event = Some(at);
    }

    pub(crate) fn note(&mut self, epoch: Epoch, phase: Phase, at: Time, table: &Table) {
        match phase {
            Phase::Detected(cause) => {
                let live = table.tunnels().filter(|tunnel| tunnel.state().send.is_some());
                let tunnels = live
                    .map(|tunnel| {
                        tunnel.watch_for_first();
                        (tunnel.path, Steps::default())
                    })
                    .collect();
                if self.moves.len() == MOST {
                    self.moves.pop_front();
                }
                let event = self.event.take().filter(|_| matches!(cause, Cause::Local { .. }));
                self.moves.push_back(Move {
                    epoch,
                    cause,
                    event,
                    detected: at,
                    sent: None,
                    registered: None,
                    tunnels,
                });
            }
            Phase::Registered => {
                if let Some(last) = self.moves.iter_mut().rfind(|m| m.epoch == epoch) {
                    last.registered.get_or_insert(at);
                }
            }
            Phase::Directed(path) => {
                if let Some(steps) = self.steps(epoch, path) {
                    steps.directed.get_or_insert(at);
                }
            }
            Phase::Rebuilt(path) => {
                if let Some(steps) = self.steps(epoch, path) {
                    steps.rebuilt.get_or_insert(at);
                }
            }
        }
    }

    fn steps(&mut self, epoch: Epoch, path: PathId) -> Option<&mut Steps> {
        self.moves.iter_mut().rfind(|m| m.epoch == epoch)?.tunnels.get_mut(&path)
    }

    /// A datagram has been handed to the network.
    pub(crate) fn note_sent(&mut self, at: Time) {
        if let Some(last) = self.moves.back_mut() {
            last.sent.get_or_insert(at);
        }
    }

    /// Looks which tunnels have heard from their peers since the last move.
    pub(crate) fn note_packets(&mut self, table: &Table) {
        let Some(last) = self.moves.back_mut() else { return };
        for (path, steps) in &mut last.tunnels {
            if steps.first_packet.is_none()
                && let Some(tunnel) = table.get(path)
            {
                steps.first_packet = tunnel.first_received();
            }
        }
    }

    /// The last moves, the latest last.
    pub(crate) fn report(&self, last: usize) -> Vec<MoveReport> {
        let skip = self.moves.len().saturating_sub(last);
        self.moves.iter().skip(skip).map(Move::report).collect()
    }
}

impl Move {
    fn report(&self) -> MoveReport {
        let start = self.sent.unwrap_or(self.detected);
        let micros = |at: Time| u64::try_from(at.since(start).as_micros()).unwrap_or(u64::MAX);
        let since_start = |at: Option<Time>| at.map(micros);
        let (cause, source) = match self.cause {
            Cause::Local { source } => ("local", Some(source)),
            Cause::DeadPath => ("dead_path", None),
        };
        let tunnels = self.tunnels.iter().map(|(path, steps)| TunnelMove {
            path_id: *path,
            directed: since_start(steps.directed),
            rebuilt: since_start(steps.rebuilt),
            first_packet: since_start(steps.first_packet),
        });
        let detected = self
            .event
            .map(|event| u64::try_from(start.since(event).as_micros()).unwrap_or(u64::MAX));
        MoveReport {
            epoch: self.epoch,
            cause,
            source,
            detected_ns: self.event.unwrap_or(self.detected).nanos(),
            sent_ns: self.sent.map(Time::nanos),
            phases_us: NodePhases { detected, registered: since_start(self.registered) },
            tunnels: tunnels.collect(),
        }
    }
}
