use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::address::Vips;

/// The secret of a domain that its Path IDs are derived with: 32 bytes, drawn
/// once by the coordinator and kept in its registry.
pub type Salt = [u8; 32];

/// Names the communication of a pair of virtual addresses (paper, section 3):
/// 128 bits, the same for both ends whoever asks first, unchanged by a move,
/// the only key of the tunnel table. A look-up key, never a proof of identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathId([u8; 16]);

/// Which end of a path: the one with the lower virtual address, or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The end whose virtual address is the lower number.
    Lower,
    /// The end whose virtual address is the higher number.
    Higher,
}

impl Side {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Lower => Self::Higher,
            Self::Higher => Self::Lower,
        }
    }
}

impl PathId {
    /// The Path ID of the pair, and the side that `own` is on.
    ///
    /// The pair's IPv6 addresses are taken where both have one, else the IPv4
    /// ones; `None` where they share no family or are the same node.
    pub fn derive(salt: &Salt, own: &Vips, peer: &Vips) -> Option<(Self, Side)> {
        let (own, peer): (IpAddr, IpAddr) = match (own.v6, peer.v6, own.v4, peer.v4) {
            (Some(own), Some(peer), _, _) => (own.into(), peer.into()),
            (_, _, Some(own), Some(peer)) => (own.into(), peer.into()),
            (_, _, _, _) => return None,
        };
        let (lower, higher, side) = match own.cmp(&peer) {
            std::cmp::Ordering::Less => (own, peer, Side::Lower),
            std::cmp::Ordering::Greater => (peer, own, Side::Higher),
            std::cmp::Ordering::Equal => return None,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
        context.update(b"ntm path v1");
        context.update(&[if own.is_ipv6() { 6 } else { 4 }]);
        for ip in [lower, higher] {
            match ip {
                IpAddr::V4(v4) => context.update(&v4.octets()),
                IpAddr::V6(v6) => context.update(&v6.octets()),
            }
        }
        let tag = context.sign();
        let mut id = [0; 16];
        id.copy_from_slice(&tag.as_ref()[..16]);
        Some((Self(id), side))
    }

    /// The Path ID with these bytes, as read from a datagram.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes as they go on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathId({self})")
    }
}

/// A text is not a Path ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Path ID is 32 hexadecimal digits")]
pub struct BadPathId;

impl FromStr for PathId {
    type Err = BadPathId;

    fn from_str(text: &str) -> Result<Self, BadPathId> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadPathId);
        }
        u128::from_str_radix(text, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| BadPathId)
    }
}

impl TryFrom<String> for PathId {
    type Error = BadPathId;

    fn try_from(text: String) -> Result<Self, BadPathId> {
        text.parse()
    }
}

impl From<PathId> for String {
    fn from(id: PathId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(last: u8) -> Vips {
        Vips { v4: Some([198, 18, 0, last].into()), v6: None }
    }

    #[test]
    fn both_ends_compute_the_same_value_on_opposite_sides() {
        let (a, side_a) = PathId::derive(&[1; 32], &v4(1), &v4(2)).unwrap();
        let (b, side_b) = PathId::derive(&[1; 32], &v4(2), &v4(1)).unwrap();
        assert_eq!(a, b);
        assert_eq!((side_a, side_b), (Side::Lower, Side::Higher));
        assert_eq!(a.to_string().parse(), Ok(a));
    }

    #[test]
    fn another_domain_another_path() {
        let one = PathId::derive(&[1; 32], &v4(1), &v4(2));
        assert_ne!(one, PathId::derive(&[2; 32], &v4(1), &v4(2)));
        assert_ne!(one, PathId::derive(&[1; 32], &v4(1), &v4(3)));
    }

    #[test]
    fn ipv6_is_taken_where_both_have_it() {
        let dual = |last: u8| Vips {
            v4: Some([198, 18, 0, last].into()),
            v6: Some(std::net::Ipv6Addr::from(0xfd00 << 112 | u128::from(last))),
        };
        let only6 = |last| Vips { v4: None, ..dual(last) };
        let salt = [3; 32];
        assert_eq!(
            PathId::derive(&salt, &dual(1), &dual(2)),
            PathId::derive(&salt, &only6(1), &only6(2))
        );
        assert_eq!(
            PathId::derive(&salt, &dual(1), &v4(2)),
            PathId::derive(&salt, &v4(1), &dual(2))
        );
        assert_eq!(PathId::derive(&salt, &only6(1), &v4(2)), None);
        assert_eq!(PathId::derive(&salt, &v4(1), &v4(1)), None);
    }

    proptest! {
        #[test]
        fn symmetric_for_any_pair(a: [u8; 4], b: [u8; 4], salt: [u8; 32]) {
            let a = Vips { v4: Some(a.into()), v6: None };
            let b = Vips { v4: Some(b.into()), v6: None };
            let ab = PathId::derive(&salt, &a, &b).map(|(id, side)| (id, side.other()));
            prop_assert_eq!(ab, PathId::derive(&salt, &b, &a));
        }
    }
}
