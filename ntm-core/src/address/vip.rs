use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The virtual addresses of one node: one of each family that its domain hands
/// out. They never change while the node is a member.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Vips {
    /// The IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

impl Vips {
    /// Both addresses, IPv6 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.v6.map(IpAddr::V6).into_iter().chain(self.v4.map(IpAddr::V4))
    }

    /// Whether `ip` is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4 == Some(ip),
            IpAddr::V6(ip) => self.v6 == Some(ip),
        }
    }

    /// Whether there is none of either family.
    pub fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }
}

impl fmt::Display for Vips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.v4, self.v6) {
            (Some(v4), Some(v6)) => write!(f, "{v4}, {v6}"),
            (Some(v4), None) => v4.fmt(f),
            (None, Some(v6)) => v6.fmt(f),
            (None, None) => f.write_str("none"),
        }
    }
}

/// An address range such as `198.18.0.0/16`; the host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    base: IpAddr,
    length: u8,
}

/// A text is not an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address range such as `198.18.0.0/16` or `fd12:3456:789a::/48`")]
pub struct BadPrefix(String);

impl Prefix {
    /// The range of `length` leading bits that `ip` lies in; `None` if `length`
    /// is more than the family has.
    pub fn new(ip: IpAddr, length: u8) -> Option<Self> {
        let base = match ip {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { base, length })
    }

    /// The lowest address.
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// How many leading bits are fixed.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether `ip` lies inside.
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::new(ip, self.length).is_some_and(|prefix| prefix.base == self.base)
    }

    /// Whether the two ranges share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        text.split_once('/')
            .and_then(|(ip, length)| Some((ip.parse::<IpAddr>().ok()?, length.parse().ok()?)))
            .and_then(|(ip, length)| Self::new(ip, length).filter(|prefix| prefix.base == ip))
            .ok_or_else(|| BadPrefix(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Prefix {
    type Error = BadPrefix;

    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let vips = prefix("198.18.0.0/16");
        assert!(vips.contains([198, 18, 255, 255].into()));
        assert!(!vips.contains([198, 19, 0, 0].into()));
        assert!(!vips.contains("::c612:1".parse().unwrap()));
        assert!(prefix("0.0.0.0/0").contains([9, 9, 9, 9].into()));
        assert!(prefix("fd00::/8").contains("fdff::1".parse().unwrap()));
    }

    #[test]
    fn overlap_is_symmetric() {
        let (wide, narrow) = (prefix("10.0.0.0/8"), prefix("10.9.0.0/24"));
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert!(!narrow.overlaps(&prefix("10.8.0.0/24")));
        assert!(!wide.overlaps(&prefix("fd00::/8")));
    }

    #[test]
    fn host_bits_and_nonsense_are_refused() {
        for text in ["198.18.0.1/16", "198.18.0.0/33", "::/129", "198.18.0.0", "x/8", "1.2.3.4/-1"]
        {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
