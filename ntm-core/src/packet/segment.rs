use super::checksum::{fold, sum};
use super::ip::{BadPacket, Flow};
use super::transport::{Layout, Protocol};

/// TCP flags that mean the end of the data: those of the last segment alone.
const FIN_PSH: u8 = 0x01 | 0x08;
/// The TCP flag that answers one mark: that of the first segment alone (RFC 3168,
/// section 6.1.2).
const CWR: u8 = 0x80;

/// A super-packet ([`Offload`](crate::plugin::Offload)) that is cut into whole IP
/// packets, one at a time.
///
/// The n-th has the IPv4 identification of the whole plus n and, with TCP, the
/// sequence number of its first byte. Everything else of the headers is the
/// same in all, with the options; all checksums are complete.
#[derive(Clone, Copy, Debug)]
pub struct SuperPacket<'a> {
    /// Headers and payload.
    headers: &'a [u8],
    payload: &'a [u8],
    segment: usize,
    count: usize,
    layout: Layout,
    /// The sum over the parts of the IPv4 header that all segments share.
    network: u32,
    /// The same of pseudo-header and TCP or UDP header.
    transport: u32,
}

impl<'a> SuperPacket<'a> {
    /// Reads the headers. The checksums that are there, and the UDP length, are not
    /// looked at.
    ///
    /// # Errors
    /// Not one whole IPv4 or IPv6 packet, a fragment, extension headers, neither
    /// TCP nor UDP, or segments without payload.
    pub fn parse(packet: &'a [u8], segment: u16) -> Result<Self, BadPacket> {
        let layout = Layout::of(packet)?;
        if segment == 0 {
            return Err(BadPacket);
        }
        let (headers, payload) = packet.split_at(layout.payload);
        let at = layout.transport;
        let network = if layout.flow.source.is_ipv4() {
            // Without length, identification and checksum.
            sum(&headers[..2]) + sum(&headers[6..10]) + sum(&headers[12..at])
        } else {
            0
        };
        let transport = layout.pseudo_header(packet)
            + match layout.protocol {
                // Without sequence number, offset with flags, and checksum.
                Protocol::Tcp => {
                    let header = &headers[at..];
                    sum(&header[..4])
                        + sum(&header[8..12])
                        + sum(&header[14..16])
                        + sum(&header[18..])
                }
                // Without length and checksum.
                Protocol::Udp => sum(&headers[at..at + 4]),
            };
        let segment = usize::from(segment);
        let count = payload.len().div_ceil(segment).max(1);
        Ok(Self { headers, payload, segment, count, layout, network, transport })
    }

    /// Its addresses and mark, which are those of each segment.
    pub fn flow(&self) -> Flow {
        self.layout.flow
    }

    /// What carries its payload.
    pub fn protocol(&self) -> Protocol {
        self.layout.protocol
    }

    /// All headers.
    pub fn headers(&self) -> &'a [u8] {
        self.headers
    }

    /// Where among them the TCP or UDP header begins.
    pub fn transport(&self) -> usize {
        self.layout.transport
    }

    /// Segments, at least 1.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the largest IP packet that comes out.
    pub fn largest(&self) -> usize {
        self.headers.len() + self.payload.len().min(self.segment)
    }

    /// Bytes of all IP packets that come out.
    pub fn bytes(&self) -> usize {
        self.headers.len() * self.count + self.payload.len()
    }

    /// Appends the `nth` IP packet to `out`, from 0; nothing behind the last.
    pub fn write(&self, nth: usize, out: &mut Vec<u8>) {
        if nth >= self.count {
            return;
        }
        let from = nth * self.segment;
        let payload = &self.payload[from..self.payload.len().min(from + self.segment)];
        let start = out.len();
        out.extend_from_slice(self.headers);
        self.patch(nth, payload, &mut out[start..]);
        out.extend_from_slice(payload);
    }

    /// Makes the headers of the whole those of the `nth` segment.
    fn patch(&self, nth: usize, payload: &[u8], headers: &mut [u8]) {
        let (network, header) = headers.split_at_mut(self.layout.transport);
        let len = (header.len() + payload.len()) as u16;
        if self.layout.flow.source.is_ipv4() {
            let total = network.len() as u16 + len;
            let id = u16::from_be_bytes([network[4], network[5]]).wrapping_add(nth as u16);
            let sum = fold(self.network + u32::from(total) + u32::from(id));
            network[2..4].copy_from_slice(&total.to_be_bytes());
            network[4..6].copy_from_slice(&id.to_be_bytes());
            network[10..12].copy_from_slice(&(!sum).to_be_bytes());
        } else {
            network[4..6].copy_from_slice(&len.to_be_bytes());
        }
        let mut total = self.transport + sum(payload) + u32::from(len);
        match self.layout.protocol {
            Protocol::Tcp => {
                if nth > 0 {
                    header[13] &= !CWR;
                }
                if nth + 1 < self.count {
                    header[13] &= !FIN_PSH;
                }
                let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]])
                    .wrapping_add((nth * self.segment) as u32);
                header[4..8].copy_from_slice(&sequence.to_be_bytes());
                total += sum(&header[4..8]) + sum(&header[12..14]);
                header[16..18].copy_from_slice(&(!fold(total)).to_be_bytes());
            }
            Protocol::Udp => {
                total += u32::from(len);
                // A 0 would say that there is none (RFC 768).
                let sum = match !fold(total) {
                    0 => 0xffff,
                    sum => sum,
                };
                header[4..6].copy_from_slice(&len.to_be_bytes());
                header[6..8].copy_from_slice(&sum.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{Sample, any_sample};
    use super::*;

    fn cut(packet: &[u8], segment: u16) -> Vec<Vec<u8>> {
        let whole = SuperPacket::parse(packet, segment).unwrap();
        let pieces: Vec<_> = (0..whole.count())
            .map(|nth| {
                let mut out = Vec::new();
                whole.write(nth, &mut out);
                out
            })
            .collect();
        assert_eq!(whole.bytes(), pieces.iter().map(Vec::len).sum());
        assert_eq!(Some(whole.largest()), pieces.iter().map(Vec::len).max());
        pieces
    }

    #[test]
    fn flags_of_the_ends_are_those_of_the_ends() {
        let sample = Sample { tcp: true, flags: 0xff, payload: vec![7; 30], ..Sample::default() };
        let flags: Vec<_> = cut(&sample.packet(), 10).iter().map(|p| p[20 + 13]).collect();
        assert_eq!(flags, [0b1111_0110, 0b0111_0110, 0b0111_1111]);
    }

    #[test]
    fn a_segment_that_holds_everything_is_the_packet() {
        for tcp in [false, true] {
            let sample = Sample { tcp, flags: 0xff, payload: vec![7; 30], ..Sample::default() };
            for segment in [30, 31, u16::MAX] {
                assert_eq!(cut(&sample.partial(), segment), [sample.packet()]);
            }
            let empty = Sample { payload: Vec::new(), ..sample };
            assert_eq!(cut(&empty.partial(), 10), [empty.packet()]);
        }
    }

    #[test]
    fn the_largest_packets_are_cut() {
        for (v6, tcp) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut sample = Sample { v6, tcp, ..Sample::default() };
            sample.payload = vec![0xff; 65_535 - sample.headers()];
            let pieces: Vec<_> = sample.cut(1).iter().map(Sample::packet).collect();
            assert_eq!(cut(&sample.partial(), 1), pieces);
        }
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        let mut sample = Sample { payload: vec![0; 2], ..Sample::default() };
        let packet = sample.packet();
        sample.payload = packet[26..28].to_vec();
        let out = cut(&sample.partial(), 2);
        assert_eq!(out[0][26..28], [0xff, 0xff]);
    }

    #[test]
    fn what_is_none_is_refused() {
        let udp = Sample { payload: vec![7; 30], ..Sample::default() }.packet();
        assert!(SuperPacket::parse(&udp, 10).is_ok());
        assert_eq!(SuperPacket::parse(&udp, 0).unwrap_err(), BadPacket);
        let (mut first, mut later, mut icmp) = (udp.clone(), udp.clone(), udp.clone());
        first[6] = 0x20;
        later[7] = 1;
        icmp[9] = 1;
        let tcp = Sample { tcp: true, payload: vec![7; 30], ..Sample::default() }.packet();
        let (mut short, mut long) = (tcp.clone(), tcp);
        short[32] = 0x4f;
        long[32] = 0xd0;
        let mut extended = Sample { v6: true, ..Sample::default() }.packet();
        extended[6] = 44;
        for packet in [first, later, icmp, short, long, extended] {
            assert_eq!(SuperPacket::parse(&packet, 10).unwrap_err(), BadPacket);
        }
    }

    #[test]
    fn behind_the_last_segment_there_is_nothing() {
        let packet = Sample { payload: vec![7; 30], ..Sample::default() }.packet();
        let whole = SuperPacket::parse(&packet, 10).unwrap();
        let mut out = vec![1];
        for nth in [3, 4, usize::MAX] {
            whole.write(nth, &mut out);
        }
        assert_eq!(out, [1]);
    }

    proptest! {
        #[test]
        fn each_segment_is_the_packet_that_would_have_been_sent(
            sample in any_sample(2000),
            segment in 1_u16..300,
        ) {
            let pieces: Vec<_> = sample.cut(segment.into()).iter().map(Sample::packet).collect();
            let partial = sample.partial();
            prop_assert_eq!(cut(&partial, segment), pieces);
            let flow = SuperPacket::parse(&partial, segment).unwrap().flow();
            prop_assert_eq!(flow, Flow::of(&partial).unwrap());
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes: Vec<u8>,
            sample in any_sample(300),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            segment: u16,
        ) {
            let mut packet = sample.packet();
            for (at, byte) in edits {
                let len = packet.len().min(60);
                packet[at.index(len)] = byte;
            }
            for packet in [bytes, packet] {
                if let Ok(whole) = SuperPacket::parse(&packet, segment) {
                    let mut out = Vec::new();
                    (0..whole.count()).for_each(|nth| whole.write(nth, &mut out));
                    prop_assert_eq!(out.len(), whole.bytes());
                }
            }
        }
    }
}
