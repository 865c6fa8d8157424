use ntm_core::packet::SuperPacket;
use ntm_core::packet::checksum::finish;

use super::header::{Header, Partial};

/// Checks a packet from the kernel against its header and completes its
/// checksum, unless it is a super-packet. Returns the payload bytes of each
/// segment of one, else 0.
///
/// `None`: it makes no sense. Where headers and checksum are is found out from the
/// packet itself; the kernel has to agree.
pub(super) fn accept(header: Header, packet: &mut [u8]) -> Option<u16> {
    if !header.is_super() {
        if let Some(partial) = header.partial() {
            complete(packet, partial)?;
        }
        return Some(0);
    }
    let whole = SuperPacket::parse(packet, header.segment()).ok()?;
    if !header.agrees_with(Header::of(&whole, header.segment())) {
        return None;
    }
    if whole.count() == 1 {
        complete(packet, header.partial()?)?;
        return Some(0);
    }
    Some(header.segment())
}

fn complete(packet: &mut [u8], partial: Partial) -> Option<()> {
    finish(packet, partial.start, partial.offset).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{KINDS, SEGMENT, packet, singles};
    use super::*;

    fn header_of(packet: &[u8]) -> Header {
        Header::of(&SuperPacket::parse(packet, SEGMENT).unwrap(), SEGMENT)
    }

    /// The header with the byte at `at` changed.
    fn changed(header: Header, at: usize, to: impl Fn(u8) -> u8) -> Header {
        let mut bytes = header.to_bytes();
        bytes[at] = to(bytes[at]);
        Header::from_bytes(bytes)
    }

    #[test]
    fn super_packets_pass_as_they_are() {
        for kind in KINDS {
            let before = packet(kind, 2500);
            let mut packet = before.clone();
            let header = header_of(&packet);
            assert_eq!(accept(header, &mut packet), Some(SEGMENT));
            // The kernel's idea of how long the headers are does not matter.
            assert_eq!(accept(changed(header, 2, |_| 0xff), &mut packet), Some(SEGMENT));
            assert_eq!(packet, before);
        }
    }

    #[test]
    fn what_kernel_and_packet_do_not_agree_on_is_refused() {
        for kind in KINDS {
            let mut packet = packet(kind, 2500);
            let header = header_of(&packet);
            let no_checksum = changed(header, 0, |_| 0);
            let others = [1, 3, 4, 5, 0x80].into_iter();
            let other_kinds =
                others.map(|kind| changed(header, 1, |_| kind)).filter(|other| *other != header);
            let no_segment = changed(changed(header, 4, |_| 0), 5, |_| 0);
            let start = changed(header, 6, |byte| byte ^ 2);
            let offset = changed(header, 8, |byte| byte ^ 1);
            for header in other_kinds.chain([no_checksum, no_segment, start, offset]) {
                assert_eq!(accept(header, &mut packet), None, "{header:?}");
            }
            packet.pop();
            assert_eq!(accept(header, &mut packet), None, "it was cut off");
        }
    }

    #[test]
    fn fragments_and_extension_headers_are_no_super_packets() {
        let mut fragment = packet(KINDS[0], 2500);
        let header = header_of(&fragment);
        fragment[6] = 0x20;
        assert_eq!(accept(header, &mut fragment), None);
        let mut extended = packet(KINDS[1], 2500);
        let header = header_of(&extended);
        extended[6] = 0;
        assert_eq!(accept(header, &mut extended), None);
    }

    #[test]
    fn a_super_packet_of_one_segment_becomes_a_complete_packet() {
        for kind in KINDS {
            let mut packet = packet(kind, SEGMENT.into());
            let complete = singles(&packet, SEGMENT);
            assert_eq!(accept(header_of(&packet), &mut packet), Some(0));
            assert_eq!([packet], *complete);
        }
    }

    #[test]
    fn a_missing_checksum_is_completed_where_it_belongs() {
        for kind in KINDS {
            let mut packet = packet(kind, 10);
            let complete = singles(&packet, SEGMENT);
            let header = changed(header_of(&packet), 1, |_| 0);
            assert_eq!(accept(header, &mut packet), Some(0));
            assert_eq!([&packet[..]], *complete);
            // Behind the end.
            assert_eq!(accept(changed(header, 7, |_| 0x7f), &mut packet), None);
            assert_eq!([&packet[..]], *complete);
        }
    }

    fn any_header() -> impl Strategy<Value = [u8; Header::LEN]> {
        prop_oneof![
            any::<[u8; Header::LEN]>(),
            // Near enough to be taken for true at times.
            (0..2_u8, 0..6_u8, 0..2000_u16, 0..50_u16, 0..20_u16).prop_map(
                |(flags, gso_type, gso_size, start, offset)| {
                    let [c, d] = gso_size.to_ne_bytes();
                    let [e, f] = start.to_ne_bytes();
                    let [g, h] = offset.to_ne_bytes();
                    [flags, gso_type, 0, 0, c, d, e, f, g, h]
                }
            ),
        ]
    }

    fn any_packet() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (0..KINDS.len(), 0..4000_usize, 0..60_usize, any::<u8>()).prop_map(
                |(kind, payload, at, byte)| {
                    let mut packet = packet(KINDS[kind], payload);
                    if let Some(place) = packet.get_mut(at) {
                        *place = byte;
                    }
                    packet
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_says_only_what_makes_sense_passes(
            header in any_header(),
            before in any_packet(),
        ) {
            let header = Header::from_bytes(header);
            let mut packet = before.clone();
            match accept(header, &mut packet) {
                Some(0) => {
                    let changed = packet.iter().zip(&before).filter(|(a, b)| a != b).count();
                    let most = if header.partial().is_some() { 2 } else { 0 };
                    prop_assert!(changed <= most);
                }
                Some(segment) => {
                    prop_assert_eq!(&packet, &before);
                    prop_assert!(singles(&packet, segment).len() > 1);
                }
                None => prop_assert_eq!(packet, before),
            }
        }

        #[test]
        fn a_true_header_passes_whatever_the_length(
            kind in 0..KINDS.len(),
            payload in 0..4000_usize,
            segment in 1..2000_u16,
        ) {
            let mut packet = packet(KINDS[kind], payload);
            let whole = SuperPacket::parse(&packet, segment).unwrap();
            let (header, count) = (Header::of(&whole, segment), whole.count());
            let expected = if count > 1 { segment } else { 0 };
            prop_assert_eq!(accept(header, &mut packet), Some(expected));
        }
    }
}
