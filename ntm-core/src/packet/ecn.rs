//! Congestion marks across the tunnel (RFC 6040): the outer header starts with
//! the inner mark, and a mark that a router set on the outer header reaches the
//! inner packet.

use super::checksum::checksum;
use super::ip::IPV4_HEADER;

/// The two bits: not ECN-capable.
const NOT_ECT: u8 = 0b00;
/// The two bits: congestion experienced.
const CE: u8 = 0b11;

/// What becomes of an inner packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// Leave its bits as they are.
    Keep,
    /// Set its bits to these.
    Set(u8),
    /// Drop it: congestion was signalled to a flow that cannot see marks.
    Drop,
}

/// The outer bits of a packet with these inner bits (normal mode).
pub fn encapsulate(inner: u8) -> u8 {
    inner & 0b11
}

/// What becomes of a packet with these inner bits that came with these outer
/// ones (RFC 6040, figure 4).
pub fn decapsulate(inner: u8, outer: u8) -> Ecn {
    match (inner & 0b11, outer & 0b11) {
        (NOT_ECT, CE) => Ecn::Drop,
        (CE | NOT_ECT, _) => Ecn::Keep,
        (_, CE) => Ecn::Set(CE),
        (0b10, 0b01) => Ecn::Set(0b01),
        (_, _) => Ecn::Keep,
    }
}

/// Sets the ECN bits of an IP packet, and the header checksum of an IPv4 one.
/// Leaves anything else alone.
pub fn mark(packet: &mut [u8], ecn: u8) {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= IPV4_HEADER => {
            packet[1] = packet[1] & !0b11 | ecn & 0b11;
            let header = usize::from(packet[0] & 0xf) * 4;
            if let Some(header) = packet.get_mut(..header).filter(|h| h.len() >= IPV4_HEADER) {
                header[10..12].copy_from_slice(&[0, 0]);
                let sum = checksum(&[header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        }
        Some(6) if packet.len() >= 2 => {
            packet[1] = packet[1] & !0b0011_0000 | (ecn & 0b11) << 4;
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Flow;
    use super::super::ip::samples;
    use super::*;

    /// RFC 6040, figure 4, row by row: inner Not-ECT, ECT(0), ECT(1), CE;
    /// column by column: outer Not-ECT, ECT(0), ECT(1), CE.
    #[test]
    fn every_pair_of_marks_follows_rfc_6040() {
        let (not, ect0, ect1, ce) = (0b00, 0b10, 0b01, 0b11);
        let table = [
            (not, [Some(not), Some(not), Some(not), None]),
            (ect0, [Some(ect0), Some(ect0), Some(ect1), Some(ce)]),
            (ect1, [Some(ect1), Some(ect1), Some(ect1), Some(ce)]),
            (ce, [Some(ce), Some(ce), Some(ce), Some(ce)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in [not, ect0, ect1, ce].into_iter().zip(row) {
                let becomes = match decapsulate(inner, outer) {
                    Ecn::Keep => Some(inner),
                    Ecn::Set(bits) => Some(bits),
                    Ecn::Drop => None,
                };
                assert_eq!(becomes, expected, "inner {inner:02b}, outer {outer:02b}");
            }
        }
    }

    #[test]
    fn marking_keeps_the_header_true() {
        let mut packet = samples::ipv4(2, 4);
        mark(&mut packet, CE);
        assert_eq!(Flow::of(&packet).unwrap().ecn, CE);
        assert_eq!(checksum(&[&packet[..IPV4_HEADER]]), 0);
        let mut packet = samples::ipv6(2, 4);
        let before = packet.clone();
        mark(&mut packet, CE);
        assert_eq!(Flow::of(&packet).unwrap().ecn, CE);
        mark(&mut packet, 2);
        assert_eq!(packet, before);
    }

    #[test]
    fn nonsense_is_left_alone() {
        for bytes in [&[][..], &[0x45], &[0x4f; 20], &[0x60], &[0xff; 40]] {
            let mut packet = bytes.to_vec();
            mark(&mut packet, CE);
            assert_eq!(packet.len(), bytes.len());
        }
    }
}
