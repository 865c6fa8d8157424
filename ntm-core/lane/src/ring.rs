use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;

use crate::Packet;

/// How much one ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Datagrams and runs, at least one.
    pub packets: usize,
    /// Bytes of all of them. An empty ring takes one packet of any size.
    pub bytes: usize,
}

impl Default for Room {
    /// A thousand datagrams of any size, and 64 of the longest runs.
    fn default() -> Self {
        Self { packets: 1024, bytes: 4 << 20 }
    }
}

/// A bounded queue that any thread may fill and empty.
pub(crate) struct Ring {
    queue: ArrayQueue<Packet>,
    most_bytes: usize,
    /// Of what is in the queue, or just being put there.
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Ring {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            queue: ArrayQueue::new(room.packets.max(1)),
            most_bytes: room.bytes,
            bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Whether a packet of `len` bytes is taken; it is made only then.
    pub(crate) fn push(&self, len: usize, packet: impl FnOnce() -> Packet) -> bool {
        let before = self.bytes.fetch_add(len, Ordering::Relaxed);
        let fits = before == 0 || before.saturating_add(len) <= self.most_bytes;
        let taken = fits && !self.queue.is_full() && self.queue.push(packet()).is_ok();
        if !taken {
            self.bytes.fetch_sub(len, Ordering::Relaxed);
        }
        taken
    }

    pub(crate) fn pop(&self) -> Option<Packet> {
        let packet = self.queue.pop()?;
        self.bytes.fetch_sub(packet.data.len(), Ordering::Relaxed);
        Some(packet)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn count_dropped(&self, datagrams: u64) {
        self.dropped.fetch_add(datagrams, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use ntm_core::plugin::Addr;

    use super::*;

    fn push(ring: &Ring, len: usize) -> bool {
        ring.push(len, || Packet::new(vec![0; len], Addr::NONE))
    }

    #[test]
    fn a_ring_is_full_by_entries_or_by_bytes_and_empties_again() {
        let ring = Ring::new(Room { packets: 3, bytes: 100 });
        assert!(push(&ring, 60) && push(&ring, 40) && !push(&ring, 1));
        ring.pop().unwrap();
        assert!(push(&ring, 1) && push(&ring, 1) && !push(&ring, 1), "three entries");
        while ring.pop().is_some() {}
        assert!(ring.is_empty() && push(&ring, 101), "one of any size");
        assert!(!push(&ring, 1));
    }
}
