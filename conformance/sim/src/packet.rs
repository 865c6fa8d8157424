use std::net::IpAddr;

use ntm_core::packet::Flow;

/// A UDP-less IP packet with this payload between two virtual addresses.
///
/// # Panics
/// If the two are of different families: a bug of the test.
pub fn inner_packet(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + payload.len()) as u16;
            packet = vec![0x45, 0];
            packet.extend_from_slice(&total.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 253, 0, 0]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet = vec![0x60, 0, 0, 0];
            packet.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[253, 64]);
            packet.extend_from_slice(&source.octets());
            packet.extend_from_slice(&destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            panic!("a packet has one family")
        }
    }
    packet.extend_from_slice(payload);
    packet
}

/// The payload of a packet made by [`inner_packet`].
pub fn payload_of(packet: &[u8]) -> &[u8] {
    match Flow::of(packet) {
        Ok(flow) if flow.source.is_ipv4() => &packet[20..],
        Ok(_) => &packet[40..],
        Err(_) => &[],
    }
}
