use super::WireError;
use super::codec::{Put as _, Reader};
use crate::id::{Epoch, Side};

/// The protocol's version on the wire.
pub const VERSION: u8 = 1;

/// Length of [`Header`] in bytes: what precedes the ciphertext of everything
/// sealed with a counter.
pub const HEADER: usize = 28;

/// What a datagram is. Byte 0 is `0b10_vv_tttt`: 128–191, which keeps clear of
/// STUN, DTLS, TURN channels and QUIC on the same port (RFC 7983, RFC 9443).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An application's packet in a tunnel (the paper's UDP tunnel communication).
    Capsule = 1,
    /// A control message in a tunnel, such as Tunnel Request after a move.
    Control = 2,
    /// The first message of a handshake; between terminals, the first Tunnel Request.
    Handshake1 = 3,
    /// The second message of a handshake; between terminals, the first Tunnel Response.
    Handshake2 = 4,
    /// "Ask again with this", from a responder under load.
    Cookie = 5,
    /// An end makes itself known to a relay.
    Bind = 6,
    /// The relay's answer.
    BindAck = 7,
    /// Between a node and its coordinator.
    Signalling = 8,
    /// "I know no session that this belongs to".
    UnknownSession = 9,
    /// Opens a NAT or firewall on its way out and is ignored where it arrives.
    Punch = 10,
}

/// The first 20 bytes of every datagram.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | `0b10`, version (2 bits), [`Kind`] (4 bits) |
/// | 1 | 1 | flags (4 bits), key slot (4 bits) |
/// | 2 | 2 | low half of the sender's epoch; by kind also role or 0 |
/// | 4 | 16 | Path ID, or session id, or handshake id |
///
/// The only flag, 1: the sender is the end with the lower virtual address, so
/// that a relay knows the side; in signalling: the sender is the coordinator.
/// Other flags are sent as 0 and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// What it is.
    pub kind: Kind,
    /// The flag.
    pub lower: bool,
    /// Which of the receiver's keys it is sealed with.
    pub slot: u8,
    /// Two bytes whose meaning depends on the kind.
    pub short: u16,
    /// 16 bytes whose meaning depends on the kind.
    pub id: [u8; 16],
}

/// The first 28 bytes of a sealed datagram: the envelope with the sender's
/// epoch in its short field, then the counter. Authenticated, not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The first 20 bytes.
    pub envelope: Envelope,
    /// The number that the nonce is made of; used once under a key.
    pub counter: u64,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Capsule,
        Self::Control,
        Self::Handshake1,
        Self::Handshake2,
        Self::Cookie,
        Self::Bind,
        Self::BindAck,
        Self::Signalling,
        Self::UnknownSession,
        Self::Punch,
    ];

    /// What this datagram says it is.
    ///
    /// # Errors
    /// Empty, of another protocol or version, or of an unknown kind.
    pub fn of(datagram: &[u8]) -> Result<Self, WireError> {
        let first = *datagram.first().ok_or(WireError::Truncated)?;
        if first >> 4 != 0b1000 | VERSION {
            return Err(WireError::Version);
        }
        let number = first & 0xf;
        Self::ALL.into_iter().find(|kind| *kind as u8 == number).ok_or(WireError::Kind(number))
    }

    /// Whether relays hand it on, between the two bound ends of a pair.
    pub fn is_handed_on(self) -> bool {
        match self {
            Self::Capsule
            | Self::Control
            | Self::Handshake1
            | Self::Handshake2
            | Self::UnknownSession => true,
            Self::Cookie | Self::Bind | Self::BindAck | Self::Signalling | Self::Punch => false,
        }
    }
}

impl Envelope {
    /// Length in bytes.
    pub const LEN: usize = 20;

    /// An envelope with nothing but a kind, a side and an id.
    pub fn new(kind: Kind, side: Side, id: [u8; 16]) -> Self {
        Self { kind, lower: side == Side::Lower, slot: 0, short: 0, id }
    }

    /// Which side of the path the sender says it is on.
    pub fn side(&self) -> Side {
        if self.lower { Side::Lower } else { Side::Higher }
    }

    /// The bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = 0b1000_0000 | VERSION << 4 | self.kind as u8;
        bytes[1] = u8::from(self.lower) << 4 | self.slot & 0xf;
        bytes[2..4].copy_from_slice(&self.short.to_be_bytes());
        bytes[4..].copy_from_slice(&self.id);
        bytes
    }

    /// The envelope of `datagram`.
    ///
    /// # Errors
    /// Shorter than 20 bytes, of another protocol, or of an unknown kind.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(datagram);
        let kind = Kind::of(datagram)?;
        let _first = reader.u8()?;
        let flags_and_slot = reader.u8()?;
        Ok(Self {
            kind,
            lower: flags_and_slot & 0x10 != 0,
            slot: flags_and_slot & 0xf,
            short: reader.u16()?,
            id: reader.array()?,
        })
    }
}

impl Header {
    /// A header for what this sender seals next.
    pub fn new(envelope: Envelope, epoch: Epoch, counter: u64) -> Self {
        Self { envelope: Envelope { short: epoch.low(), ..envelope }, counter }
    }

    /// The low half of the sender's epoch.
    pub fn epoch_low(&self) -> u16 {
        self.envelope.short
    }

    /// The bytes.
    pub fn emit(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..Envelope::LEN].copy_from_slice(&self.envelope.emit());
        bytes[Envelope::LEN..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    /// Writes the bytes to the end of `out`.
    pub fn emit_to(&self, out: &mut Vec<u8>) {
        out.put(&self.emit());
    }

    /// The header of `datagram`.
    ///
    /// # Errors
    /// As for the envelope, or shorter than 28 bytes.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let envelope = Envelope::parse(datagram)?;
        let counter = Reader::new(&datagram[Envelope::LEN..]).u64()?;
        Ok(Self { envelope, counter })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    #[test]
    fn byte_zero_keeps_clear_of_other_protocols() {
        for kind in Kind::ALL {
            let first = Envelope::new(kind, Side::Lower, [0; 16]).emit()[0];
            assert!((128..192).contains(&first), "{kind:?}");
            assert_eq!(Kind::of(&[first]), Ok(kind));
        }
    }

    #[test]
    fn another_version_is_not_ours() {
        let mut bytes = Envelope::new(Kind::Capsule, Side::Lower, [0; 16]).emit();
        bytes[0] ^= 0x10;
        assert_eq!(Envelope::parse(&bytes), Err(WireError::Version));
    }

    proptest! {
        #[test]
        fn there_and_back(header in arbitrary::header()) {
            prop_assert_eq!(Header::parse(&header.emit()), Ok(header));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn anything_shorter_is_truncated(header in arbitrary::header(), len in 0..HEADER) {
            prop_assert_eq!(Header::parse(&header.emit()[..len]), Err(WireError::Truncated));
        }
    }
}
