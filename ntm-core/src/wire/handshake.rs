use super::codec::{Put as _, Reader};
use super::{Envelope, Kind, LARGEST, WireError};
use crate::id::Side;

/// Proves that an address receives: 16 bytes a responder under load asks for.
pub type CookieValue = [u8; 16];

/// The cookie of a first attempt.
pub const NO_COOKIE: CookieValue = [0; 16];

/// Which role of the receiving node a handshake message is for: several may
/// share a key and a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RoleTag {
    /// An NTM terminal.
    Terminal = 1,
    /// A Direction Coordinator.
    Coordinator = 2,
    /// A Relay Server.
    Relay = 3,
}

/// The first message of a handshake.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope; byte 2: [`RoleTag`] of the receiver, byte 3: 0; id: Path ID, or towards a coordinator a random handshake id |
/// | 20 | 16 | cookie, or zeros |
/// | 36 | ≥ 96 | Noise IK message 1 (ephemeral key 32, sealed static key 48, sealed [`super::TunnelHello`] or [`super::NodeHello`], tag 16) |
///
/// Paper: Tunnel Request (between terminals).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handshake1 {
    /// The role it is for.
    pub role: RoleTag,
    /// Path ID or handshake id.
    pub id: [u8; 16],
    /// The sender's side of the path.
    pub side: Side,
    /// What the responder asked for, or [`NO_COOKIE`].
    pub cookie: CookieValue,
    /// Noise message 1.
    pub noise: Vec<u8>,
}

/// The second message of a handshake.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope; byte 2: [`RoleTag`] of the receiver, byte 3: 0; id: as in message 1 |
/// | 20 | ≥ 48 | Noise IK message 2 (ephemeral key 32, sealed [`super::TunnelAnswer`] or [`super::CoordinatorAnswer`], tag 16) |
///
/// Paper: Tunnel Response (between terminals).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handshake2 {
    /// The role it is for.
    pub role: RoleTag,
    /// As in message 1.
    pub id: [u8; 16],
    /// The sender's side of the path.
    pub side: Side,
    /// Noise message 2.
    pub noise: Vec<u8>,
}

/// "I am busy: repeat message 1 with this cookie."
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 20 | envelope; byte 2: [`RoleTag`] of the receiver, byte 3: 0; id: as in message 1 |
/// | 20 | 16 | cookie |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cookie {
    /// The role it is for.
    pub role: RoleTag,
    /// As in message 1.
    pub id: [u8; 16],
    /// The cookie.
    pub cookie: CookieValue,
}

impl RoleTag {
    fn parse(short: u16) -> Result<Self, WireError> {
        let [number, _] = short.to_be_bytes();
        [Self::Terminal, Self::Coordinator, Self::Relay]
            .into_iter()
            .find(|role| *role as u8 == number)
            .ok_or(WireError::Value("role"))
    }

    fn short(self) -> u16 {
        u16::from_be_bytes([self as u8, 0])
    }
}

fn open(datagram: &[u8], kind: Kind) -> Result<(Envelope, RoleTag, Reader<'_>), WireError> {
    let envelope = Envelope::parse(datagram)?;
    if envelope.kind != kind {
        return Err(WireError::Kind(envelope.kind as u8));
    }
    let role = RoleTag::parse(envelope.short)?;
    Ok((envelope, role, Reader::new(&datagram[Envelope::LEN..])))
}

fn envelope(kind: Kind, role: RoleTag, side: Side, id: [u8; 16]) -> [u8; Envelope::LEN] {
    Envelope { short: role.short(), ..Envelope::new(kind, side, id) }.emit()
}

impl Handshake1 {
    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = envelope(Kind::Handshake1, self.role, self.side, self.id).to_vec();
        out.put(&self.cookie);
        out.put(&self.noise);
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// Another kind, an unknown role, shorter than the least Noise message, or
    /// longer than any datagram of ours: it may be kept until it is confirmed.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let (envelope, role, mut reader) = open(datagram, Kind::Handshake1)?;
        let cookie = reader.array()?;
        let noise = reader.rest();
        if noise.len() < 96 {
            return Err(WireError::Truncated);
        }
        if datagram.len() > LARGEST {
            return Err(WireError::Value("length of a first message"));
        }
        let (side, id) = (envelope.side(), envelope.id);
        Ok(Self { role, id, side, cookie, noise: noise.to_vec() })
    }
}

impl Handshake2 {
    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = envelope(Kind::Handshake2, self.role, self.side, self.id).to_vec();
        out.put(&self.noise);
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// Another kind, an unknown role, or shorter than the least Noise message.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let (envelope, role, reader) = open(datagram, Kind::Handshake2)?;
        let noise = reader.rest();
        if noise.len() < 48 {
            return Err(WireError::Truncated);
        }
        Ok(Self { role, id: envelope.id, side: envelope.side(), noise: noise.to_vec() })
    }
}

impl Cookie {
    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = envelope(Kind::Cookie, self.role, Side::Higher, self.id).to_vec();
        out.put(&self.cookie);
        out
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// Another kind, an unknown role, or too short.
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let (envelope, role, mut reader) = open(datagram, Kind::Cookie)?;
        Ok(Self { role, id: envelope.id, cookie: reader.array()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    proptest! {
        #[test]
        fn there_and_back(
            first in arbitrary::handshake1(),
            second in arbitrary::handshake2(),
            cookie in arbitrary::cookie(),
        ) {
            prop_assert_eq!(Handshake1::parse(&first.emit()), Ok(first));
            prop_assert_eq!(Handshake2::parse(&second.emit()), Ok(second));
            prop_assert_eq!(Cookie::parse(&cookie.emit()), Ok(cookie));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = (Handshake1::parse(&bytes), Handshake2::parse(&bytes), Cookie::parse(&bytes));
        }
    }

    #[test]
    fn a_first_message_is_not_longer_than_a_datagram_of_ours() {
        let message = |noise| {
            let (role, side, noise) = (RoleTag::Terminal, Side::Lower, vec![1; noise]);
            Handshake1 { role, id: [0; 16], side, cookie: NO_COOKIE, noise }.emit()
        };
        let most = LARGEST - Envelope::LEN - 16;
        for (noise, is_read) in [(95, false), (96, true), (most, true), (most + 1, false)] {
            assert_eq!(Handshake1::parse(&message(noise)).is_ok(), is_read, "{noise} bytes");
        }
    }

    #[test]
    fn a_cookie_is_smaller_than_any_message_it_answers() {
        let cookie = Cookie { role: RoleTag::Terminal, id: [0; 16], cookie: [1; 16] };
        assert!(cookie.emit().len() < Envelope::LEN + 16 + 96);
    }
}
