//! From applications: what they send is read into a queue, and leaves it in
//! turns.

use std::array;
use std::io;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::packet::SuperPacket;
use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_core::tunnel::{CAPSULE_OVERHEAD, Outbound};

use super::outgoing::{send, send_batch};
use super::pool::{Peer, Queue, Queued};
use super::{Broken, INTERFACE, Worker};
use crate::clock;

/// Reads in one call of the lane.
pub(super) const TOGETHER: usize = 16;
/// Calls of the lane before anything leaves.
const CALLS: usize = 4;
/// Packets or super-packets that wait at most.
const WAITING: usize = 128;
/// Buffers for those that wait, and for what one call reads beyond.
pub(super) const BUFFERS: usize = WAITING + TOGETHER;
/// With as many bytes waiting, whoever comes behind them has to be let past: about a
/// millisecond of work.
const CROWDED: usize = 1 << 20;
/// Bytes that leave before the network gets its turn, and how long that may take. Where
/// the processor is what limits, larger turns wake both ends less often.
const TURN: usize = 512 << 10;
const TURN_TIME: Duration = Duration::from_micros(500);
/// How soon a packet that waits for a path is looked at again.
pub(super) const RELEASE_EVERY: Duration = Duration::from_millis(1);

/// Reads until there is nothing more or no room. Where those that wait are many and
/// large, the oldest of the fattest flow give way, so that others get in; else what
/// cannot be read now stays in the device's queue, which drops the newest. Returns how
/// many packets or super-packets were dropped.
fn fill(queue: &mut Queue, lane: &dyn Lane) -> io::Result<u64> {
    let mut dropped = 0;
    for _ in 0..CALLS {
        let is_full = queue.fair.len() >= WAITING;
        if is_full && queue.fair.bytes() < CROWDED {
            break;
        }
        let (filled, strange) = read(queue, lane)?;
        dropped += strange;
        while queue.fair.len() > WAITING
            && let Some(evicted) = queue.fair.evict()
        {
            queue.free.push(evicted.buffer);
            dropped += 1;
        }
        if filled < TOGETHER {
            break;
        }
    }
    Ok(dropped)
}

/// Reads what one call of the lane gives: how many, and how many of them are no
/// packets.
fn read(queue: &mut Queue, lane: &dyn Lane) -> io::Result<(usize, u64)> {
    // The buffers used last are still near.
    let mut lent: [Option<Box<[u8]>>; TOGETHER] = array::from_fn(|_| queue.free.pop());
    let most = lent.iter().flatten().count();
    let mut slots = lent.each_mut().map(|it| RxSlot::new(it.as_deref_mut().unwrap_or_default()));
    let received = lane.try_recv(&mut slots[..most]);
    let read = slots.map(|slot| (slot.filled().len(), slot.segment));
    let filled = match &received {
        Ok(filled) => *filled.min(&most),
        Err(_) => 0,
    };
    let mut strange = 0;
    for (at, (buffer, (len, segment))) in lent.into_iter().flatten().zip(read).enumerate() {
        if at >= filled {
            queue.free.push(buffer);
        } else if !queue.push(Peer::Destination, Queued { buffer, len, segment }) {
            strange += 1;
        }
    }
    match received {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Ok((filled, strange)),
    }
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
        let start = clock::now();
        let mut now = start;
        while self.batch.bytes() < TURN
            && now.since(start) < TURN_TIME
            && let Some(read) = self.queue.fair.pop()
        {
            self.seal(now, &*interface, &read);
            self.queue.free.push(read.buffer);
            // What is small takes no time worth reading the clock for.
            if read.segment > 0 {
                now = clock::now();
            }
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

    /// Sends what has been waiting for a path. All that waits is looked at, so not more
    /// often than [`RELEASE_EVERY`] unless the tables have changed (`woken`).
    pub(super) fn release(&mut self, woken: bool) {
        if !self.carrier.is_holding() {
            return;
        }
        let now = clock::now();
        self.passed_over = !woken && now.since(self.released) < RELEASE_EVERY;
        if !self.passed_over {
            self.released = now;
            let (batch, stats) = (&mut self.batch, &mut self.stats);
            let transports = &self.lanes.transports;
            self.carrier.release(now, |leg, ecn, dscp, capsule| {
                let start = batch.bytes();
                batch.buffer().extend_from_slice(capsule);
                batch.add(start, leg, ecn, dscp);
                if batch.bytes() >= TURN {
                    stats.send_errors += send_batch(batch, transports);
                }
            });
            self.stats.send_errors += send_batch(&mut self.batch, &self.lanes.transports);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;
    use std::sync::{Mutex, MutexGuard};

    use ntm_core::Rng;

    use super::*;

    /// A device's queue: the flow of each packet, and its bytes.
    struct Device(Mutex<Vec<(u8, usize)>>);

    impl Device {
        fn waiting(&self) -> MutexGuard<'_, Vec<(u8, usize)>> {
            self.0.lock().unwrap()
        }

        fn left(&self) -> usize {
            self.waiting().len()
        }
    }

    impl Lane for Device {
        fn fd(&self) -> BorrowedFd<'_> {
            unreachable!("nobody waits for it")
        }

        fn try_send(&self, _: &[TxPacket<'_>]) -> io::Result<usize> {
            unreachable!("nothing is sent to it")
        }

        fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
            let mut waiting = self.waiting();
            let most = slots.len().min(waiting.len());
            for (slot, (flow, len)) in slots.iter_mut().zip(waiting.drain(..most)) {
                let buffer = slot.buffer();
                buffer[..20].fill(0);
                buffer[0] = 0x45;
                buffer[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                buffer[9] = 17;
                buffer[12..20].copy_from_slice(&[198, 18, 0, 1, 198, 18, 0, flow]);
                slot.fill(len, 0);
            }
            Ok(most)
        }
    }

    fn queue() -> Queue {
        Queue::new(BUFFERS, &mut Rng::from_seed([7; 32]))
    }

    #[test]
    fn one_packet_behind_more_bulk_than_there_is_room_for_gets_past_it() {
        let bulk = 2 * WAITING;
        let mut waiting = vec![(2, 60_000); bulk];
        waiting.push((3, 84));
        let (device, mut queue, mut dropped) = (Device(Mutex::new(waiting)), queue(), 0);
        while device.left() > 0 {
            dropped += fill(&mut queue, &device).unwrap();
        }
        assert_eq!(dropped as usize, bulk + 1 - WAITING);
        let first: Vec<_> = (0..3).filter_map(|_| queue.fair.pop()).map(|it| it.len).collect();
        assert!(first.contains(&84), "{first:?} left first");
        assert_eq!(queue.fair.len() + queue.free.len() + first.len(), BUFFERS, "no buffer is lost");
    }

    #[test]
    fn small_packets_that_do_not_fit_are_left_to_the_device() {
        let device = Device(Mutex::new(vec![(2, 84); 4 * WAITING]));
        let mut queue = queue();
        for _ in 0..4 {
            assert_eq!(fill(&mut queue, &device).unwrap(), 0);
        }
        assert!((WAITING..BUFFERS).contains(&queue.fair.len()));
        assert_eq!(device.left(), 4 * WAITING - queue.fair.len());
    }
}
