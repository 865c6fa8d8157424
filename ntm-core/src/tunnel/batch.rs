use crate::address::Leg;
use crate::plugin::{Addr, TxPacket};

/// Datagrams in one run: what every kernel with segmentation offload takes.
const MOST_IN_RUN: usize = 64;
/// Bytes in one run: below the largest UDP datagram.
const MOST_BYTES: usize = 65_000;

/// Datagrams ready to be sent, back to back in one buffer. Neighbours of equal
/// size to the same place become one run, which a shorter one may end.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
    /// Bytes of each datagram but the last.
    size: usize,
    count: usize,
    leg: Leg,
    ecn: u8,
    dscp: u8,
}

impl Batch {
    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// To append a datagram to, or several of equal size with a last one that
    /// may be shorter. Then [`Batch::add`] or [`Batch::add_run`].
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// What has been appended since `start` is one datagram for this way.
    pub fn add(&mut self, start: usize, leg: Leg, ecn: u8, dscp: u8) {
        self.add_run(start, self.buffer.len() - start, leg, ecn, dscp);
    }

    /// What has been appended since `start` are datagrams of `size` bytes each for
    /// this way, the last perhaps shorter.
    pub fn add_run(&mut self, start: usize, size: usize, leg: Leg, ecn: u8, dscp: u8) {
        let mut start = start;
        while start < self.buffer.len() {
            let left = self.buffer.len() - start;
            let length = size.min(left);
            if let Some(run) = self.runs.last_mut().filter(|run| run.leg == leg)
                && run.takes(length)
                && (run.ecn, run.dscp) == (ecn, dscp)
            {
                // As many whole ones as fit, or the one that ends the run.
                let most = run.room().min(left / size.max(1)).max(1);
                let taken = if length == run.size { most * length } else { length };
                run.end += taken;
                run.count += taken.div_ceil(run.size.max(1));
                start += taken;
            } else {
                let end = start + length;
                self.runs.push(Run { start, end, size: length, count: 1, leg, ecn, dscp });
                start = end;
            }
        }
    }

    /// The datagrams as runs, in their order, each with the number of the transport
    /// that it is for.
    pub fn packets(&self) -> impl Iterator<Item = (usize, TxPacket<'_>)> {
        self.runs.iter().map(|run| {
            let data = &self.buffer[run.start..run.end];
            let mut packet = addressed(&run.leg, data, if run.count > 1 { run.size } else { 0 });
            (packet.ecn, packet.dscp) = (run.ecn, run.dscp);
            (run.leg.transport.0.into(), packet)
        })
    }

    /// Forgets everything; what was allocated stays.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.runs.clear();
    }
}

impl Run {
    /// Whether a datagram of this length can follow the last one.
    fn takes(&self, length: usize) -> bool {
        self.is_open() && length <= self.size && length > 0 && self.room() > 0
    }

    /// A shorter datagram has ended it.
    fn is_open(&self) -> bool {
        self.end - self.start == self.count * self.size
    }

    /// Datagrams of its size that it still takes.
    fn room(&self) -> usize {
        let bytes = MOST_BYTES.saturating_sub(self.end - self.start) / self.size.max(1);
        (MOST_IN_RUN - self.count).min(bytes)
    }
}

/// A packet for this way; `size` is that of each datagram of a run, or 0.
pub fn addressed<'a>(leg: &Leg, data: &'a [u8], size: usize) -> TxPacket<'a> {
    let remote = Addr::from(leg.remote);
    let mut packet = match u16::try_from(size) {
        Ok(size) if size > 0 => TxPacket::run(data, size, remote),
        Ok(_) | Err(_) => TxPacket::new(data, remote),
    };
    if let Some(local) = leg.local {
        packet.ifindex = local.ifindex;
        // Linux takes an IPv6 source beside an interface for a reason to use another
        // interface that is better; an interface alone is an order.
        if local.ifindex == 0 || local.ip.is_ipv4() {
            packet.local = local.ip.into();
        }
    }
    packet
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::TransportId;

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    fn batch(datagrams: &[(usize, u16, u8)]) -> Batch {
        let mut batch = Batch::default();
        for (nth, (len, port, ecn)) in datagrams.iter().enumerate() {
            let start = batch.bytes();
            batch.buffer().extend(std::iter::repeat_n(nth as u8, *len));
            batch.add(start, leg(*port), *ecn, 0);
        }
        batch
    }

    fn shape(batch: &Batch) -> Vec<(usize, u16)> {
        batch.packets().map(|(_, packet)| (packet.segments().count(), packet.segment)).collect()
    }

    #[test]
    fn equal_neighbours_become_a_run_and_a_shorter_one_ends_it() {
        let same = [(100, 1, 0), (100, 1, 0), (40, 1, 0), (40, 1, 0), (40, 1, 0)];
        assert_eq!(shape(&batch(&same)), [(3, 100), (2, 40)]);
        assert_eq!(shape(&batch(&[(100, 1, 0), (100, 2, 0)])), [(1, 0), (1, 0)]);
        assert_eq!(shape(&batch(&[(100, 1, 0), (100, 1, 1)])), [(1, 0), (1, 0)]);
        assert_eq!(shape(&batch(&[(100, 1, 0), (101, 1, 0)])), [(1, 0), (1, 0)]);
    }

    #[test]
    fn a_run_is_bounded_in_number_and_bytes() {
        assert_eq!(shape(&batch(&[(10, 1, 0); 65])), [(64, 10), (1, 0)]);
        assert_eq!(shape(&batch(&[(1444, 1, 0); 50])), [(45, 1444), (5, 1444)]);
    }

    proptest! {
        #[test]
        fn every_datagram_leaves_once_and_in_order(
            datagrams in proptest::collection::vec((1_usize..200, 1_u16..3, 0_u8..2), 0..200),
        ) {
            let batch = batch(&datagrams);
            let sent: Vec<(Vec<u8>, u16, u8)> = batch
                .packets()
                .flat_map(|(_, packet)| {
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

        #[test]
        fn datagrams_added_together_leave_as_if_added_one_by_one(
            added in proptest::collection::vec((1_usize..3000, 1_usize..200, 1_u16..3), 0..20),
        ) {
            let (mut together, mut singly) = (Batch::default(), Batch::default());
            for (bytes, size, port) in added {
                let start = together.bytes();
                together.buffer().extend(std::iter::repeat_n(port as u8, bytes));
                together.add_run(start, size, leg(port), 0, 0);
                for len in std::iter::repeat_n(size, bytes / size).chain([bytes % size]) {
                    let start = singly.bytes();
                    singly.buffer().extend(std::iter::repeat_n(port as u8, len));
                    singly.add(start, leg(port), 0, 0);
                }
            }
            let data = |batch: &Batch| -> Vec<_> {
                batch.packets().flat_map(|(_, p)| p.segments().map(<[u8]>::to_vec)).collect()
            };
            prop_assert_eq!(shape(&together), shape(&singly));
            prop_assert_eq!(data(&together), data(&singly));
        }
    }
}
