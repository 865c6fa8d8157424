use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ntm_core::address::Prefix;
use ntm_core::plugin::{Fault, PluginError};

/// A prefix whose hosts are numbered from 1 on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    prefix: Prefix,
    /// The highest host number: one below all ones.
    last: u128,
}

/// Ranges whose addresses no host may have, and what they are.
const SPECIAL: [(&str, &str); 7] = [
    ("0.0.0.0/8", "of \"this network\""),
    ("127.0.0.0/8", "of the loopback interface"),
    ("169.254.0.0/16", "of a single link"),
    ("224.0.0.0/3", "multicast or reserved"),
    ("::/8", "reserved"),
    ("fe80::/10", "of a single link"),
    ("ff00::/8", "multicast"),
];

impl Range {
    pub(crate) fn v4(prefix: Prefix) -> Result<Self, PluginError> {
        Self::new(prefix, prefix.base().is_ipv4(), 32, "ipv4", "198.18.0.0/16")
    }

    pub(crate) fn v6(prefix: Prefix) -> Result<Self, PluginError> {
        Self::new(prefix, prefix.base().is_ipv6(), 128, "ipv6", "fd12:3456:789a::/48")
    }

    fn new(
        prefix: Prefix,
        family: bool,
        bits: u8,
        key: &str,
        example: &str,
    ) -> Result<Self, PluginError> {
        let error = |message| {
            let remedy = format!("use one such as {example}");
            Err(PluginError::new(Fault::Config, message, remedy).at(key))
        };
        if !family {
            return error(format!("{prefix} is not a range of this family"));
        }
        let host_bits = bits - prefix.length();
        if host_bits < 2 {
            return error(format!("{prefix} has no room for a host"));
        }
        for (special, what) in SPECIAL {
            if special.parse().is_ok_and(|special: Prefix| special.overlaps(&prefix)) {
                return error(format!("{prefix} has addresses that are {what}"));
            }
        }
        let all_ones = u128::MAX.checked_shr(128 - u32::from(host_bits)).unwrap_or(0);
        Ok(Self { prefix, last: all_ones - 1 })
    }

    pub(crate) fn prefix(&self) -> Prefix {
        self.prefix
    }

    pub(crate) fn last(&self) -> u128 {
        self.last
    }

    /// The number of the host with this address.
    pub(crate) fn number(&self, ip: IpAddr) -> Option<u128> {
        let number = match (ip, self.prefix.base()) {
            (IpAddr::V4(ip), IpAddr::V4(base)) => {
                u128::from(u32::from(ip).checked_sub(base.into())?)
            }
            (IpAddr::V6(ip), IpAddr::V6(base)) => u128::from(ip).checked_sub(base.into())?,
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        (1..=self.last).contains(&number).then_some(number)
    }

    /// The IPv4 address of the host with this number.
    pub(crate) fn v4_address(&self, number: u128) -> Option<Ipv4Addr> {
        match self.prefix.base() {
            IpAddr::V4(base) => {
                let number = u32::try_from(number).ok()?;
                Some(u32::from(base).checked_add(number)?.into())
            }
            IpAddr::V6(_) => None,
        }
    }

    /// The IPv6 address of the host with this number.
    pub(crate) fn v6_address(&self, number: u128) -> Option<Ipv6Addr> {
        match self.prefix.base() {
            IpAddr::V6(base) => Some(u128::from(base).checked_add(number)?.into()),
            IpAddr::V4(_) => None,
        }
    }
}
