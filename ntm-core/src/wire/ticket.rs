use std::fmt;

use super::WireError;
use super::codec::{Put as _, Reader};
use crate::crypto::{Secret, derive_key, mac16, same};
use crate::id::{KeyHash, PathId, PublicKey, Side};

/// Length of a [`Ticket`] in bytes.
pub const TICKET: usize = 128;

/// Names a relay to those who hold a ticket for it: the first 16 bytes of the
/// hash of its public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub [u8; 16]);

/// A coordinator's word to one relay that two ends may meet there.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 16 | relay id |
/// | 16 | 8 | serial, drawn by the coordinator, never twice |
/// | 24 | 8 | not after: second of the coordinator's calendar |
/// | 32 | 8 | rate: bytes per second, 0 for no limit |
/// | 40 | 8 | quota: bytes in all, 0 for no limit |
/// | 48 | 32 | hash of the public key of the end with the lower virtual address |
/// | 80 | 32 | hash of the public key of the other end |
/// | 112 | 16 | HMAC-SHA-256 under the relay's ticket key of "ntm ticket v1", the Path ID and the above, first 16 bytes |
///
/// The ticket admits nobody by itself: each end also holds a key that follows
/// from ticket key, serial and its hash, and proves it with every Bind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The relay it is for.
    pub relay: RelayId,
    /// Tells one ticket from another.
    pub serial: u64,
    /// The second of the coordinator's calendar after which it begins nothing new.
    pub not_after: u64,
    /// Bytes per second; 0: no limit.
    pub rate: u64,
    /// Bytes in all; 0: no limit.
    pub quota: u64,
    /// The end with the lower virtual address.
    pub lower: KeyHash,
    /// The other end.
    pub higher: KeyHash,
    /// The coordinator's seal.
    pub mac: [u8; 16],
}

impl RelayId {
    /// The id of the relay with this key.
    pub fn of(key: &PublicKey) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&key.hash()[..16]);
        Self(id)
    }
}

impl fmt::Debug for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayId({self})")
    }
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl Ticket {
    fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TICKET);
        out.put(&self.relay.0);
        for number in [self.serial, self.not_after, self.rate, self.quota] {
            out.put(&number.to_be_bytes());
        }
        out.put(&self.lower);
        out.put(&self.higher);
        out
    }

    fn expected_mac(&self, path: &PathId, key: &Secret) -> [u8; 16] {
        mac16(key, &[b"ntm ticket v1", path.as_bytes(), &self.body()])
    }

    /// Seals the ticket for `path` with the key shared with the relay.
    #[must_use]
    pub fn sealed(self, path: &PathId, key: &Secret) -> Self {
        let mac = self.expected_mac(path, key);
        Self { mac, ..self }
    }

    /// Whether it was sealed for `path` with this key.
    pub fn is_genuine(&self, path: &PathId, key: &Secret) -> bool {
        same(&self.mac, &self.expected_mac(path, key))
    }

    /// The key by which the end on this side proves itself to the relay.
    pub fn end_key(&self, key: &Secret, side: Side) -> Secret {
        let hash = match side {
            Side::Lower => &self.lower,
            Side::Higher => &self.higher,
        };
        derive_key(key.expose(), &[b"ntm bind v1", &self.serial.to_be_bytes(), hash])
    }

    /// The bytes.
    pub fn emit(&self) -> [u8; TICKET] {
        let mut bytes = [0; TICKET];
        bytes[..TICKET - 16].copy_from_slice(&self.body());
        bytes[TICKET - 16..].copy_from_slice(&self.mac);
        bytes
    }

    /// Reads the bytes; what follows them is ignored.
    ///
    /// # Errors
    /// Too short.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            relay: RelayId(reader.array()?),
            serial: reader.u64()?,
            not_after: reader.u64()?,
            rate: reader.u64()?,
            quota: reader.u64()?,
            lower: reader.array()?,
            higher: reader.array()?,
            mac: reader.array()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    proptest! {
        #[test]
        fn there_and_back(ticket in arbitrary::ticket()) {
            prop_assert_eq!(Ticket::parse(&ticket.emit()), Ok(ticket));
        }

        #[test]
        fn every_bit_is_sealed(ticket in arbitrary::ticket(), at in 0..TICKET, bit in 0..8) {
            let (path, key) = (PathId::from_bytes([4; 16]), Secret::new([8; 32]));
            let sealed = ticket.sealed(&path, &key);
            prop_assert!(sealed.is_genuine(&path, &key));
            prop_assert!(!sealed.is_genuine(&PathId::from_bytes([5; 16]), &key));
            prop_assert!(!sealed.is_genuine(&path, &Secret::new([9; 32])));
            let mut bytes = sealed.emit();
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(!Ticket::parse(&bytes).unwrap().is_genuine(&path, &key));
        }
    }

    #[test]
    fn each_end_and_each_ticket_has_its_own_key() {
        let key = Secret::new([8; 32]);
        let ticket = |serial| Ticket {
            relay: RelayId([1; 16]),
            serial,
            not_after: 0,
            rate: 0,
            quota: 0,
            lower: [1; 32],
            higher: [2; 32],
            mac: [0; 16],
        };
        let lower = ticket(1).end_key(&key, Side::Lower);
        assert_ne!(lower, ticket(1).end_key(&key, Side::Higher));
        assert_ne!(lower, ticket(2).end_key(&key, Side::Lower));
        assert_eq!(lower, ticket(1).end_key(&key, Side::Lower));
    }
}
