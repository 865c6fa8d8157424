//! From applications: what they send is read into a queue, and leaves it in
//! turns.

use std::collections::VecDeque;
use std::io;

use ntm_core::Time;
use ntm_core::packet::SuperPacket;
use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_core::tunnel::{CAPSULE_OVERHEAD, Outbound};

use super::outgoing::{send, send_batch};
use super::{Broken, INTERFACE, SLOT, Worker};
use crate::clock;

/// Packets or super-packets in the queue.
const QUEUE: usize = 64;
/// Reads in one call of the lane.
const TOGETHER: usize = 16;
/// Bytes that leave before the network gets its turn.
const TURN: usize = 256 << 10;

/// What has been read from applications and is not sealed yet. Its buffers are
/// allocated once.
pub(super) struct Queue {
    free: Vec<Box<[u8]>>,
    read: VecDeque<Read>,
}

struct Read {
    buffer: Box<[u8]>,
    len: usize,
    segment: u16,
}

impl Queue {
    pub(super) fn new() -> Self {
        let free = (0..QUEUE).map(|_| vec![0; SLOT].into_boxed_slice()).collect();
        Self { free, read: VecDeque::with_capacity(QUEUE) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Reads until there is nothing more, or no room.
    fn fill(&mut self, lane: &dyn Lane) -> io::Result<()> {
        while !self.free.is_empty() {
            let most = TOGETHER.min(self.free.len());
            let first = self.free.len() - most;
            let mut lent = self.free[first..].iter_mut();
            let mut slots: [RxSlot<'_>; TOGETHER] = std::array::from_fn(|_| {
                RxSlot::new(lent.next().map_or(&mut [], |buffer| &mut buffer[..]))
            });
            let filled = match lane.try_recv(&mut slots[..most]) {
                Ok(filled) => filled.min(most),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let read = slots.map(|slot| (slot.filled().len(), slot.segment));
            let buffers = self.free.drain(first..first + filled);
            self.read.extend(read.into_iter().zip(buffers).map(|((len, segment), buffer)| Read {
                buffer,
                len,
                segment,
            }));
            if filled < most {
                break;
            }
        }
        Ok(())
    }
}

impl Worker {
    /// Sends what applications have to say: what is in the queue and, if there is
    /// more (`readable`), what comes now.
    pub(super) fn take_from_applications(&mut self, readable: bool) {
        let Some(interface) = self.lanes.interface.clone() else { return };
        if readable && let Err(error) = self.queue.fill(&*interface) {
            tracing::error!(%error, "the virtual interface is broken");
            self.unread |= INTERFACE;
            self.mailbox.broken(Broken::Interface);
        }
        let now = clock::now();
        while self.batch.bytes() < TURN
            && let Some(read) = self.queue.read.pop_front()
        {
            self.seal(now, &*interface, &read);
            self.queue.free.push(read.buffer);
        }
        self.stats.send_errors += send_batch(&mut self.batch, &self.lanes.transports);
    }

    /// One packet or super-packet.
    fn seal(&mut self, now: Time, interface: &dyn Lane, read: &Read) {
        let packet = &read.buffer[..read.len];
        let start = self.batch.bytes();
        let (largest, outbound) = if read.segment == 0 {
            (packet.len(), self.carrier.outbound(now, packet, self.batch.buffer()))
        } else {
            let Ok(packet) = SuperPacket::parse(packet, read.segment) else {
                self.stats.interface_drops += 1;
                return;
            };
            (packet.largest(), self.carrier.outbound_run(now, &packet, self.batch.buffer()))
        };
        match outbound {
            Outbound::To { leg, ecn, dscp } => {
                self.batch.add_run(start, largest + CAPSULE_OVERHEAD, leg, ecn, dscp);
            }
            Outbound::Held { miss: Some(vip) } => self.mailbox.miss(vip),
            Outbound::Held { miss: None } | Outbound::Dropped => {}
            Outbound::Answer(answer) => {
                let answer = std::iter::once(TxPacket::new(&answer, Addr::NONE));
                self.stats.interface_drops += send(interface, answer);
            }
        }
    }

    /// Sends what has been waiting for a path.
    pub(super) fn release(&mut self) {
        if self.carrier.is_holding() {
            let batch = &mut self.batch;
            self.carrier.release(clock::now(), |leg, ecn, dscp, capsule| {
                let start = batch.bytes();
                batch.buffer().extend_from_slice(capsule);
                batch.add(start, leg, ecn, dscp);
            });
            self.stats.send_errors += send_batch(&mut self.batch, &self.lanes.transports);
        }
    }
}
