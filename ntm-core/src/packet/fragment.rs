//! IPv4 packets cut into fragments (RFC 791, section 3.2): where a tunnel takes less
//! than the virtual interface, and nobody may be told because the sender allows it.

use super::Flow;
use super::checksum::checksum;
use super::ip::IPV4_HEADER;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// An option with this bit is in every fragment.
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;

/// The fragments of a packet: all of one length but the last, which is no longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragments<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    /// Payload of each but the last: whole units of eight bytes.
    each: usize,
}

impl<'a> Fragments<'a> {
    /// Of at most `limit` bytes each. `None` where a packet is not to be cut: not of
    /// IPv4, or its sender forbids it, or nothing of it would fit.
    pub(crate) fn of(packet: &'a [u8], limit: u16) -> Option<Self> {
        let flow = Flow::of(packet).ok()?;
        if !flow.source.is_ipv4() || word(packet, 6) & DONT_FRAGMENT != 0 {
            return None;
        }
        let length = usize::from(packet[0] & 0xf) * 4;
        let header = packet.get(..length).filter(|header| header.len() >= IPV4_HEADER)?;
        let payload = packet.get(length..usize::from(word(packet, 2)))?;
        let each = usize::from(limit).checked_sub(length)? & !7;
        let last = usize::from(word(packet, 6) & OFFSET) + payload.len() / 8;
        (each > 0 && last <= usize::from(OFFSET)).then_some(Self { header, payload, each })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.payload.len().div_ceil(self.each).max(1)
    }

    /// Bytes of the largest.
    pub(crate) fn largest(&self) -> usize {
        self.header.len() + self.each.min(self.payload.len())
    }

    /// Bytes of all.
    pub(crate) fn bytes(&self) -> usize {
        self.count() * self.header.len() + self.payload.len()
    }

    /// Appends the `nth`.
    pub(crate) fn write(&self, nth: usize, out: &mut Vec<u8>) {
        let start = (nth * self.each).min(self.payload.len());
        let end = (start + self.each).min(self.payload.len());
        let at = out.len();
        out.extend_from_slice(self.header);
        let header = &mut out[at..];
        if nth > 0 {
            drop_options(&mut header[IPV4_HEADER..]);
        }
        let total = (header.len() + end - start) as u16;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        // A packet may be a fragment itself.
        let place = word(self.header, 6);
        let more = if end < self.payload.len() { MORE } else { place & MORE };
        let place = (place & !(MORE | OFFSET)) | more | ((place & OFFSET) + (start / 8) as u16);
        header[6..8].copy_from_slice(&place.to_be_bytes());
        header[10..12].fill(0);
        let sum = checksum(&[header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&self.payload[start..end]);
    }
}

fn word(packet: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([packet[at], packet[at + 1]])
}

/// Makes options that only the first fragment has into fillers.
fn drop_options(mut options: &mut [u8]) {
    while let Some(kind) = options.first().copied().filter(|kind| *kind != END_OF_OPTIONS) {
        let length = match kind {
            NO_OPERATION => 1,
            _ => options.get(1).map_or(1, |length| usize::from(*length).max(1)),
        };
        let (option, rest) = options.split_at_mut(length.min(options.len()));
        if kind & COPIED == 0 {
            option.fill(NO_OPERATION);
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(flags: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let header = 20 + options.len();
        let mut packet = vec![0x40 | (header / 4) as u8, 0x28];
        packet.extend_from_slice(&((header + payload.len()) as u16).to_be_bytes());
        packet.extend_from_slice(&[0x12, 0x34]);
        packet.extend_from_slice(&flags.to_be_bytes());
        packet.extend_from_slice(&[64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2]);
        packet.extend_from_slice(options);
        let sum = checksum(&[&packet]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    }

    fn cut(packet: &[u8], limit: u16) -> Option<Vec<Vec<u8>>> {
        let fragments = Fragments::of(packet, limit)?;
        let one = |nth| {
            let mut out = Vec::new();
            fragments.write(nth, &mut out);
            out
        };
        let all: Vec<Vec<u8>> = (0..fragments.count()).map(one).collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), fragments.bytes());
        assert_eq!(all.iter().map(Vec::len).max(), Some(fragments.largest()));
        Some(all)
    }

    /// What a receiver puts together: RFC 791, section 3.2.
    fn joined(fragments: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (nth, fragment) in fragments.iter().enumerate() {
            let header = usize::from(fragment[0] & 0xf) * 4;
            assert_eq!(checksum(&[&fragment[..header]]), 0);
            assert_eq!(usize::from(word(fragment, 2)), fragment.len());
            assert_eq!(usize::from(word(fragment, 6) & OFFSET) * 8, payload.len());
            assert_eq!(word(fragment, 6) & MORE != 0, nth + 1 < fragments.len());
            payload.extend_from_slice(&fragment[header..]);
        }
        payload
    }

    #[test]
    fn what_is_not_to_be_cut_stays_whole() {
        assert!(cut(&packet(DONT_FRAGMENT, &[], &[1; 1380]), 1280).is_none());
        let mut ipv6 = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        ipv6.extend_from_slice(&[0xfd; 40]);
        assert!(Fragments::of(&ipv6, 1280).is_none());
        assert!(Fragments::of(&packet(0, &[], &[1; 1380])[..19], 1280).is_none());
    }

    #[test]
    fn a_fragment_is_cut_again_at_its_place() {
        let middle = packet(MORE | 100, &[], &[7; 1300]);
        let all = cut(&middle, 1280).unwrap();
        let places: Vec<_> = all.iter().map(|one| word(one, 6)).collect();
        assert_eq!(places, [MORE | 100, MORE | (100 + 1256 / 8)]);
        let last = packet(100, &[], &[7; 1300]);
        let places: Vec<_> = cut(&last, 1280).unwrap().iter().map(|one| word(one, 6)).collect();
        assert_eq!(places, [MORE | 100, 100 + 1256 / 8]);
        assert!(cut(&packet(OFFSET, &[], &[7; 1300]), 1280).is_none(), "beyond the largest packet");
    }

    #[test]
    fn later_fragments_have_only_the_options_that_are_copied() {
        // Record route (7) is not, router alert (148) is.
        let options = [7, 3, 4, 148, 4, 0, 0, 0];
        let all = cut(&packet(0, &options, &[9; 1380]), 1280).unwrap();
        assert_eq!(all[0][20..28], options);
        assert_eq!(all[1][20..28], [1, 1, 1, 148, 4, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_whole(bytes in 0..4000_usize, limit in 68..1500_u16) {
            let payload: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            let whole = packet(0, &[], &payload);
            let all = cut(&whole, limit).unwrap();
            prop_assert!(all.iter().all(|one| one.len() <= usize::from(limit)));
            prop_assert_eq!(joined(&all), payload);
            prop_assert!(all.iter().all(|one| one[4..6] == whole[4..6] && one[12..20] == whole[12..20]));
        }

        #[test]
        fn any_bytes_are_cut_without_panic(bytes: Vec<u8>, limit: u16) {
            let _pieces = cut(&bytes, limit);
        }

        #[test]
        fn any_header_is_cut_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 20..120), length in 5..16_u8) {
            bytes[0] = 0x40 | length;
            let total = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&total.to_be_bytes());
            let _pieces = cut(&bytes, 68);
        }
    }
}
