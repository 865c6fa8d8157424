use super::codec::{Put as _, Reader};
use super::control::Token;
use super::{Envelope, Kind, TICKET, Ticket, WireError};
use crate::crypto::{Secret, mac16, same};
use crate::id::{Epoch, PathId, Side};

/// An end makes itself known to a relay, or says that it has moved.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope; id: Path ID |
/// | 20 | 128 | [`Ticket`] |
/// | 148 | 8 | the sender's epoch |
/// | 156 | 8 | nonce: tells this question from others |
/// | 164 | 8 | the relay's challenge, returned; or zeros |
/// | 172 | 16 | HMAC-SHA-256 under the end's key of "ntm bind v1" and all other bytes, first 16 bytes |
/// | 188 | … | perhaps a datagram for the other end, forwarded at once |
///
/// Takes the place of the paper's exchange with the relay on a move: no round
/// trip to the coordinator is needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bind {
    /// The path to be relayed.
    pub path: PathId,
    /// The sender's side of it.
    pub side: Side,
    /// The right to be there.
    pub ticket: Ticket,
    /// The sender's epoch.
    pub epoch: Epoch,
    /// Tells this question from others; echoed by the answer.
    pub nonce: Token,
    /// The challenge of the last [`BindAck`], if it is being returned.
    pub token: Option<Token>,
    /// A datagram for the other end; empty if none.
    pub carried: Vec<u8>,
}

/// Whether an end is bound now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BindStatus {
    /// Bound, and the address is proved.
    Bound = 0,
    /// Bound for now; the challenge asks for proof of the address.
    Challenge = 1,
    /// The ticket is too old to begin with.
    Expired = 2,
    /// The ticket's bytes are used up.
    Quota = 3,
    /// The relay is full.
    Busy = 4,
    /// A newer epoch of this end is bound.
    Stale = 5,
    /// The relay does not forward to such an address.
    Address = 6,
}

/// The relay's answer to a genuine [`Bind`].
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope; id: Path ID; flag: the receiver's side |
/// | 20 | 1 | [`BindStatus`] |
/// | 21 | 8 | the epoch of the Bind |
/// | 29 | 8 | the nonce of the Bind |
/// | 37 | 8 | challenge, or zeros |
/// | 45 | 16 | HMAC-SHA-256 under the end's key of "ntm bound v1" and the above, first 16 bytes |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BindAck {
    /// The relayed path.
    pub path: PathId,
    /// The side of the end that it answers.
    pub side: Side,
    /// The answer.
    pub status: BindStatus,
    /// The epoch of the Bind that it answers.
    pub epoch: Epoch,
    /// The nonce of the Bind that it answers.
    pub nonce: Token,
    /// To be returned in the next Bind.
    pub challenge: Option<Token>,
}

const BIND_MAC: usize = Envelope::LEN + TICKET + 24;
const BIND_CARRIED: usize = BIND_MAC + 16;
const ACK_MAC: usize = Envelope::LEN + 25;

impl Bind {
    /// Bytes in front of the carried datagram.
    pub const OVERHEAD: usize = BIND_CARRIED;

    /// The bytes, authenticated by the end's key.
    pub fn emit(&self, key: &Secret) -> Vec<u8> {
        let mut out = Envelope::new(Kind::Bind, self.side, *self.path.as_bytes()).emit().to_vec();
        out.put(&self.ticket.emit());
        out.put(&self.epoch.0.to_be_bytes());
        out.put(&self.nonce);
        out.put(&self.token.unwrap_or_default());
        let mac = mac16(key, &[b"ntm bind v1", &out, &self.carried]);
        out.put(&mac);
        out.put(&self.carried);
        out
    }

    /// Reads the bytes; whether they are genuine is a second question.
    ///
    /// # Errors
    /// Another kind, or too short.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let envelope = Envelope::parse(datagram)?;
        if envelope.kind != Kind::Bind {
            return Err(WireError::Kind(envelope.kind as u8));
        }
        let mut reader = Reader::new(&datagram[Envelope::LEN..]);
        let ticket = Ticket::parse(reader.bytes(TICKET)?)?;
        let epoch = Epoch(reader.u64()?);
        let nonce = reader.array()?;
        let token: Token = reader.array()?;
        let _mac: [u8; 16] = reader.array()?;
        Ok(Self {
            path: PathId::from_bytes(envelope.id),
            side: envelope.side(),
            ticket,
            epoch,
            nonce,
            token: Some(token).filter(|token| *token != Token::default()),
            carried: reader.rest().to_vec(),
        })
    }

    /// Whether these bytes, which parse as a Bind, were made with this key.
    pub fn is_genuine(datagram: &[u8], key: &Secret) -> bool {
        let (Some(head), Some(mac), Some(carried)) = (
            datagram.get(..BIND_MAC),
            datagram.get(BIND_MAC..BIND_CARRIED),
            datagram.get(BIND_CARRIED..),
        ) else {
            return false;
        };
        same(mac, &mac16(key, &[b"ntm bind v1", head, carried]))
    }
}

impl BindStatus {
    fn parse(number: u8) -> Result<Self, WireError> {
        [
            Self::Bound,
            Self::Challenge,
            Self::Expired,
            Self::Quota,
            Self::Busy,
            Self::Stale,
            Self::Address,
        ]
        .into_iter()
        .find(|status| *status as u8 == number)
        .ok_or(WireError::Value("bind status"))
    }
}

impl BindAck {
    /// The bytes, authenticated by the end's key.
    pub fn emit(&self, key: &Secret) -> Vec<u8> {
        let id = *self.path.as_bytes();
        let mut out = Envelope::new(Kind::BindAck, self.side, id).emit().to_vec();
        out.put(&[self.status as u8]);
        out.put(&self.epoch.0.to_be_bytes());
        out.put(&self.nonce);
        out.put(&self.challenge.unwrap_or_default());
        let mac = mac16(key, &[b"ntm bound v1", &out]);
        out.put(&mac);
        out
    }

    /// Reads the bytes; whether they are genuine is a second question.
    ///
    /// # Errors
    /// Another kind, too short, or an unknown status.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let envelope = Envelope::parse(datagram)?;
        if envelope.kind != Kind::BindAck {
            return Err(WireError::Kind(envelope.kind as u8));
        }
        let mut reader = Reader::new(&datagram[Envelope::LEN..]);
        let status = BindStatus::parse(reader.u8()?)?;
        let epoch = Epoch(reader.u64()?);
        let nonce = reader.array()?;
        let challenge: Token = reader.array()?;
        let _mac: [u8; 16] = reader.array()?;
        Ok(Self {
            path: PathId::from_bytes(envelope.id),
            side: envelope.side(),
            status,
            epoch,
            nonce,
            challenge: Some(challenge).filter(|token| *token != Token::default()),
        })
    }

    /// Whether these bytes, which parse as a BindAck, were made with this key.
    pub fn is_genuine(datagram: &[u8], key: &Secret) -> bool {
        let (Some(head), Some(mac)) =
            (datagram.get(..ACK_MAC), datagram.get(ACK_MAC..ACK_MAC + 16))
        else {
            return false;
        };
        same(mac, &mac16(key, &[b"ntm bound v1", head]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    const KEY: Secret = Secret::new([6; 32]);

    proptest! {
        #[test]
        fn there_and_back(bind in arbitrary::bind(), ack in arbitrary::bind_ack()) {
            let bytes = bind.emit(&KEY);
            prop_assert_eq!(Bind::parse(&bytes), Ok(bind));
            prop_assert!(Bind::is_genuine(&bytes, &KEY));
            let bytes = ack.emit(&KEY);
            prop_assert_eq!(BindAck::parse(&bytes), Ok(ack));
            prop_assert!(BindAck::is_genuine(&bytes, &KEY));
        }

        #[test]
        fn every_bit_is_authenticated(
            bind in arbitrary::bind(),
            ack in arbitrary::bind_ack(),
            at: prop::sample::Index,
            bit in 0..8,
        ) {
            let mut bytes = bind.emit(&KEY);
            prop_assert!(!Bind::is_genuine(&bytes, &Secret::new([7; 32])));
            let place = at.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(!Bind::is_genuine(&bytes, &KEY));
            let mut bytes = ack.emit(&KEY);
            prop_assert!(!BindAck::is_genuine(&bytes, &Secret::new([7; 32])));
            let place = at.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            prop_assert!(!BindAck::is_genuine(&bytes, &KEY));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = (Bind::parse(&bytes), BindAck::parse(&bytes));
            let _ = (Bind::is_genuine(&bytes, &KEY), BindAck::is_genuine(&bytes, &KEY));
        }

        #[test]
        fn the_answer_is_smaller_than_the_question(
            bind in arbitrary::bind(),
            ack in arbitrary::bind_ack(),
        ) {
            prop_assert!(ack.emit(&KEY).len() < bind.emit(&KEY).len());
        }
    }
}
