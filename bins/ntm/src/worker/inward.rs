//! To applications: opened packets are joined to super-packets. While the network
//! has more than can be handed over at once they wait, and leave in turns: what
//! lies in a socket cannot be told apart, what has been opened can.

use ntm_core::packet::Coalescer;
use ntm_core::plugin::{Addr, Lane, Offload, TxPacket};

use super::outgoing::send;
use super::pool::{Peer, Queue, Queued};

/// Packets or super-packets that wait at most.
const BUFFERS: usize = 64;
/// Bytes that are handed over before the network gets its turn.
const TURN: usize = 128 << 10;

/// Packets on their way to applications.
pub(super) struct Inward {
    coalescer: Coalescer,
    queue: Queue,
}

impl Inward {
    /// For an interface that takes these super-packets.
    pub(super) fn new(takes: Offload, rng: &mut ntm_core::Rng) -> Self {
        Self { coalescer: Coalescer::new(takes), queue: Queue::new(BUFFERS, rng) }
    }

    /// Takes an opened packet, to be joined with those that come with it.
    pub(super) fn push(&mut self, packet: &[u8]) {
        self.coalescer.push(packet);
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Ends the joining. What has come is handed over at once, or waits if there is
    /// `more` or others wait already. Returns how many packets the interface did
    /// not take.
    pub(super) fn settle(&mut self, interface: Option<&dyn Lane>, more: bool) -> u64 {
        let Some(interface) = interface.filter(|_| !self.coalescer.is_empty()) else {
            self.coalescer.clear();
            return 0;
        };
        let mut lost = 0;
        if more || !self.queue.is_empty() {
            for (packet, segment) in self.coalescer.packets() {
                let Some(mut buffer) = make_room(&mut self.queue, interface, &mut lost) else {
                    lost += 1;
                    continue;
                };
                buffer[..packet.len()].copy_from_slice(packet);
                self.queue.push(Peer::Source, Queued { buffer, len: packet.len(), segment });
            }
        } else {
            let packets = self.coalescer.packets();
            lost = send(
                interface,
                packets.map(|(it, segment)| TxPacket::run(it, segment, Addr::NONE)),
            );
        }
        self.coalescer.clear();
        lost
    }

    /// Hands over what may leave in a turn. Returns how many packets the interface
    /// did not take.
    pub(super) fn deliver(&mut self, interface: &dyn Lane) -> u64 {
        let (mut bytes, mut lost) = (0, 0);
        while bytes < TURN
            && let Some(queued) = self.queue.fair.pop()
        {
            bytes += queued.len;
            lost += hand_over(interface, &queued);
            self.queue.free.push(queued.buffer);
        }
        lost
    }
}

/// A free buffer; what is next goes before its time if there is none.
fn make_room(queue: &mut Queue, interface: &dyn Lane, lost: &mut u64) -> Option<Box<[u8]>> {
    queue.free.pop().or_else(|| {
        let queued = queue.fair.pop()?;
        *lost += hand_over(interface, &queued);
        Some(queued.buffer)
    })
}

fn hand_over(interface: &dyn Lane, queued: &Queued) -> u64 {
    let packet = TxPacket::run(&queued.buffer[..queued.len], queued.segment, Addr::NONE);
    send(interface, std::iter::once(packet))
}
