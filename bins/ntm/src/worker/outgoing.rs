use std::io::ErrorKind;
use std::sync::Arc;

use ntm_core::address::Leg;
use ntm_core::plugin::{Addr, Lane, TxPacket};

use super::WorkerStats;

/// Datagrams in one run: what every kernel with segmentation offload takes.
const MOST_IN_RUN: usize = 64;
/// Bytes in one run: below the largest UDP datagram.
const MOST_BYTES: usize = 65_000;

/// Datagrams ready to be sent, back to back in one buffer.
#[derive(Default)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Clone, Copy)]
struct Item {
    start: usize,
    end: usize,
    leg: Leg,
    ecn: u8,
}

impl Outgoing {
    /// Where the next datagram begins.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// To append a datagram to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What has been appended since `start` is a datagram for this way.
    pub(super) fn add(&mut self, start: usize, leg: Leg, ecn: u8) {
        self.items.push(Item { start, end: self.buffer.len(), leg, ecn });
    }

    /// Sends everything: neighbours of equal size to the same place as one run.
    pub(super) fn flush(&mut self, transports: &[Arc<dyn Lane>], stats: &mut WorkerStats) {
        let mut rest = self.items.as_slice();
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|i| i.leg.transport == first.leg.transport).count();
            let (batch, others) = rest.split_at(same);
            rest = others;
            let Some(lane) = transports.get(usize::from(first.leg.transport.0)) else {
                stats.send_errors += batch.len() as u64;
                continue;
            };
            let packets = runs(batch, &self.buffer);
            stats.send_errors += send_all(&**lane, &packets);
        }
        self.items.clear();
        self.buffer.clear();
    }
}

/// The datagrams as runs, in their order.
fn runs<'a>(items: &[Item], buffer: &'a [u8]) -> Vec<TxPacket<'a>> {
    let mut packets = Vec::with_capacity(8);
    let mut rest = items;
    while let Some(first) = rest.first() {
        let size = first.end - first.start;
        let mut count = 1;
        // Equal ones, and one shorter one that ends the run.
        while let Some(next) = rest.get(count) {
            let length = next.end - next.start;
            let before = &rest[count - 1];
            let fits = count < MOST_IN_RUN && next.end - first.start <= MOST_BYTES;
            if !fits
                || next.leg != first.leg
                || next.ecn != first.ecn
                || next.start != before.end
                || before.end - before.start != size
                || length > size
                || length == 0
            {
                break;
            }
            count += 1;
        }
        let data = &buffer[first.start..rest[count - 1].end];
        let remote = Addr::from(first.leg.remote);
        let mut packet = match u16::try_from(size) {
            Ok(size) if count > 1 => TxPacket::run(data, size, remote),
            Ok(_) | Err(_) => TxPacket::new(data, remote),
        };
        packet.ecn = first.ecn;
        if let Some(local) = first.leg.local {
            packet.local = local.ip.into();
            packet.ifindex = local.ifindex;
        }
        packets.push(packet);
        rest = &rest[count..];
    }
    packets
}

/// Sends in order; what the lane is too full for is dropped, as at a network
/// card. Returns how many datagrams were not sent.
fn send_all(lane: &dyn Lane, packets: &[TxPacket<'_>]) -> u64 {
    let lost = |packets: &[TxPacket<'_>]| -> u64 {
        packets.iter().map(|packet| packet.segments().count() as u64).sum()
    };
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

#[cfg(test)]
mod tests {
    use ntm_core::address::TransportId;
    use proptest::prelude::*;

    use super::*;

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    fn outgoing(datagrams: &[(usize, u16, u8)]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        for (nth, (len, port, ecn)) in datagrams.iter().enumerate() {
            let start = outgoing.len();
            outgoing.buffer().extend(std::iter::repeat_n(nth as u8, *len));
            outgoing.add(start, leg(*port), *ecn);
        }
        outgoing
    }

    fn shape(outgoing: &Outgoing) -> Vec<(usize, u16)> {
        runs(&outgoing.items, &outgoing.buffer)
            .iter()
            .map(|packet| (packet.segments().count(), packet.segment))
            .collect()
    }

    #[test]
    fn equal_neighbours_become_a_run_and_a_shorter_one_ends_it() {
        let same = [(100, 1, 0), (100, 1, 0), (40, 1, 0), (40, 1, 0), (40, 1, 0)];
        assert_eq!(shape(&outgoing(&same)), [(3, 100), (2, 40)]);
        assert_eq!(shape(&outgoing(&[(100, 1, 0), (100, 2, 0)])), [(1, 0), (1, 0)]);
        assert_eq!(shape(&outgoing(&[(100, 1, 0), (100, 1, 1)])), [(1, 0), (1, 0)]);
        assert_eq!(shape(&outgoing(&[(100, 1, 0), (101, 1, 0)])), [(1, 0), (1, 0)]);
    }

    #[test]
    fn a_run_is_bounded_in_number_and_bytes() {
        assert_eq!(shape(&outgoing(&[(10, 1, 0); 65])), [(64, 10), (1, 0)]);
        let shapes = shape(&outgoing(&[(1444, 1, 0); 50]));
        assert_eq!(shapes, [(45, 1444), (5, 1444)]);
    }

    proptest! {
        #[test]
        fn every_datagram_leaves_once_and_in_order(
            datagrams in proptest::collection::vec((1_usize..200, 1_u16..3, 0_u8..2), 0..200),
        ) {
            let outgoing = outgoing(&datagrams);
            let packets = runs(&outgoing.items, &outgoing.buffer);
            let sent: Vec<(Vec<u8>, u16, u8)> = packets
                .iter()
                .flat_map(|packet| {
                    let to = packet.remote.socket().unwrap().port();
                    packet.segments().map(move |s| (s.to_vec(), to, packet.ecn))
                })
                .collect();
            let meant: Vec<_> = datagrams
                .iter()
                .enumerate()
                .map(|(nth, (len, port, ecn))| (vec![nth as u8; *len], *port, *ecn))
                .collect();
            prop_assert_eq!(sent, meant);
        }
    }
}
