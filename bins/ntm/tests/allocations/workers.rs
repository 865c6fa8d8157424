//! Whole workers, each on its thread: one that seals, one that relays, one that
//! opens.

use std::sync::Arc;

use ntm_core::Rng;
use ntm_core::crypto::Suite;
use ntm_core::plugin::{Lane, Offload};
use ntm_core::relay::Forwarder;
use ntm_core::tunnel::TableReader;

use super::count::allocations;
use super::ends;
use super::lanes::{Between, Listening, Talking, Wire};
use super::worker::{Handle, Lanes, Mailbox, Manner, Worker};

const PEERS: usize = 50;
/// Packets of a round.
const PACKETS: u64 = 20_000;
/// Buffers have grown in far fewer.
const MOST_ROUNDS: usize = 30;

fn start(
    interface: Option<Arc<dyn Lane>>,
    transport: Between,
    tunnels: TableReader,
    forwarder: Forwarder,
    mailbox: &Arc<Mailbox>,
) -> Handle {
    let offload = Offload { tcp: true, udp: true };
    let lanes = Lanes { interface, offload, transports: vec![Arc::new(transport)], borrowed: 0 };
    let (mailbox, rng) = (mailbox.clone(), Rng::from_seed([4; 32]));
    Worker::start(0, lanes, tunnels, forwarder, Manner::default(), mailbox, rng).unwrap()
}

/// How much fits into a queue depends on how threads take turns, and so does when
/// the last buffer has grown; so some rounds may pass. But if packets, batches or
/// turns cost memory, no round goes by without.
pub(crate) fn packets_through_three_workers() {
    let [near, far] = ends::tables(Suite::Aes256Gcm, PEERS);
    let [none, _] = ends::tables(Suite::Aes256Gcm, 0);
    let wires: [_; 4] = std::array::from_fn(|_| Wire::new());
    let between =
        |from: usize, to: usize| Between { from: wires[from].clone(), to: wires[to].clone() };
    let mailboxes: [_; 3] =
        std::array::from_fn(|_| Arc::new(Mailbox::new(1, &mut Rng::from_seed([5; 32]))));
    let listening = Arc::new(Listening::new());
    let talking = Arc::new(Talking::to(PEERS));
    let _workers = [
        start(Some(listening.clone()), between(2, 3), far, ends::forwards(0), &mailboxes[2]),
        start(None, between(1, 2), none, ends::forwards(PEERS), &mailboxes[1]),
        start(Some(talking), between(0, 1), near, ends::forwards(0), &mailboxes[0]),
    ];
    let mut rounds = Vec::new();
    while rounds.last() != Some(&0) {
        assert!(rounds.len() < MOST_ROUNDS, "allocations in rounds of {PACKETS}: {rounds:?}");
        let before = allocations();
        listening.wait_for(PACKETS);
        rounds.push(allocations() - before);
    }
    let heard = listening.wait_for(0);
    assert!(heard.super_packets > 100, "{} were joined", heard.super_packets);
    let [first, relay, last] = [0, 1, 2].map(|at| mailboxes[at].stats());
    assert!(relay.worker.relayed >= PACKETS, "{} were relayed", relay.worker.relayed);
    assert_eq!(first.dropped, ntm_core::tunnel::Dropped::default());
    assert_eq!(last.dropped, ntm_core::tunnel::Dropped::default());
}
