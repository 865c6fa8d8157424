//! "Packet too big", answered into the tunnel interface, so that applications
//! learn what a path carries although nothing outside says so.

use super::Flow;
use super::checksum::checksum;
use super::ip::{IPV4_HEADER, IPV6_HEADER};

/// The IPv6 minimum: no limit below it is ever told (RFC 8200, section 5).
const FLOOR: u16 = 1280;

/// Of the packet that did not fit, an IPv4 error quotes the header and eight
/// bytes at least; we quote as much as keeps the error within 576 bytes.
const QUOTED_IPV4: usize = 576 - IPV4_HEADER - 8;

/// An IPv6 error quotes as much as fits the minimum MTU.
const QUOTED_IPV6: usize = FLOOR as usize - IPV6_HEADER - 8;

/// The ICMP error that tells the sender of `packet` to send at most `limit`
/// bytes: "fragmentation needed" (RFC 792, RFC 1191) or "packet too big" (RFC
/// 4443), from the packet's destination.
///
/// `None` where no error may be sent: not a whole packet, an IPv4 packet that
/// may be fragmented, an ICMP error, a later fragment, a multicast destination.
pub fn too_big(packet: &[u8], limit: u16) -> Option<Vec<u8>> {
    let flow = Flow::of(packet).ok()?;
    if flow.destination.is_multicast() || flow.source.is_unspecified() {
        return None;
    }
    let limit = limit.max(FLOOR);
    if flow.source.is_ipv4() { ipv4(packet, limit) } else { ipv6(packet, limit) }
}

fn ipv4(packet: &[u8], limit: u16) -> Option<Vec<u8>> {
    let fragment = u16::from_be_bytes([packet[6], packet[7]]);
    let dont_fragment = fragment & 0x4000 != 0;
    let later_fragment = fragment & 0x1fff != 0;
    let icmp_error = packet[9] == 1 && {
        let kind = packet.get(usize::from(packet[0] & 0xf) * 4);
        !matches!(kind, Some(0 | 8))
    };
    if !dont_fragment || later_fragment || icmp_error {
        return None;
    }
    let quoted = &packet[..packet.len().min(QUOTED_IPV4)];
    let total = IPV4_HEADER + 8 + quoted.len();
    let mut error = Vec::with_capacity(total);
    error.extend_from_slice(&[0x45, 0]);
    error.extend_from_slice(&(total as u16).to_be_bytes());
    error.extend_from_slice(&[0, 0, 0x40, 0, 64, 1, 0, 0]);
    error.extend_from_slice(&packet[16..20]);
    error.extend_from_slice(&packet[12..16]);
    let sum = checksum(&[&error]);
    error[10..12].copy_from_slice(&sum.to_be_bytes());
    error.extend_from_slice(&[3, 4, 0, 0, 0, 0]);
    error.extend_from_slice(&limit.to_be_bytes());
    error.extend_from_slice(quoted);
    let sum = checksum(&[&error[IPV4_HEADER..]]);
    error[IPV4_HEADER + 2..IPV4_HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    Some(error)
}

fn ipv6(packet: &[u8], limit: u16) -> Option<Vec<u8>> {
    let next = packet[6];
    let icmp_error = next == 58 && packet.get(IPV6_HEADER).is_none_or(|kind| *kind < 128);
    let later_fragment = next == 44
        && packet
            .get(IPV6_HEADER + 2..IPV6_HEADER + 4)
            .is_none_or(|offset| u16::from_be_bytes([offset[0], offset[1]]) & 0xfff8 != 0);
    if icmp_error || later_fragment {
        return None;
    }
    let quoted = &packet[..packet.len().min(QUOTED_IPV6)];
    let payload = (8 + quoted.len()) as u16;
    let mut error = Vec::with_capacity(IPV6_HEADER + usize::from(payload));
    error.extend_from_slice(&[0x60, 0, 0, 0]);
    error.extend_from_slice(&payload.to_be_bytes());
    error.extend_from_slice(&[58, 64]);
    error.extend_from_slice(&packet[24..40]);
    error.extend_from_slice(&packet[8..24]);
    error.extend_from_slice(&[2, 0, 0, 0]);
    error.extend_from_slice(&u32::from(limit).to_be_bytes());
    error.extend_from_slice(quoted);
    let pseudo = [&[0, 0][..], &payload.to_be_bytes(), &[0, 0, 0, 58]].concat();
    let sum = checksum(&[&error[8..IPV6_HEADER], &pseudo, &error[IPV6_HEADER..]]);
    error[IPV6_HEADER + 2..IPV6_HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    Some(error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ip::samples;
    use super::*;

    #[test]
    fn an_ipv4_sender_learns_the_limit() {
        let packet = samples::ipv4(0, 1400);
        let error = too_big(&packet, 1300).unwrap();
        let flow = Flow::of(&error).unwrap();
        let asked = Flow::of(&packet).unwrap();
        assert_eq!((flow.source, flow.destination), (asked.destination, asked.source));
        assert_eq!(error[IPV4_HEADER..IPV4_HEADER + 2], [3, 4]);
        assert_eq!(error[IPV4_HEADER + 6..IPV4_HEADER + 8], 1300_u16.to_be_bytes());
        assert_eq!(checksum(&[&error[..IPV4_HEADER]]), 0);
        assert_eq!(checksum(&[&error[IPV4_HEADER..]]), 0);
        assert_eq!(error[IPV4_HEADER + 8..], packet[..QUOTED_IPV4]);
        assert!(error.len() <= 576);
    }

    #[test]
    fn an_ipv6_sender_learns_the_limit_but_never_one_below_the_minimum() {
        let packet = samples::ipv6(0, 1400);
        let error = too_big(&packet, 900).unwrap();
        assert_eq!(error[IPV6_HEADER], 2);
        assert_eq!(error[IPV6_HEADER + 4..IPV6_HEADER + 8], 1280_u32.to_be_bytes());
        let payload = (error.len() - IPV6_HEADER) as u32;
        let pseudo = [&error[8..40], &payload.to_be_bytes(), &[0, 0, 0, 58]].concat();
        assert_eq!(checksum(&[&pseudo, &error[IPV6_HEADER..]]), 0);
        assert!(error.len() <= 1280);
    }

    #[test]
    fn no_error_answers_what_must_not_be_answered() {
        let mut fragmentable = samples::ipv4(0, 1400);
        fragmentable[6] = 0;
        let mut fragment = samples::ipv4(0, 1400);
        fragment[7] = 1;
        let mut icmp_error = samples::ipv4(0, 1400);
        icmp_error[9] = 1;
        icmp_error[IPV4_HEADER] = 3;
        let mut multicast = samples::ipv4(0, 1400);
        multicast[16] = 224;
        let mut icmp6_error = samples::ipv6(0, 1400);
        icmp6_error[6] = 58;
        icmp6_error[IPV6_HEADER] = 1;
        for packet in [fragmentable, fragment, icmp_error, multicast, icmp6_error] {
            assert_eq!(too_big(&packet, 1300), None);
        }
        let mut echo = samples::ipv4(0, 1400);
        echo[9] = 1;
        echo[IPV4_HEADER] = 8;
        assert!(too_big(&echo, 1300).is_some(), "a ping is no error");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_panic(bytes: Vec<u8>, limit: u16) {
            if let Some(error) = too_big(&bytes, limit) {
                prop_assert!(Flow::of(&error).is_ok());
            }
        }
    }
}
