use ntm_core::packet::{Protocol, SuperPacket};

const NEEDS_CSUM: u8 = 1;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// Beside a TCP kind: `CWR` is set, which belongs to the first segment alone
/// (RFC 3168, section 6.1.2).
const GSO_ECN: u8 = 0x80;

const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;
const TCP_FLAGS: usize = 13;
const CWR: u8 = 0x80;

/// What stands before each packet (`struct virtio_net_hdr`): integers in the
/// machine's byte order, as a TUN device has them unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    flags: u8,
    gso_type: u8,
    /// Bytes of all headers; a hint that is not to be relied on.
    hdr_len: u16,
    /// Payload bytes of each segment.
    gso_size: u16,
    /// Where the bytes begin over which the checksum is missing.
    csum_start: u16,
    /// Where the checksum belongs, from there.
    csum_offset: u16,
}

/// Where a checksum is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) start: usize,
    pub(super) offset: usize,
}

impl Header {
    pub(super) const LEN: usize = 10;

    /// That of one complete packet.
    pub(super) const NONE: Self = Self {
        flags: 0,
        gso_type: GSO_NONE,
        hdr_len: 0,
        gso_size: 0,
        csum_start: 0,
        csum_offset: 0,
    };

    /// That of a super-packet.
    pub(super) fn of(whole: &SuperPacket<'_>, segment: u16) -> Self {
        let (headers, transport) = (whole.headers(), whole.transport());
        let (gso_type, csum_offset) = match whole.protocol() {
            Protocol::Tcp => {
                let kind = if whole.flow().source.is_ipv4() { GSO_TCPV4 } else { GSO_TCPV6 };
                let reduced = headers[transport + TCP_FLAGS] & CWR != 0;
                (if reduced { kind | GSO_ECN } else { kind }, TCP_CHECKSUM)
            }
            Protocol::Udp => (GSO_UDP_L4, UDP_CHECKSUM),
        };
        // All are offsets in a packet of at most 65,535 bytes.
        Self {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: headers.len() as u16,
            gso_size: segment,
            csum_start: transport as u16,
            csum_offset,
        }
    }

    /// Whether it is that of a super-packet.
    pub(super) fn is_super(self) -> bool {
        self.gso_type != GSO_NONE
    }

    pub(super) fn segment(self) -> u16 {
        self.gso_size
    }

    pub(super) fn partial(self) -> Option<Partial> {
        (self.flags & NEEDS_CSUM != 0)
            .then(|| Partial { start: self.csum_start.into(), offset: self.csum_offset.into() })
    }

    /// Whether both say the same of a super-packet, but for hints.
    pub(super) fn agrees_with(self, other: Self) -> bool {
        let kind = |header: Self| (header.gso_type & !GSO_ECN, header.gso_size);
        kind(self) == kind(other) && self.partial() == other.partial()
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b] = self.hdr_len.to_ne_bytes();
        let [c, d] = self.gso_size.to_ne_bytes();
        let [e, f] = self.csum_start.to_ne_bytes();
        let [g, h] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, a, b, c, d, e, f, g, h]
    }

    pub(super) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [flags, gso_type, a, b, c, d, e, f, g, h] = bytes;
        Self {
            flags,
            gso_type,
            hdr_len: u16::from_ne_bytes([a, b]),
            gso_size: u16::from_ne_bytes([c, d]),
            csum_start: u16::from_ne_bytes([e, f]),
            csum_offset: u16::from_ne_bytes([g, h]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{KINDS, SEGMENT, packet};
    use super::*;

    #[test]
    fn a_super_packet_is_described_by_its_own_headers() {
        let expected = [(1, 40, 20, 16), (4, 60, 40, 16), (5, 28, 20, 6), (5, 48, 40, 6)];
        for (kind, (gso_type, hdr_len, csum_start, csum_offset)) in KINDS.into_iter().zip(expected)
        {
            let packet = packet(kind, 2500);
            let whole = SuperPacket::parse(&packet, SEGMENT).unwrap();
            let header =
                Header { flags: 1, gso_type, hdr_len, gso_size: SEGMENT, csum_start, csum_offset };
            assert_eq!(Header::of(&whole, SEGMENT), header);
        }
    }

    #[test]
    fn options_count_and_an_answered_mark_is_told() {
        let mut packet = packet(KINDS[0], 2500);
        packet[32] = 0x80;
        packet[33] |= CWR;
        let header = Header::of(&SuperPacket::parse(&packet, SEGMENT).unwrap(), SEGMENT);
        assert_eq!((header.gso_type, header.hdr_len), (0x81, 52));
    }

    #[test]
    fn the_layout_is_the_kernel_s() {
        let header = Header {
            flags: 1,
            gso_type: 4,
            hdr_len: 0x0102,
            gso_size: 0x0304,
            csum_start: 0x0506,
            csum_offset: 0x0708,
        };
        let little = [1, 4, 2, 1, 4, 3, 6, 5, 8, 7];
        let big = [1, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(header.to_bytes(), if cfg!(target_endian = "little") { little } else { big });
        assert_eq!(Header::NONE.to_bytes(), [0; Header::LEN]);
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(bytes: [u8; Header::LEN]) {
            prop_assert_eq!(Header::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
