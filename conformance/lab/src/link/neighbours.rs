/// Whether a frame is about neighbours: ARP (RFC 826) or neighbour discovery
/// (RFC 4861).
pub(super) fn is_about_neighbours(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some(ARP) => true,
        Some(IPV6) => {
            let next_header = frame.get(ETHERNET_HEADER + 6);
            let kind = frame.get(ETHERNET_HEADER + IPV6_HEADER);
            next_header == Some(&ICMPV6) && kind.is_some_and(|kind| DISCOVERY.contains(kind))
        }
        Some(_) | None => false,
    }
}

const ARP: &[u8] = &[0x08, 0x06];
const IPV6: &[u8] = &[0x86, 0xdd];
const ICMPV6: u8 = 58;
/// Router solicitation to redirect.
const DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ethertype: &[u8], payload: &[(usize, u8)]) -> Vec<u8> {
        let mut frame = vec![0; 60];
        frame[12..14].copy_from_slice(ethertype);
        for (at, value) in payload {
            frame[ETHERNET_HEADER + at] = *value;
        }
        frame
    }

    #[test]
    fn resolution_is_told_from_traffic() {
        assert!(is_about_neighbours(&frame(ARP, &[])));
        assert!(is_about_neighbours(&frame(IPV6, &[(6, ICMPV6), (40, 135)])));
        // An echo request, a UDP packet, IPv4, and what is too short to tell.
        assert!(!is_about_neighbours(&frame(IPV6, &[(6, ICMPV6), (40, 128)])));
        assert!(!is_about_neighbours(&frame(IPV6, &[(6, 17), (40, 135)])));
        assert!(!is_about_neighbours(&frame(&[0x08, 0x00], &[])));
        assert!(!is_about_neighbours(&[0; 13]));
    }
}
