//! The last moves, ours and peers', with their steps.

mod report;

pub use report::{MoveReport, NodePhases, PacketReport, TunnelMove, WayReport};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::id::{Epoch, NodeName, PathId};
use ntm_core::terminal::{Cause, Notice, PeerPhase, Phase, Way, Winner};
use ntm_core::tunnel::Table;

use crate::worker::Stats;

/// Moves remembered.
const MOST: usize = 64;
/// Packets that waited or were lost later than this are not a move's.
const AFTERMATH: Duration = Duration::from_secs(5);

/// The last moves of a terminal and its peers.
#[derive(Default)]
pub(crate) struct Handovers {
    moves: VecDeque<Move>,
    /// When the watcher's event came that is being worked off.
    event: Option<Time>,
    /// The real source address now, and the one before it.
    sources: [Option<IpAddr>; 2],
    /// Where each tunnel leads now.
    ways: BTreeMap<PathId, (NodeName, Way)>,
}

struct Move {
    epoch: Epoch,
    who: Who,
    /// Our source address before it.
    old_source: Option<IpAddr>,
    event: Option<Time>,
    detected: Time,
    sent: Option<Time>,
    registered: Option<Time>,
    tunnels: BTreeMap<PathId, Steps>,
    packets: Packets,
}

/// Who has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Own(Cause),
    /// A peer; `None`: the coordinator has said so, and nobody else yet.
    Peer(Option<Notice>),
}

#[derive(Default)]
struct Steps {
    peer: Option<NodeName>,
    old: Option<Way>,
    new: Option<Way>,
    told: Option<Time>,
    directed: Option<Time>,
    rebuilt: Option<Time>,
    winner: Option<Winner>,
    reverted: Option<Time>,
    first_packet: Option<Time>,
}

/// What became of packets of applications meanwhile.
#[derive(Clone, Copy, Debug)]
struct Packets {
    /// Counts when it began: those that waited, those that were dropped.
    before: [u64; 2],
    now: [u64; 2],
}

fn counts(stats: Stats) -> [u64; 2] {
    [stats.held, stats.held_in_vain + stats.worker.send_errors]
}

impl Handovers {
    /// The watcher has said something; what follows may be a move.
    pub(crate) fn note_event(&mut self, at: Time) {
        self.event = Some(at);
    }

    /// A look at the routes: the source used now, if there is one.
    pub(crate) fn note_source(&mut self, source: Option<IpAddr>) {
        if source.is_some() && source != self.sources[0] {
            self.sources = [source, self.sources[0]];
        }
    }

    /// A tunnel takes this way from now on.
    pub(crate) fn note_way(&mut self, path: PathId, peer: NodeName, way: Way) {
        if let Some(steps) = self.moves.back_mut().and_then(|last| last.tunnels.get_mut(&path)) {
            steps.new = Some(way);
        }
        self.ways.insert(path, (peer, way));
    }

    /// A step of our own.
    pub(crate) fn note(
        &mut self,
        epoch: Epoch,
        phase: Phase,
        at: Time,
        table: &Table,
        stats: Stats,
    ) {
        match phase {
            Phase::Detected(cause) => {
                self.look(at, table, stats);
                self.ways.retain(|path, _| table.get(path).is_some());
                let live = table.tunnels().filter(|tunnel| tunnel.state().send.is_some());
                let paths: Vec<_> = live.map(|tunnel| tunnel.path).collect();
                let tunnels = paths.into_iter().map(|path| (path, self.begin(path, table)));
                let tunnels = tunnels.collect();
                let event = self.event.take().filter(|_| matches!(cause, Cause::Local { .. }));
                let moved = Move { event, tunnels, ..Move::new(epoch, Who::Own(cause), at, stats) };
                let old_source = self.old_source(cause);
                self.remember(Move { old_source, ..moved });
            }
            Phase::Registered => {
                if let Some(last) = self.own(epoch) {
                    last.registered.get_or_insert(at);
                }
            }
            Phase::Told(path) => self.step(epoch, path, |steps| &mut steps.told, at),
            Phase::Directed(path) => self.step(epoch, path, |steps| &mut steps.directed, at),
            Phase::Rebuilt(path, winner) => {
                self.step(epoch, path, |steps| &mut steps.rebuilt, at);
                let steps = self.own(epoch).and_then(|own| own.tunnels.get_mut(&path));
                if let Some(steps) = steps {
                    steps.winner.get_or_insert(winner);
                }
            }
        }
    }

    /// A step of a peer's move.
    pub(crate) fn note_peer(
        &mut self,
        (path, epoch): (PathId, Epoch),
        phase: PeerPhase,
        at: Time,
        table: &Table,
        stats: Stats,
    ) {
        let is_it = |moved: &Move| {
            moved.epoch == epoch
                && matches!(moved.who, Who::Peer(_))
                && moved.tunnels.contains_key(&path)
        };
        // The peer of a tunnel may be heard from elsewhere more than once an epoch.
        let again = matches!(phase, PeerPhase::Noticed { by: Notice::Rebinding, .. });
        if again || !self.moves.iter().any(is_it) {
            self.look(at, table, stats);
            let steps = self.begin(path, table);
            let tunnels = BTreeMap::from([(path, steps)]);
            self.remember(Move { tunnels, ..Move::new(epoch, Who::Peer(None), at, stats) });
        }
        let Some(moved) = self.moves.iter_mut().rfind(|moved| is_it(moved)) else { return };
        let Some(steps) = moved.tunnels.get_mut(&path) else { return };
        match phase {
            PeerPhase::Noticed { by, from, to } => {
                moved.who = Who::Peer(Some(by));
                (steps.old, steps.new) = (from, Some(to));
                steps.told.get_or_insert(at);
                let first =
                    if steps.directed.is_some() { Winner::Direction } else { Winner::Update };
                steps.winner.get_or_insert(first);
            }
            PeerPhase::Directed => drop(steps.directed.get_or_insert(at)),
            PeerPhase::Proved => drop(steps.rebuilt.get_or_insert(at)),
            PeerPhase::Reverted => drop(steps.reverted.get_or_insert(at)),
        }
    }

    /// A datagram has been handed to the network.
    pub(crate) fn note_sent(&mut self, at: Time) {
        if let Some(last) = self.moves.back_mut() {
            last.sent.get_or_insert(at);
        }
    }

    /// Looks what packets have come of the last moves.
    pub(crate) fn look(&mut self, now: Time, table: &Table, stats: Stats) {
        // There is one clock for each tunnel: of two ends that move at once both
        // moves have it, of one that moved twice the later.
        let mut seen = BTreeSet::new();
        for moved in self.moves.iter_mut().rev() {
            let is_own = matches!(moved.who, Who::Own(_));
            if now.since(moved.detected) < AFTERMATH {
                moved.packets.now = counts(stats);
            }
            for (path, steps) in &mut moved.tunnels {
                let newest = seen.insert((*path, is_own));
                if newest
                    && steps.first_packet.is_none()
                    && let Some(tunnel) = table.get(path)
                {
                    steps.first_packet = tunnel.first_received();
                }
            }
        }
    }

    /// The last moves, the latest last.
    pub(crate) fn report(&self, last: usize) -> Vec<MoveReport> {
        let skip = self.moves.len().saturating_sub(last);
        self.moves.iter().skip(skip).map(Move::report).collect()
    }

    fn begin(&self, path: PathId, table: &Table) -> Steps {
        if let Some(tunnel) = table.get(&path) {
            tunnel.watch_for_first();
        }
        let (peer, way) = self.ways.get(&path).cloned().unzip();
        Steps { peer, old: way, new: way, ..Steps::default() }
    }

    fn remember(&mut self, moved: Move) {
        if self.moves.len() == MOST {
            self.moves.pop_front();
        }
        self.moves.push_back(moved);
    }

    fn old_source(&self, cause: Cause) -> Option<IpAddr> {
        match cause {
            Cause::Local { source } if self.sources[0] == Some(source) => self.sources[1],
            Cause::Local { .. } => self.sources[0],
            Cause::DeadPath => None,
        }
    }

    fn own(&mut self, epoch: Epoch) -> Option<&mut Move> {
        let is_it = |moved: &&mut Move| moved.epoch == epoch && matches!(moved.who, Who::Own(_));
        self.moves.iter_mut().rfind(is_it)
    }

    fn step(
        &mut self,
        epoch: Epoch,
        path: PathId,
        which: impl Fn(&mut Steps) -> &mut Option<Time>,
        at: Time,
    ) {
        if let Some(steps) = self.own(epoch).and_then(|own| own.tunnels.get_mut(&path)) {
            which(steps).get_or_insert(at);
        }
    }
}

impl Move {
    fn new(epoch: Epoch, who: Who, detected: Time, stats: Stats) -> Self {
        let packets = Packets { before: counts(stats), now: counts(stats) };
        Self {
            epoch,
            who,
            old_source: None,
            event: None,
            detected,
            sent: None,
            registered: None,
            tunnels: BTreeMap::new(),
            packets,
        }
    }
}

#[cfg(test)]
mod tests;
