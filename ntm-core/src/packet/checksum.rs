//! The Internet checksum (RFC 1071).

use super::BadPacket;

/// Words that are summed side by side, so that the compiler makes vectors of
/// them.
const LANES: usize = 16;

/// The sum over these bytes, of 16-bit words in network order, folded to 16
/// bits; an odd last byte is the high half of a word.
///
/// The order of bytes in a word makes no difference to the sum but for the order
/// of its own bytes (section 2(B)), so whole words of the machine are added up.
#[inline]
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks();
    let mut all = if blocks.is_empty() { 0 } else { sum_of_blocks(blocks) };
    let (words, rest) = rest.as_chunks();
    for word in words {
        all += u64::from(u32::from_ne_bytes(*word));
    }
    let last = match *rest {
        [a, b, c] => [a, b, c, 0],
        [a, b] => [a, b, 0, 0],
        [a] => [a, 0, 0, 0],
        _ => [0; 4],
    };
    all += u64::from(u32::from_ne_bytes(last));
    let halves = (all & 0xffff_ffff) + (all >> 32);
    let quarters = (halves & 0xffff) + (halves >> 16 & 0xffff) + (halves >> 32);
    u16::from_be(fold(quarters as u32)).into()
}

fn sum_of_blocks(blocks: &[[u8; 4 * LANES]]) -> u64 {
    let mut lanes = [0_u64; LANES];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks().0) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    lanes.iter().sum()
}

/// A sum of sums, folded to 16 bits.
pub(super) fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// The checksum over the parts, each of even length but the last.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    !fold(parts.iter().map(|part| sum(part)).sum())
}

/// Completes a partial checksum, as virtio-net's `NEEDS_CSUM` means it: the field
/// at `start + offset` holds the sum over the pseudo-header and gets the checksum
/// over everything from `start` on.
///
/// A checksum of 0 is written as 0xffff, the same number; to UDP a 0 says that
/// there is none (RFC 768).
///
/// # Errors
/// The field lies outside the packet, which is left as it is.
pub fn finish(packet: &mut [u8], start: usize, offset: usize) -> Result<(), BadPacket> {
    let summed = packet.get_mut(start..).ok_or(BadPacket)?;
    let made = match checksum(&[summed]) {
        0 => 0xffff,
        made => made,
    };
    let field = summed.get_mut(offset..).and_then(<[u8]>::first_chunk_mut).ok_or(BadPacket)?;
    *field = made.to_be_bytes();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sample;
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&words]), !0xddf2);
        assert_eq!(checksum(&[&words[..4], &words[4..]]), !0xddf2);
    }

    #[test]
    fn a_sum_over_its_own_result_is_zero() {
        let mut header = [7_u8; 20];
        header[10..12].copy_from_slice(&[0, 0]);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum(&[&header]), 0);
    }

    #[test]
    fn the_largest_sums_do_not_overflow() {
        assert_eq!(sum(&[0xff; 65_535]), u32::from(sample::sum(&[0xff; 65_535])));
        assert_eq!(checksum(&[&[0xff; 65_534], &[0xff; 65_535]]), 0xff);
    }

    #[test]
    fn a_finished_checksum_is_never_zero() {
        let mut packet = [9, 0xff, 0xff, 0, 0];
        finish(&mut packet, 1, 2).unwrap();
        assert_eq!(packet, [9, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn a_field_outside_the_packet_is_refused() {
        let mut packet = [1; 8];
        for (start, offset) in [(9, 0), (0, 7), (7, 0), (usize::MAX, 1), (1, usize::MAX)] {
            assert_eq!(finish(&mut packet, start, offset), Err(BadPacket));
        }
        assert_eq!(packet, [1; 8]);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_words(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(sum(&bytes), u32::from(sample::sum(&bytes)));
        }

        #[test]
        fn finishing_makes_the_whole_verify(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            start in 0_usize..100,
            offset in 0_usize..50,
        ) {
            let before = bytes.clone();
            if finish(&mut bytes, start, 2 * offset).is_ok() {
                let at = start + 2 * offset;
                let partial = u32::from(u16::from_be_bytes([before[at], before[at + 1]]));
                let after = u32::from(sample::sum(&bytes[start..]));
                prop_assert_eq!(fold(after + partial), 0xffff);
                prop_assert_eq!(&bytes[..at], &before[..at]);
                prop_assert_eq!(&bytes[at + 2..], &before[at + 2..]);
            } else {
                prop_assert!(start + 2 * offset + 2 > bytes.len());
            }
        }
    }
}
