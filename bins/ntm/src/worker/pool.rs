use ntm_core::packet::Flow;
use ntm_core::tunnel::Fair;

use super::SLOT;

/// A packet or super-packet in a buffer of a [`Queue`].
pub(super) struct Queued {
    pub(super) buffer: Box<[u8]>,
    pub(super) len: usize,
    pub(super) segment: u16,
}

/// Packets that wait their turn, in buffers that are allocated once: so many, and
/// no more bytes than they hold.
pub(super) struct Queue {
    pub(super) free: Vec<Box<[u8]>>,
    pub(super) fair: Fair<Queued>,
}

/// Whose turn a packet takes.
#[derive(Clone, Copy)]
pub(super) enum Peer {
    Source,
    Destination,
}

impl Queue {
    /// With so many buffers.
    pub(super) fn new(buffers: usize, rng: &mut ntm_core::Rng) -> Self {
        let free = (0..buffers).map(|_| vec![0; SLOT].into_boxed_slice()).collect();
        Self { free, fair: Fair::new(rng) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fair.is_empty()
    }

    /// Queues a packet; whether it is one.
    pub(super) fn push(&mut self, of: Peer, queued: Queued) -> bool {
        let packet = &queued.buffer[..queued.len];
        let Ok(flow) = Flow::of(packet) else {
            self.free.push(queued.buffer);
            return false;
        };
        let peer = match of {
            Peer::Source => flow.source,
            Peer::Destination => flow.destination,
        };
        let place = self.fair.place(peer, packet);
        self.fair.push(place, queued.len, queued);
        true
    }
}
