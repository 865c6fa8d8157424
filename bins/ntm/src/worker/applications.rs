//! From applications: what they send is read into a queue, and leaves it in
//! turns.

use std::array;
use std::io;

use ntm_core::Time;
use ntm_core::packet::SuperPacket;
use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_core::tunnel::{CAPSULE_OVERHEAD, Outbound};

use super::outgoing::{send, send_batch};
use super::pool::{Peer, Queue, Queued};
use super::{Broken, INTERFACE, Worker};
use crate::clock;

/// Reads in one call of the lane.
const TOGETHER: usize = 16;
/// Bytes that leave before the network gets its turn.
const TURN: usize = 128 << 10;

/// Reads until there is nothing more. Where there is no room, the fattest flow
/// gives way, so that others get in; of what cannot be read now the interface
/// drops the newest. Returns how many were dropped.
fn fill(queue: &mut Queue, lane: &dyn Lane) -> io::Result<u64> {
    let mut dropped = 0;
    if queue.free.is_empty() {
        let evicted = (0..TOGETHER).map_while(|_| queue.fair.evict());
        queue.free.extend(evicted.map(|queued| queued.buffer));
        dropped += queue.free.len() as u64;
    }
    loop {
        // The buffers used last are still near.
        let mut lent: [Option<Box<[u8]>>; TOGETHER] = array::from_fn(|_| queue.free.pop());
        let most = lent.iter().flatten().count();
        let mut slots =
            lent.each_mut().map(|it| RxSlot::new(it.as_deref_mut().unwrap_or_default()));
        let received = if most > 0 { lane.try_recv(&mut slots[..most]) } else { Ok(0) };
        let read = slots.map(|slot| (slot.filled().len(), slot.segment));
        let filled = match &received {
            Ok(filled) => *filled.min(&most),
            Err(_) => 0,
        };
        for (at, (buffer, (len, segment))) in lent.into_iter().flatten().zip(read).enumerate() {
            if at >= filled {
                queue.free.push(buffer);
            } else if !queue.push(Peer::Destination, Queued { buffer, len, segment }) {
                dropped += 1;
            }
        }
        match received {
            Ok(_) if filled == TOGETHER => {}
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(dropped)
}

impl Worker {
    /// Sends what applications have to say: what is in the queue and, if there is
    /// more (`readable`), what comes now.
    pub(super) fn take_from_applications(&mut self, readable: bool) {
        let Some(interface) = self.lanes.interface.clone() else { return };
        if readable {
            match fill(&mut self.queue, &*interface) {
                Ok(dropped) => self.stats.interface_drops += dropped,
                Err(error) => {
                    tracing::error!(%error, "the virtual interface is broken");
                    self.unread |= INTERFACE;
                    self.mailbox.broken(Broken::Interface);
                }
            }
        }
        let now = clock::now();
        while self.batch.bytes() < TURN
            && let Some(read) = self.queue.fair.pop()
        {
            self.seal(now, &*interface, &read);
            self.queue.free.push(read.buffer);
        }
        self.stats.send_errors += send_batch(&mut self.batch, &self.lanes.transports);
    }

    /// One packet or super-packet.
    fn seal(&mut self, now: Time, interface: &dyn Lane, read: &Queued) {
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
                let end = self.batch.bytes();
                self.batch.add_run(start, largest + CAPSULE_OVERHEAD, leg, ecn, dscp);
                if let Some(mirror) = self.carrier.take_mirror() {
                    self.batch.buffer().extend_from_within(start..end);
                    self.batch.add_run(end, largest + CAPSULE_OVERHEAD, mirror, ecn, dscp);
                }
            }
            Outbound::Cut { leg, ecn, dscp, size } => {
                self.batch.add_run(start, size, leg, ecn, dscp);
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
