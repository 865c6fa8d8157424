use std::io::ErrorKind;
use std::sync::Arc;

use ntm_core::plugin::{Addr, Lane, TxPacket};
use ntm_core::tunnel::Batch;

/// Entries handed to a lane in one call.
const TOGETHER: usize = 64;

/// Entries on their way to one lane, handed over as many at a time as one call
/// takes. Nothing is allocated.
struct Flush<'a> {
    lane: &'a dyn Lane,
    packets: [TxPacket<'a>; TOGETHER],
    len: usize,
    lost: u64,
}

impl<'a> Flush<'a> {
    fn new(lane: &'a dyn Lane) -> Self {
        Self { lane, packets: [TxPacket::new(&[], Addr::NONE); TOGETHER], len: 0, lost: 0 }
    }

    fn push(&mut self, packet: TxPacket<'a>) {
        if self.len == TOGETHER {
            self.flush();
        }
        self.packets[self.len] = packet;
        self.len += 1;
    }

    fn flush(&mut self) {
        self.lost += send_all(self.lane, &self.packets[..self.len]);
        self.len = 0;
    }
}

/// Sends a batch, each run by its transport. Returns how many datagrams were not
/// sent.
pub(super) fn send_batch(batch: &mut Batch, transports: &[Arc<dyn Lane>]) -> u64 {
    let mut lost = 0;
    for (at, lane) in transports.iter().enumerate() {
        let own = batch.packets().filter(|(transport, _)| *transport == at);
        lost += send(&**lane, own.map(|(_, packet)| packet));
    }
    let nowhere = batch.packets().filter(|(transport, _)| *transport >= transports.len());
    lost += nowhere.map(|(_, packet)| datagrams(&packet)).sum::<u64>();
    batch.clear();
    lost
}

/// Sends packets by one lane, in order. Returns how many datagrams were not sent.
pub(super) fn send<'a>(lane: &'a dyn Lane, packets: impl Iterator<Item = TxPacket<'a>>) -> u64 {
    let mut packets = packets.peekable();
    if packets.peek().is_none() {
        return 0;
    }
    let mut flush = Flush::new(lane);
    for packet in packets {
        flush.push(packet);
    }
    flush.flush();
    flush.lost
}

fn datagrams(packet: &TxPacket<'_>) -> u64 {
    packet.segments().count() as u64
}

/// Sends in order; what the lane is too full for is dropped, as at a network
/// card. Returns how many datagrams were not sent.
fn send_all(lane: &dyn Lane, packets: &[TxPacket<'_>]) -> u64 {
    let lost = |packets: &[TxPacket<'_>]| packets.iter().map(datagrams).sum::<u64>();
    let mut failed = 0;
    let mut at = 0;
    while at < packets.len() {
        match lane.try_send(&packets[at..]) {
            Ok(0) => return failed + lost(&packets[at..]),
            Ok(sent) => at += sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return failed + lost(&packets[at..]);
            }
            Err(_) => {
                failed += lost(&packets[at..=at]);
                at += 1;
            }
        }
    }
    failed
}
