use bytes::Bytes;
use ntm_core::plugin::{Addr, RxSlot, TxPacket};

/// A datagram, or a run of equal-sized ones, with what a slot says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The bytes.
    pub data: Bytes,
    /// Bytes of each datagram but the last; 0 means that there is one.
    pub segment: u16,
    /// The other end's real address.
    pub remote: Addr,
    /// Our own: to be pinned, or spoken to; [`Addr::NONE`] where that is open.
    pub local: Addr,
    /// The interface's index; 0 where that is open.
    pub ifindex: u32,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
    /// The six DSCP bits; on the way out alone.
    pub dscp: u8,
}

impl Packet {
    /// One datagram from `remote`.
    pub fn new(data: impl Into<Bytes>, remote: Addr) -> Self {
        let (data, local) = (data.into(), Addr::NONE);
        Self { data, segment: 0, remote, local, ifindex: 0, ecn: 0, dscp: 0 }
    }

    /// The single datagrams, without a copy.
    pub fn segments(&self) -> impl Iterator<Item = Bytes> + '_ {
        let size = if self.segment == 0 { self.data.len() } else { self.segment.into() };
        let starts = (0..self.data.len()).step_by(size.max(1));
        starts.map(move |at| self.data.slice(at..self.data.len().min(at + size)))
    }

    /// Copies into a slot; what does not fit is cut off, as UDP does.
    pub(crate) fn fill(&self, slot: &mut RxSlot<'_>) {
        let len = self.data.len().min(slot.buffer().len());
        slot.buffer()[..len].copy_from_slice(&self.data[..len]);
        slot.fill(len, self.segment);
        (slot.remote, slot.local) = (self.remote, self.local);
        (slot.ifindex, slot.ecn) = (self.ifindex, self.ecn);
    }
}

impl From<&TxPacket<'_>> for Packet {
    fn from(packet: &TxPacket<'_>) -> Self {
        Self {
            data: Bytes::copy_from_slice(packet.data()),
            segment: packet.segment,
            remote: packet.remote,
            local: packet.local,
            ifindex: packet.ifindex,
            ecn: packet.ecn,
            dscp: packet.dscp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_falls_into_its_datagrams_as_a_tx_packet_does() {
        for (data, segment) in [(&b"aaaabbbbcc"[..], 4), (b"aaaa", 4), (b"aaaabbbbcc", 0), (b"", 0)]
        {
            let run = TxPacket::run(data, segment, Addr::NONE);
            let segments: Vec<_> = Packet::from(&run).segments().collect();
            assert!(run.segments().eq(segments.iter().map(|bytes| &bytes[..])));
        }
    }
}
