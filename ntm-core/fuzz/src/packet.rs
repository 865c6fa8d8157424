//! Inner packets: addresses, ECN marks, "too big".

use std::net::IpAddr;

use ntm_core::packet::{Ecn, Flow, decapsulate, encapsulate, mark, too_big};

use super::input::Input;

/// A limit (2), two ECN marks (1), then the packet.
pub fn packet(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (limit, marks) = (input.u16(), input.u8());
    let packet = input.rest();
    let flow = Flow::of(packet);
    if let Some(error) = too_big(packet, limit) {
        let flow = flow.expect("only a whole packet is answered");
        let answer = Flow::of(&error).expect("the answer is a whole packet");
        assert_eq!((answer.source, answer.destination), (flow.destination, flow.source));
        assert!(error.len() <= packet.len() + 48, "it quotes no more than there is");
        assert!(error.len() <= if flow.source.is_ipv4() { 576 } else { 1280 });
        assert!(sums_are_right(&error), "{error:02x?}");
        assert_eq!(too_big(&error, limit), None, "no error about an error");
    }
    let mut marked = packet.to_vec();
    mark(&mut marked, marks);
    assert_eq!(marked.len(), packet.len());
    let Ok(flow) = flow else { return };
    let seen = Flow::of(&marked).expect("a marked packet is still whole");
    assert_eq!(seen, Flow { ecn: marks & 0b11, ..flow }, "nothing but the mark changes");
    if flow.source.is_ipv4() {
        let header = usize::from(marked[0] & 0xf) * 4;
        assert_eq!(sum(&[&marked[..header]]), 0xffff, "the header's checksum is right");
    }
    match decapsulate(flow.ecn, marks >> 2) {
        Ecn::Keep => {}
        Ecn::Set(bits) => assert!(flow.ecn != 0 && bits != 0 && bits <= 0b11),
        Ecn::Drop => assert_eq!((flow.ecn, marks >> 2 & 0b11), (0, 0b11)),
    }
    assert!(encapsulate(flow.ecn) <= 0b11);
}

/// The sum that a right checksum makes 0xffff.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(0)
}

fn sums_are_right(error: &[u8]) -> bool {
    match Flow::of(error).map(|flow| flow.source) {
        Ok(IpAddr::V4(_)) => sum(&[&error[..20]]) == 0xffff && sum(&[&error[20..]]) == 0xffff,
        Ok(IpAddr::V6(_)) => sum(&[&error[8..40], &error[4..6], &[0, 58], &error[40..]]) == 0xffff,
        Err(_) => false,
    }
}

/// A whole IPv4 packet of `len` bytes with this fragment field and protocol.
pub(super) fn ipv4(source: [u8; 4], destination: [u8; 4], fragment: u16, len: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0b10];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    packet.extend_from_slice(&fragment.to_be_bytes());
    packet.extend_from_slice(&[64, 17, 0, 0]);
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&destination);
    packet.resize(len.into(), 0x5a);
    packet
}

pub(super) fn ipv6(source: [u8; 16], destination: [u8; 16], next: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0x20, 0, 0, len[0], len[1], next, 64];
    packet.extend_from_slice(&source);
    packet.extend_from_slice(&destination);
    packet.extend_from_slice(payload);
    packet
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (one, other) = ([198, 18, 0, 1], [198, 18, 0, 2]);
    let six = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut options = ipv4(one, other, 0x4000, 44);
    options[0] = 0x46;
    let packets = [
        ipv4(one, other, 0x4000, 40),
        ipv4(one, other, 0x4000, 601),
        ipv4(one, other, 0x2001, 40),
        ipv4(one, [224, 0, 0, 1], 0x4000, 40),
        options,
        ipv6(six(1), six(2), 17, &[1; 33]),
        ipv6(six(1), six(2), 17, &[1; 1300]),
        ipv6(six(1), six(2), 58, &[1, 0, 0, 0]),
        ipv6(six(1), six(2), 44, &[17, 0, 0, 9, 0, 0, 0, 0]),
    ];
    packets.iter().map(|packet| [&[0x05, 0x00, 0b1110], packet.as_slice()].concat()).collect()
}
