//! Super-packets: cut, and joined again.

use ntm_core::packet::{Coalescer, Flow, SuperPacket};
use ntm_core::plugin::Offload;

use super::input::Input;
use super::packet::{ipv4, ipv6};

/// The payload bytes of a segment (2), what the interface takes (1), then the
/// super-packet.
pub fn super_packet(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (segment, takes) = (input.u16(), input.u8());
    let packet = input.rest();
    let Ok(whole) = SuperPacket::parse(packet, segment) else { return };
    let pieces = cut(&whole);
    let flow = Flow::of(packet).expect("only a whole packet is cut");
    let headers = whole.headers().len();
    assert_eq!(pieces.iter().map(Vec::len).sum::<usize>(), whole.bytes());
    assert_eq!(pieces.iter().map(Vec::len).max(), Some(whole.largest()));
    let (_last, others) = pieces.split_last().expect("one at least");
    assert!(others.iter().all(|piece| piece.len() == headers + usize::from(segment)));
    for piece in &pieces {
        assert_eq!(Flow::of(piece), Ok(flow), "each is whole, and says from whom to whom");
    }
    let payload: Vec<_> = pieces.iter().flat_map(|piece| &piece[headers..]).collect();
    assert!(payload.into_iter().eq(&packet[headers..]), "no byte is lost, none invented");

    let takes = Offload { tcp: takes & 1 == 0, udp: takes & 2 == 0 };
    let mut coalescer = Coalescer::new(takes);
    pieces.iter().for_each(|piece| coalescer.push(piece));
    let mut again = Vec::new();
    for (joined, segment) in coalescer.packets() {
        match segment {
            0 => again.push(joined.to_vec()),
            _ => again.extend(cut(&SuperPacket::parse(joined, segment).expect("one to cut"))),
        }
    }
    assert_eq!(again, pieces, "what was joined is cut to what it was, in order");
}

fn cut(whole: &SuperPacket<'_>) -> Vec<Vec<u8>> {
    let piece = |nth| {
        let mut piece = Vec::new();
        whole.write(nth, &mut piece);
        piece
    };
    assert_eq!(piece(whole.count()), [], "nothing behind the last");
    (0..whole.count()).map(piece).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (one, other) = ([198, 18, 0, 1], [198, 18, 0, 2]);
    let six = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let as_tcp = |mut packet: Vec<u8>, protocol: usize, header: usize| {
        packet[protocol] = 6;
        // Twenty bytes of header; ACK.
        packet[header + 12..header + 14].copy_from_slice(&[0x50, 0x10]);
        packet
    };
    let packets = [
        ipv4(one, other, 0x4000, 700),
        as_tcp(ipv4(one, other, 0x4000, 700), 9, 20),
        ipv6(six(1), six(2), 17, &[0x5a; 700]),
        as_tcp(ipv6(six(1), six(2), 17, &[0x5a; 700]), 6, 40),
    ];
    packets.iter().map(|packet| [&[0x00, 0x64, 0], packet.as_slice()].concat()).collect()
}
