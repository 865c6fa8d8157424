use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::endpoint::{Endpoint, Pointing};
use super::entry::{State, Tunnel};
use super::hash::KeyedHash;
use super::keys::{ReceiveKey, SendKey};
use super::publish::{Publisher, Reader, Taken};
use crate::address::{Leg, Vips};
use crate::crypto::{Secret, Suite};
use crate::id::{Epoch, PathId, Side};
use crate::{Rng, Time};

/// Receive keys of one tunnel that may be alive at once: before, now, and two
/// of a glare.
const MOST_RECEIVE_KEYS: usize = 4;

/// The tunnel table's writing end: one to a node.
#[derive(Debug)]
pub struct Table {
    published: Publisher<Tunnels>,
    entries: BTreeMap<PathId, Entry>,
}

#[derive(Debug)]
struct Entry {
    tunnel: Arc<Tunnel>,
    state: Publisher<State>,
}

/// A packet worker's view of the table.
#[derive(Clone, Debug)]
pub struct TableReader(Reader<Tunnels>);

/// All tunnels at one moment.
#[derive(Clone, Debug)]
pub struct Tunnels {
    by_path: HashMap<PathId, Arc<Tunnel>, KeyedHash>,
    by_vip: HashMap<IpAddr, Arc<Tunnel>, KeyedHash>,
}

/// Which way a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// For what we send; replaces the sending key.
    Send,
    /// For what we receive; joins the receiving keys.
    Receive,
}

/// What the terminal tells the table's owner to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TableEvent {
    /// A tunnel to this peer; without keys or path at first. The same again
    /// changes nothing.
    Open {
        /// The Path ID.
        path: PathId,
        /// Which side we are on.
        side: Side,
        /// Our virtual addresses.
        own: Vips,
        /// The peer's.
        peer: Vips,
    },
    /// A key, fresh from a handshake.
    Install {
        /// The tunnel.
        path: PathId,
        /// Which way it is for.
        direction: Direction,
        /// The receiver's number for it.
        slot: u8,
        /// The cipher.
        suite: Suite,
        /// The key.
        key: Secret,
    },
    /// No packet sealed with this key is accepted any more.
    Retire {
        /// The tunnel.
        path: PathId,
        /// Our number for the key.
        slot: u8,
    },
    /// Nothing is sealed any more: the session is over.
    Disarm {
        /// The tunnel.
        path: PathId,
    },
    /// Packets go there from now on; `None`: nowhere.
    Point {
        /// The tunnel.
        path: PathId,
        /// Where to.
        to: Option<Pointing>,
        /// Our epoch.
        epoch: Epoch,
    },
    /// Packets go that way as well; `None`: no longer. Ends with the next
    /// [`TableEvent::Point`].
    Mirror {
        /// The tunnel.
        path: PathId,
        /// The other way.
        to: Option<Leg>,
    },
    /// The tunnel is no more, its keys with it.
    Remove {
        /// The tunnel.
        path: PathId,
    },
}

impl TableEvent {
    /// The tunnel it is about.
    pub fn path(&self) -> PathId {
        match self {
            Self::Open { path, .. }
            | Self::Install { path, .. }
            | Self::Retire { path, .. }
            | Self::Disarm { path }
            | Self::Point { path, .. }
            | Self::Mirror { path, .. }
            | Self::Remove { path } => *path,
        }
    }
}

impl Table {
    /// An empty table.
    pub fn new(rng: &mut Rng) -> Self {
        let hash = KeyedHash::new(rng);
        let tunnels =
            Tunnels { by_path: HashMap::with_hasher(hash), by_vip: HashMap::with_hasher(hash) };
        Self { published: Publisher::new(tunnels), entries: BTreeMap::new() }
    }

    /// A view for a packet worker.
    pub fn reader(&self) -> TableReader {
        TableReader(self.published.reader())
    }

    /// Does what the terminal says. An event about a tunnel that is not there
    /// does nothing.
    pub fn apply(&mut self, now: Time, event: &TableEvent) {
        match event {
            TableEvent::Open { path, side, own, peer } => self.open(*path, *side, *own, *peer),
            TableEvent::Remove { path } => self.remove(*path),
            TableEvent::Install { path, direction, slot, suite, key } => {
                self.change(*path, |state| match direction {
                    Direction::Send => {
                        state.send = Some(Arc::new(SendKey::new(*suite, key, *slot)));
                    }
                    Direction::Receive => {
                        state.receive.retain(|key| key.slot() != *slot);
                        state.receive.insert(0, Arc::new(ReceiveKey::new(*suite, key, *slot)));
                        state.receive.truncate(MOST_RECEIVE_KEYS);
                    }
                });
            }
            TableEvent::Retire { path, slot } => {
                self.change(*path, |state| state.receive.retain(|key| key.slot() != *slot));
            }
            TableEvent::Disarm { path } => self.change(*path, |state| state.send = None),
            TableEvent::Mirror { path, to } => self.change(*path, |state| {
                let mirrored = |before: Arc<Endpoint>| Arc::new(before.mirrored(*to));
                state.endpoint = state.endpoint.take().map(mirrored);
            }),
            TableEvent::Point { path, to, epoch } => {
                let rate = self.entries.get(path).map_or(0, |entry| entry.tunnel.meter.rate(now));
                self.change(*path, |state| {
                    let before = state.endpoint.take();
                    let point = |to| Arc::new(Endpoint::new(to, rate, before.as_deref()));
                    state.endpoint = to.as_ref().map(point);
                    state.limit = to.as_ref().map_or(state.limit, |to| to.limit);
                    state.epoch = *epoch;
                });
            }
        }
    }

    fn open(&mut self, path: PathId, side: Side, own: Vips, peer: Vips) {
        if let Some(entry) = self.entries.get(&path)
            && (entry.tunnel.own, entry.tunnel.peer) == (own, peer)
        {
            return;
        }
        self.remove(path);
        let state = Publisher::new(State { limit: u16::MAX, ..State::default() });
        let tunnel = Arc::new(Tunnel::new(path, side, own, peer, state.reader()));
        self.publish(|tunnels| {
            tunnels.by_path.insert(path, tunnel.clone());
            for vip in peer.iter() {
                tunnels.by_vip.insert(vip, tunnel.clone());
            }
        });
        self.entries.insert(path, Entry { tunnel, state });
    }

    fn remove(&mut self, path: PathId) {
        if let Some(mut entry) = self.entries.remove(&path) {
            // A worker that still holds the tunnel finds nothing to seal with.
            entry.state.publish(State::default());
            self.publish(|tunnels| {
                tunnels.by_path.remove(&path);
                for vip in entry.tunnel.peer.iter() {
                    if tunnels.by_vip.get(&vip).is_some_and(|tunnel| tunnel.path == path) {
                        tunnels.by_vip.remove(&vip);
                    }
                }
            });
        }
    }

    fn publish(&mut self, change: impl FnOnce(&mut Tunnels)) {
        let mut tunnels = self.published.current().clone();
        change(&mut tunnels);
        self.published.publish(tunnels);
    }

    /// Rewrites one entry: the exclusive rewriting of the paper.
    fn change(&mut self, path: PathId, change: impl FnOnce(&mut State)) {
        if let Some(entry) = self.entries.get_mut(&path) {
            let mut state = entry.state.current().clone();
            change(&mut state);
            entry.state.publish(state);
        }
    }

    /// The tunnels, in the order of their Path IDs.
    pub fn tunnels(&self) -> impl Iterator<Item = &Arc<Tunnel>> {
        self.entries.values().map(|entry| &entry.tunnel)
    }

    /// The tunnel of this Path ID.
    pub fn get(&self, path: &PathId) -> Option<&Arc<Tunnel>> {
        self.entries.get(path).map(|entry| &entry.tunnel)
    }
}

impl TableReader {
    /// All tunnels as they are now: take it once a batch.
    pub fn take(&self) -> Taken<Tunnels> {
        self.0.take()
    }
}

impl Tunnels {
    /// The tunnel of this Path ID.
    pub fn by_path(&self, path: &PathId) -> Option<&Arc<Tunnel>> {
        self.by_path.get(path)
    }

    /// The tunnel to the node with this virtual address.
    pub fn by_vip(&self, vip: IpAddr) -> Option<&Arc<Tunnel>> {
        self.by_vip.get(&vip)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::Proof;
    use super::*;
    use crate::address::{Leg, TransportId};

    const PATH: PathId = PathId::from_bytes([1; 16]);

    fn vips(last: u8) -> Vips {
        Vips { v4: Some([198, 18, 0, last].into()), v6: None }
    }

    fn open(path: PathId, peer: u8) -> TableEvent {
        TableEvent::Open { path, side: Side::Lower, own: vips(1), peer: vips(peer) }
    }

    fn point(port: u16) -> TableEvent {
        let leg = Leg::to(TransportId(0), ([203, 0, 113, 1], port).into());
        let to = Pointing { leg, proof: Proof::Proved, fallback: None, limit: 1400 };
        TableEvent::Point { path: PATH, to: Some(to), epoch: Epoch(7) }
    }

    fn install(direction: Direction, slot: u8) -> TableEvent {
        TableEvent::Install {
            path: PATH,
            direction,
            slot,
            suite: Suite::ChaCha20Poly1305,
            key: Secret::new([slot; 32]),
        }
    }

    fn table(events: &[TableEvent]) -> Table {
        let mut table = Table::new(&mut Rng::from_seed([0; 32]));
        for event in events {
            table.apply(Time::ZERO, event);
        }
        table
    }

    #[test]
    fn a_tunnel_is_found_by_path_and_by_address_until_removed() {
        let mut table = table(&[open(PATH, 2)]);
        let reader = table.reader();
        assert!(reader.take().by_path(&PATH).is_some());
        assert!(reader.take().by_vip([198, 18, 0, 2].into()).is_some());
        assert!(reader.take().by_vip([198, 18, 0, 1].into()).is_none());
        table.apply(Time::ZERO, &TableEvent::Remove { path: PATH });
        assert!(reader.take().is_empty());
        assert!(reader.take().by_vip([198, 18, 0, 2].into()).is_none());
    }

    #[test]
    fn a_move_keeps_keys_and_counters() {
        let mut table = table(&[open(PATH, 2), install(Direction::Send, 3), point(1)]);
        let tunnel = table.get(&PATH).unwrap().clone();
        let before = tunnel.state().send.clone().unwrap();
        assert_eq!(before.reserve(5), Some(0));
        table.apply(Time::ZERO, &point(2));
        let state = tunnel.state();
        assert_eq!(state.endpoint.as_ref().unwrap().leg.remote.port(), 2);
        assert_eq!(state.send.as_ref().unwrap().reserve(1), Some(5));
    }

    #[test]
    fn a_worker_that_holds_a_removed_tunnel_cannot_seal() {
        let mut table = table(&[open(PATH, 2), install(Direction::Send, 3), point(1)]);
        let tunnel = table.get(&PATH).unwrap().clone();
        table.apply(Time::ZERO, &TableEvent::Remove { path: PATH });
        assert!(tunnel.state().send.is_none() && tunnel.state().endpoint.is_none());
    }

    #[test]
    fn opening_again_changes_nothing_unless_the_ends_differ() {
        let mut table = table(&[open(PATH, 2), install(Direction::Send, 3)]);
        table.apply(Time::ZERO, &open(PATH, 2));
        assert!(table.get(&PATH).unwrap().state().send.is_some());
        table.apply(Time::ZERO, &open(PATH, 9));
        assert!(table.get(&PATH).unwrap().state().send.is_none());
        assert!(table.reader().take().by_vip([198, 18, 0, 2].into()).is_none());
    }

    #[test]
    fn receive_keys_are_few_and_one_to_a_slot() {
        let mut table = table(&[open(PATH, 2)]);
        for slot in [0, 1, 2, 3, 4, 4] {
            table.apply(Time::ZERO, &install(Direction::Receive, slot));
        }
        let slots = |table: &Table| -> Vec<_> {
            table.get(&PATH).unwrap().state().receive.iter().map(|key| key.slot()).collect()
        };
        assert_eq!(slots(&table), [4, 3, 2, 1]);
        table.apply(Time::ZERO, &TableEvent::Retire { path: PATH, slot: 3 });
        assert_eq!(slots(&table), [4, 2, 1]);
    }

    /// Readers hammer the real cell while one writer moves and renews: whatever
    /// they take belongs together. Endpoint `n` is only ever published with
    /// epoch `n` and limit `n`, and key slot `n % 16` only after it.
    #[test]
    fn readers_never_see_a_mixture() {
        const MOVES: u16 = 20_000;
        let mut table = table(&[open(PATH, 2), install(Direction::Send, 1), point(1)]);
        let tunnel = table.get(&PATH).unwrap().clone();
        // Nobody writes before everybody has begun to read.
        let begun = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    let (tunnel, begun) = (tunnel.clone(), &begun);
                    scope.spawn(move || {
                        let (mut looks, mut last) = (0_u64, 0);
                        loop {
                            let state = tunnel.state();
                            let Some(endpoint) = &state.endpoint else { return looks };
                            let port = endpoint.leg.remote.port();
                            if port > 1 {
                                assert_eq!(u64::from(port), state.epoch.0);
                                assert_eq!(port, state.limit);
                                assert!(port >= last, "an older entry came back");
                                let slot = u16::from(state.send.as_ref().unwrap().slot());
                                assert!(slot == port % 16 || slot == (port - 1) % 16);
                            }
                            last = port;
                            looks += 1;
                            if looks == 1 {
                                begun.wait();
                            }
                        }
                    })
                })
                .collect();
            begun.wait();
            for n in 2..MOVES {
                let leg = Leg::to(TransportId(0), ([203, 0, 113, 1], n).into());
                let to = Pointing { leg, proof: Proof::Proved, fallback: None, limit: n };
                let epoch = Epoch(n.into());
                table.apply(Time::ZERO, &TableEvent::Point { path: PATH, to: Some(to), epoch });
                table.apply(Time::ZERO, &install(Direction::Send, (n % 16) as u8));
            }
            table.apply(Time::ZERO, &TableEvent::Remove { path: PATH });
            for reader in readers {
                assert!(reader.join().unwrap() > 0);
            }
        });
    }
}
