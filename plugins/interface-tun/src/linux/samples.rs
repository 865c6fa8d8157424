//! Super-packets for tests. Their checksum fields hold the sum over the
//! pseudo-header, as the kernel leaves it.

use ntm_core::packet::{Protocol, SuperPacket};

/// How long the payload of each segment is.
pub(super) const SEGMENT: u16 = 1000;

pub(super) const KINDS: [(Protocol, bool); 4] =
    [(Protocol::Tcp, true), (Protocol::Tcp, false), (Protocol::Udp, true), (Protocol::Udp, false)];

/// A packet of IPv4 or else IPv6 with `payload` bytes.
pub(super) fn packet((protocol, is_v4): (Protocol, bool), payload: usize) -> Vec<u8> {
    let header = match protocol {
        Protocol::Tcp => 20,
        Protocol::Udp => 8,
    };
    let behind = header + payload;
    let mut packet = if is_v4 { ipv4(protocol, behind) } else { ipv6(protocol, behind) };
    let start = packet.len();
    let addresses = if is_v4 { &packet[12..20] } else { &packet[8..40] };
    let pseudo_header = sum(addresses) + behind as u32 + protocol as u32;
    let partial = (pseudo_header % 0xffff) as u16;
    packet.extend([0x10, 0x00, 0x20, 0x00]);
    match protocol {
        Protocol::Tcp => {
            packet.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
            packet[start + 16..start + 18].copy_from_slice(&partial.to_be_bytes());
        }
        Protocol::Udp => {
            packet.extend((behind as u16).to_be_bytes());
            packet.extend(partial.to_be_bytes());
        }
    }
    packet.extend((0..payload).map(|at| at as u8));
    packet
}

/// The packets that a super-packet stands for.
pub(super) fn singles(packet: &[u8], segment: u16) -> Vec<Vec<u8>> {
    let whole = SuperPacket::parse(packet, segment).unwrap();
    let single = |nth| {
        let mut out = Vec::new();
        whole.write(nth, &mut out);
        out
    };
    (0..whole.count()).map(single).collect()
}

fn ipv4(protocol: Protocol, behind: usize) -> Vec<u8> {
    let [a, b] = (20 + behind as u16).to_be_bytes();
    let mut header = vec![0x45, 0, a, b, 0, 0, 0x40, 0, 64, protocol as u8, 0, 0];
    header.extend([198, 18, 0, 1, 198, 18, 0, 2]);
    let checksum = !((sum(&header) % 0xffff) as u16);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn ipv6(protocol: Protocol, behind: usize) -> Vec<u8> {
    let [a, b] = (behind as u16).to_be_bytes();
    let mut header = vec![0x60, 0, 0, 0, a, b, protocol as u8, 64];
    for host in [1, 2] {
        header.extend([0xfd, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    header
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
}
