use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination of an IP packet whose length field is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The two ECN bits.
    pub ecn: u8,
    /// The six DSCP bits, as a number.
    pub dscp: u8,
}

/// Bytes are not one whole IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a whole IPv4 or IPv6 packet")]
pub struct BadPacket;

pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;

impl Flow {
    /// Reads the addresses.
    ///
    /// # Errors
    /// Neither IPv4 nor IPv6, or shorter or longer than its header says.
    pub fn of(packet: &[u8]) -> Result<Self, BadPacket> {
        match packet.first().ok_or(BadPacket)? >> 4 {
            4 => {
                let header: &[u8; IPV4_HEADER] = packet.first_chunk().ok_or(BadPacket)?;
                let header_len = usize::from(header[0] & 0xf) * 4;
                let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
                if header_len < IPV4_HEADER || total < header_len || total != packet.len() {
                    return Err(BadPacket);
                }
                let [.., a, b, c, d, e, f, g, h] = *header;
                Ok(Self {
                    source: Ipv4Addr::new(a, b, c, d).into(),
                    destination: Ipv4Addr::new(e, f, g, h).into(),
                    ecn: header[1] & 0b11,
                    dscp: header[1] >> 2,
                })
            }
            6 => {
                let header: &[u8; IPV6_HEADER] = packet.first_chunk().ok_or(BadPacket)?;
                let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
                if IPV6_HEADER + payload != packet.len() {
                    return Err(BadPacket);
                }
                let address = |at: usize| {
                    let mut octets = [0; 16];
                    octets.copy_from_slice(&header[at..at + 16]);
                    IpAddr::V6(Ipv6Addr::from(octets))
                };
                Ok(Self {
                    source: address(8),
                    destination: address(24),
                    ecn: header[1] >> 4 & 0b11,
                    dscp: header[0] << 2 & 0b11_1100 | header[1] >> 6,
                })
            }
            _ => Err(BadPacket),
        }
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::packet::checksum::checksum;

    /// A UDP packet with a true IPv4 header.
    pub(in crate::packet) fn ipv4(ecn: u8, payload: usize) -> Vec<u8> {
        let total = IPV4_HEADER + 8 + payload;
        let mut packet = vec![0; total];
        packet[0] = 0x45;
        packet[1] = 0x08 | ecn;
        packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        packet[6] = 0x40;
        packet[8] = 64;
        packet[9] = 17;
        packet[12..16].copy_from_slice(&[198, 18, 0, 1]);
        packet[16..20].copy_from_slice(&[198, 18, 0, 2]);
        let sum = checksum(&[&packet[..IPV4_HEADER]]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// A UDP packet with an IPv6 header.
    pub(in crate::packet) fn ipv6(ecn: u8, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; IPV6_HEADER + 8 + payload];
        packet[0] = 0x60;
        packet[1] = ecn << 4 | 0x5;
        packet[4..6].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
        packet[6] = 17;
        packet[7] = 64;
        packet[8] = 0xfd;
        packet[23] = 1;
        packet[24] = 0xfd;
        packet[39] = 2;
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_and_class_are_read() {
        let flow = Flow::of(&samples::ipv4(2, 10)).unwrap();
        assert_eq!(flow.source, IpAddr::from([198, 18, 0, 1]));
        assert_eq!(flow.destination, IpAddr::from([198, 18, 0, 2]));
        assert_eq!((flow.ecn, flow.dscp), (2, 2));
        let flow = Flow::of(&samples::ipv6(1, 10)).unwrap();
        assert_eq!(flow.destination, "fd00::2".parse::<IpAddr>().unwrap());
        assert_eq!(flow.ecn, 1);
    }

    #[test]
    fn a_false_length_is_no_packet() {
        for packet in [samples::ipv4(0, 10), samples::ipv6(0, 10)] {
            for len in 0..packet.len() {
                assert_eq!(Flow::of(&packet[..len]), Err(BadPacket));
            }
            let mut longer = packet.clone();
            longer.push(0);
            assert_eq!(Flow::of(&longer), Err(BadPacket));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Flow::of(&bytes);
        }
    }
}
