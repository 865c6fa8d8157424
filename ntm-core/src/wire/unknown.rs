use super::codec::{Put as _, Reader};
use super::{Envelope, HEADER, Header, Kind, WireError};
use crate::id::Side;

/// The seal of whatever is sealed.
const TAG: usize = 16;

/// "I know no session that this belongs to": the answer to a sealed datagram, and
/// shorter than it. Anybody can say so; the echo shows that it was received.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope: the datagram's id, and the other side than its sender's |
/// | 20 | 16 | the datagram's last 16 bytes: its seal |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownSession {
    /// Path ID or session id.
    pub id: [u8; 16],
    /// The side of who says so.
    pub side: Side,
    /// The seal of the datagram that it answers.
    pub seal: [u8; TAG],
}

impl UnknownSession {
    /// Length in bytes.
    pub const LEN: usize = Envelope::LEN + TAG;

    /// The answer to this datagram; `None` if it is none that is answered so.
    pub fn to(datagram: &[u8]) -> Option<Self> {
        let envelope = Header::parse(datagram).ok()?.envelope;
        let is_sealed = matches!(envelope.kind, Kind::Capsule | Kind::Control | Kind::Signalling);
        let seal = seal_of(datagram).filter(|_| is_sealed)?;
        Some(Self { id: envelope.id, side: envelope.side().other(), seal })
    }

    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.put(&Envelope::new(Kind::UnknownSession, self.side, self.id).emit());
        out.put(&self.seal);
        out
    }

    /// Reads the bytes; those beyond it are ignored.
    ///
    /// # Errors
    /// Too short, or of another kind.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let envelope = Envelope::parse(datagram)?;
        if envelope.kind != Kind::UnknownSession {
            return Err(WireError::Kind(envelope.kind as u8));
        }
        let seal = Reader::new(&datagram[Envelope::LEN..]).array()?;
        Ok(Self { id: envelope.id, side: envelope.side(), seal })
    }
}

/// The last 16 bytes of a sealed datagram, by which it is told from others.
pub(crate) fn seal_of(datagram: &[u8]) -> Option<[u8; TAG]> {
    datagram.get(HEADER..)?.last_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(id: [u8; 16], lower: bool, seal: [u8; TAG]) {
            let side = if lower { Side::Lower } else { Side::Higher };
            let notice = UnknownSession { id, side, seal };
            prop_assert_eq!(UnknownSession::parse(&notice.emit()), Ok(notice));
        }

        #[test]
        fn any_bytes_are_read_without_panic(mut bytes: Vec<u8>, kind in 0_u8..16) {
            let _ = UnknownSession::parse(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = 0x90 | kind;
            }
            let _ = UnknownSession::parse(&bytes);
            if let Some(notice) = UnknownSession::to(&bytes) {
                prop_assert!(notice.emit().len() < bytes.len(), "no amplification");
                prop_assert!([1, 2, 8].contains(&kind), "and no answer to an answer");
            }
        }
    }
}
