use std::hash::Hasher;

use super::ip::{IPV4_HEADER, IPV6_HEADER};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Hashes what tells the flow of an IP packet: addresses, protocol and, where they
/// can be read, ports, or type and identifier of ICMP. Later fragments, extension
/// headers and other protocols count by addresses alone.
pub fn hash_flow(packet: &[u8], hasher: &mut impl Hasher) {
    let (addresses, protocol, behind) = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= IPV4_HEADER => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let is_whole = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff == 0;
            let behind = if is_whole { packet.get(header..) } else { None };
            (&packet[12..20], packet[9], behind)
        }
        Some(6) if packet.len() >= IPV6_HEADER => {
            (&packet[8..IPV6_HEADER], packet[6], packet.get(IPV6_HEADER..))
        }
        Some(_) | None => return,
    };
    hasher.write(addresses);
    hasher.write_u8(protocol);
    let told = match protocol {
        // Ports; of SCTP, UDP-Lite and DCCP they lie in the same place.
        6 | 17 | 33 | 132 | 136 => behind.and_then(|it| it.get(..4)),
        ICMP | ICMPV6 => behind.and_then(|it| it.get(4..6)),
        _ => None,
    };
    hasher.write(told.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use proptest::prelude::*;

    use super::super::ip::samples;
    use super::*;

    fn hash(packet: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_flow(packet, &mut hasher);
        hasher.finish()
    }

    #[test]
    fn ports_tell_flows_apart_and_what_differs_within_a_flow_does_not() {
        for (packet, header) in [(samples::ipv4(0, 10), 20), (samples::ipv6(0, 10), 40)] {
            let other = |at: usize| {
                let mut other = packet.clone();
                other[at] ^= 1;
                other
            };
            for at in [header - 1, header, header + 3] {
                assert_ne!(hash(&packet), hash(&other(at)), "byte {at}");
            }
            for at in [1, header + 4, header + 8] {
                assert_eq!(hash(&packet), hash(&other(at)), "byte {at}");
            }
        }
    }

    #[test]
    fn fragments_of_a_packet_belong_together() {
        let mut first = samples::ipv4(0, 10);
        first[6] = 0x20;
        let mut second = first.clone();
        (second[7], second[20]) = (3, 99);
        assert_eq!(hash(&first), hash(&second));
    }

    proptest! {
        #[test]
        fn any_bytes_are_hashed_without_panic(bytes: Vec<u8>) {
            hash(&bytes);
        }
    }
}
