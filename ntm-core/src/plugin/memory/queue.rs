use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ntm_abi::{Addr, RxSlot, TxPacket};

/// Packets a queue holds before it drops, as a socket buffer would.
const CAPACITY: usize = 1024;

/// A bounded queue of packets with a descriptor that polls readable while it
/// is not empty: one byte lies in the pipe exactly then.
pub(super) struct Queue {
    packets: Mutex<VecDeque<Packet>>,
    reader: PipeReader,
    writer: PipeWriter,
}

struct Packet {
    data: Vec<u8>,
    segment: u16,
    ecn: u8,
    from: Addr,
    to: Addr,
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { packets: Mutex::default(), reader, writer })
    }

    fn packets(&self) -> MutexGuard<'_, VecDeque<Packet>> {
        self.packets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Takes a copy of `packet`; `WouldBlock` when full.
    pub(super) fn push(&self, packet: &TxPacket<'_>, from: Addr) -> io::Result<()> {
        let mut packets = self.packets();
        if packets.len() == CAPACITY {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if packets.is_empty() {
            (&self.writer).write_all(&[0])?;
        }
        packets.push_back(Packet {
            data: packet.data().to_vec(),
            segment: packet.segment,
            ecn: packet.ecn,
            from,
            to: packet.remote,
        });
        Ok(())
    }

    /// Fills slots in order; `WouldBlock` when empty. What does not fit a slot
    /// is cut off, as UDP does.
    pub(super) fn pop(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let mut packets = self.packets();
        if packets.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut filled = 0;
        for slot in slots {
            let Some(packet) = packets.pop_front() else { break };
            let len = packet.data.len().min(slot.buffer().len());
            slot.buffer()[..len].copy_from_slice(&packet.data[..len]);
            slot.fill(len, packet.segment);
            slot.remote = packet.from;
            slot.local = packet.to;
            slot.ecn = packet.ecn;
            filled += 1;
        }
        if packets.is_empty() {
            (&self.reader).read_exact(&mut [0])?;
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_full_both_say_would_block() {
        let queue = Queue::new().unwrap();
        let mut buffer = [0; 4];
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(queue.pop(&mut [RxSlot::new(&mut buffer)]).is_err_and(would_block));
        let packet = TxPacket::new(b"data", Addr::NONE);
        for _ in 0..CAPACITY {
            queue.push(&packet, Addr::NONE).unwrap();
        }
        assert!(queue.push(&packet, Addr::NONE).is_err_and(would_block));
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(queue.pop(std::slice::from_mut(&mut slot)).unwrap(), 1);
        assert_eq!(slot.filled(), b"data");
    }

    #[test]
    fn refilling_an_emptied_queue_works_any_number_of_times() {
        let queue = Queue::new().unwrap();
        let mut buffer = [0; 4];
        for round in 0..100_000_u32 {
            queue.push(&TxPacket::new(&round.to_be_bytes(), Addr::NONE), Addr::NONE).unwrap();
            let mut slot = RxSlot::new(&mut buffer);
            queue.pop(std::slice::from_mut(&mut slot)).unwrap();
            assert_eq!(slot.filled(), round.to_be_bytes());
        }
    }
}
