use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::IpAddr;

use super::hash::KeyedHash;
use crate::Rng;
use crate::packet::hash_flow;

/// Peers, and flows of a peer, that are told apart; two that share a place share
/// its turns.
const PLACES: usize = 64;

/// What a peer or a flow may send in one turn, in bytes: a super-packet.
const QUANTUM: i64 = 65_536;

/// Packets that wait for a worker, by peer and flow: deficit round robin among
/// peers, and among the flows of each. What has little to say goes first (RFC
/// 8290's new and old queues), so that a bulk flow delays neither an interactive
/// one nor another peer by more than a super-packet. The packets of a flow stay in
/// order.
///
/// It has no limit of its own: whoever fills it has so many buffers, and takes one
/// back with [`Fair::evict`] or leaves the rest where it is.
#[derive(Debug)]
pub struct Fair<T> {
    hash: KeyedHash,
    peers: Vec<Peer<T>>,
    turns: Turns,
    len: usize,
    bytes: usize,
}

/// Where a packet has its turn: those of its peer, and among them of its flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowPlace {
    peer: usize,
    flow: usize,
}

#[derive(Debug)]
struct Peer<T> {
    flows: Vec<Flow<T>>,
    turns: Turns,
    bytes: usize,
    len: usize,
}

#[derive(Debug)]
struct Flow<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
}

/// Whose turn it is.
#[derive(Debug)]
struct Turns {
    /// Those that had nothing to say until now, each with a whole quantum.
    new: VecDeque<usize>,
    old: VecDeque<usize>,
    places: [Place; PLACES],
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    credit: i64,
    is_listed: bool,
}

impl<T> Fair<T> {
    /// An empty one.
    pub fn new(rng: &mut Rng) -> Self {
        let flow = || Flow { items: VecDeque::new(), bytes: 0 };
        let flows = || (0..PLACES).map(|_| flow()).collect();
        let peer = || Peer { flows: flows(), turns: Turns::new(), bytes: 0, len: 0 };
        let peers = (0..PLACES).map(|_| peer()).collect();
        Self { hash: KeyedHash::new(rng), peers, turns: Turns::new(), len: 0, bytes: 0 }
    }

    /// Where a packet to or from `peer` has its turn.
    pub fn place(&self, peer: IpAddr, packet: &[u8]) -> FlowPlace {
        let mut hasher = self.hash.build_hasher();
        hash_flow(packet, &mut hasher);
        let place = |hash: u64| hash as usize % PLACES;
        FlowPlace { peer: place(self.hash.hash_one(peer)), flow: place(hasher.finish()) }
    }

    /// Takes what belongs to a packet of this many bytes.
    pub fn push(&mut self, place: FlowPlace, bytes: usize, item: T) {
        let FlowPlace { peer: at, flow } = place;
        let peer = &mut self.peers[at];
        peer.bytes += bytes;
        peer.len += 1;
        peer.flows[flow].bytes += bytes;
        peer.flows[flow].items.push_back((bytes, item));
        peer.turns.join(flow);
        self.turns.join(at);
        self.len += 1;
        self.bytes += bytes;
    }

    /// Gives what is next.
    pub fn pop(&mut self) -> Option<T> {
        let at = self.turns.next(|at| self.peers[at].len == 0)?;
        let peer = &mut self.peers[at];
        let flow = peer.turns.next(|at| peer.flows[at].items.is_empty())?;
        let (bytes, item) = peer.take(flow)?;
        peer.turns.charge(flow, bytes);
        self.turns.charge(at, bytes);
        self.len -= 1;
        self.bytes -= bytes;
        Some(item)
    }

    /// Gives the oldest of the flow that takes most room, to be dropped.
    pub fn evict(&mut self) -> Option<T> {
        let peer = self.peers.iter_mut().max_by_key(|peer| peer.bytes)?;
        let (flow, _) = peer.flows.iter().enumerate().max_by_key(|(_, flow)| flow.bytes)?;
        let (bytes, item) = peer.take(flow)?;
        self.len -= 1;
        self.bytes -= bytes;
        Some(item)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Peer<T> {
    fn take(&mut self, flow: usize) -> Option<(usize, T)> {
        let flow = &mut self.flows[flow];
        let (bytes, item) = flow.items.pop_front()?;
        flow.bytes -= bytes;
        self.bytes -= bytes;
        self.len -= 1;
        Some((bytes, item))
    }
}

impl Turns {
    fn new() -> Self {
        let list = || VecDeque::with_capacity(PLACES);
        Self { new: list(), old: list(), places: [Place::default(); PLACES] }
    }

    /// This one has something to say.
    fn join(&mut self, at: usize) {
        let place = &mut self.places[at];
        if !place.is_listed {
            *place = Place { credit: QUANTUM, is_listed: true };
            self.new.push_back(at);
        }
    }

    /// Whose turn it is: somebody who has something to say and the credit for it.
    fn next(&mut self, is_empty: impl Fn(usize) -> bool) -> Option<usize> {
        loop {
            let is_new = !self.new.is_empty();
            let list = if is_new { &mut self.new } else { &mut self.old };
            let at = *list.front()?;
            let place = &mut self.places[at];
            if !is_empty(at) && place.credit > 0 {
                return Some(at);
            }
            list.pop_front();
            if !is_empty(at) {
                place.credit += QUANTUM;
                self.old.push_back(at);
            } else if is_new && !self.old.is_empty() {
                // Whoever comes again at once has to wait for the others.
                self.old.push_back(at);
            } else {
                place.is_listed = false;
            }
        }
    }

    fn charge(&mut self, at: usize, bytes: usize) {
        self.places[at].credit -= bytes as i64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Rng;

    fn fair<T>() -> Fair<T> {
        Fair::new(&mut Rng::from_seed([0; 32]))
    }

    fn peer(number: u8) -> IpAddr {
        [198, 18, 0, number].into()
    }

    /// A UDP packet to `to` by a flow of this number.
    fn packet(to: u8, flow: u16, bytes: usize) -> Vec<u8> {
        let mut packet = vec![0; bytes.max(28)];
        packet[0] = 0x45;
        packet[9] = 17;
        packet[12..20].copy_from_slice(&[198, 18, 0, 200, 198, 18, 0, to]);
        packet[20..22].copy_from_slice(&flow.to_be_bytes());
        packet
    }

    fn push<T>(fair: &mut Fair<T>, packet: Vec<u8>, item: T) {
        let place = fair.place(peer(packet[19]), &packet);
        fair.push(place, packet.len(), item);
    }

    #[test]
    fn a_sparse_flow_waits_for_one_super_packet_of_a_bulk_flow() {
        let mut fair = fair();
        for nth in 0..50 {
            push(&mut fair, packet(1, 1, 60_000), (1, nth));
        }
        fair.pop();
        fair.pop();
        push(&mut fair, packet(1, 2, 84), (2, 0));
        let waits = (0..).find(|_| fair.pop().unwrap().0 == 2).unwrap();
        assert!(waits <= 1, "behind {waits} super-packets");
    }

    #[test]
    fn many_flows_of_one_peer_get_no_more_than_one_of_another() {
        let mut fair = fair();
        for nth in 0..640 {
            push(&mut fair, packet(1, nth % 32, 10_000), 1);
            push(&mut fair, packet(2, 1, 10_000), 2);
        }
        let first: Vec<_> = (0..320).filter_map(|_| fair.pop()).collect();
        let of_one = first.iter().filter(|peer| **peer == 1).count();
        assert!((130..=190).contains(&of_one), "{of_one} of 320");
    }

    #[test]
    fn bulk_flows_share_alike_whatever_the_size_of_their_packets() {
        let mut fair = fair();
        for nth in 0..600 {
            push(&mut fair, packet(1, 1, 1000), 1000);
            if nth < 10 {
                push(&mut fair, packet(1, 2, 60_000), 60_000);
            }
        }
        let mut bytes = BTreeMap::<usize, usize>::new();
        for _ in 0..300 {
            let size = fair.pop().unwrap();
            *bytes.entry(size).or_default() += size;
        }
        let (small, large) = (bytes[&1000], bytes[&60_000]);
        assert!(small.abs_diff(large) <= 3 * QUANTUM as usize, "{bytes:?}");
    }

    #[test]
    fn a_flow_that_comes_and_goes_does_not_starve_one_that_stays() {
        let mut fair = fair();
        for _ in 0..10 {
            push(&mut fair, packet(1, 1, 60_000), 1);
        }
        // A new packet whenever the last one has left.
        let mut stays = 0;
        for _ in 0..100 {
            push(&mut fair, packet(1, 2, 60_000), 2);
            while fair.pop() != Some(2) {
                stays += 1;
            }
        }
        assert_eq!(stays, 10);
    }

    #[test]
    fn the_fattest_flow_gives_way() {
        let mut fair = fair();
        push(&mut fair, packet(1, 1, 84), "ping");
        for nth in ["first", "second"] {
            push(&mut fair, packet(1, 2, 60_000), nth);
        }
        assert_eq!(fair.evict(), Some("first"));
        assert_eq!(
            (fair.len(), fair.pop(), fair.pop(), fair.pop()),
            (2, Some("ping"), Some("second"), None)
        );
        assert_eq!(fair.evict(), None);
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_and_each_flow_in_order(
            steps in prop::collection::vec((0_u8..4, 0_u8..3, 0_u16..4, 28_usize..3000), 0..300),
        ) {
            let mut fair = fair();
            let mut waiting = 0;
            let mut pushed: BTreeMap<(u8, u16), VecDeque<usize>> = BTreeMap::new();
            for (nth, (what, to, flow, bytes)) in steps.into_iter().enumerate() {
                if what == 0 {
                    if let Some((to, flow, got)) = fair.pop() {
                        prop_assert_eq!(pushed.get_mut(&(to, flow)).unwrap().pop_front(), Some(got));
                        waiting -= 1;
                    }
                } else {
                    push(&mut fair, packet(to, flow, bytes), (to, flow, nth));
                    pushed.entry((to, flow)).or_default().push_back(nth);
                    waiting += 1;
                }
                prop_assert_eq!(fair.len(), waiting);
            }
            while let Some((to, flow, got)) = fair.pop() {
                prop_assert_eq!(pushed.get_mut(&(to, flow)).unwrap().pop_front(), Some(got));
            }
            prop_assert!(pushed.values().all(VecDeque::is_empty));
        }
    }
}
