//! The Internet checksum (RFC 1071) and its repair after a change (RFC 1624).

/// The sum of some bytes, to be continued or [folded](fold). Only the last part
/// of a sum may have an odd length.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let pairs = bytes.chunks(2);
    pairs.map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low))).sum()
}

/// The checksum over what was summed.
pub(super) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// What a checksum becomes when `old` is replaced by `new` in what it covers;
/// both have the same even length.
pub(super) fn repaired(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    let removed: u64 = sum(&old.iter().map(|byte| !byte).collect::<Vec<_>>());
    fold(u64::from(!checksum) + removed + sum(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        assert_eq!(!fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn a_repaired_checksum_is_the_one_computed_anew() {
        let mut data = *b"what is covered!";
        for new in [*b"ab\x00\x00", *b"\xff\xff\xff\xff", *b"\x00\x00\x00\x00", *b"wxyz"] {
            let before = fold(sum(&data));
            let old: [u8; 4] = data[4..8].try_into().unwrap();
            data[4..8].copy_from_slice(&new);
            assert_eq!(repaired(before, &old, &new), fold(sum(&data)), "{new:?}");
        }
    }
}
