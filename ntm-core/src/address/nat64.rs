use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Candidate, Scope};

/// How a network of IPv6 alone reaches IPv4: every IPv4 address has an IPv6 one there,
/// made of this prefix (RFC 6052), behind which a translator keeps state (RFC 6146).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nat64 {
    prefix: [u8; 16],
    length: u8,
}

/// The lengths that a prefix may have (RFC 6052, section 2.2), the commonest first.
const LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];

/// What `ipv4only.arpa` stands for (RFC 7050, section 2.2).
const KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];

/// This byte stays zero where an IPv4 address lies around it.
const ZERO: usize = 8;

impl Nat64 {
    /// What the IPv6 addresses of `ipv4only.arpa` show of the prefix (RFC 7050,
    /// section 3); `None` where they show none.
    pub fn shown_by(addresses: &[Ipv6Addr]) -> Option<Self> {
        LENGTHS.into_iter().find_map(|length| {
            addresses.iter().find_map(|address| {
                let prefix = Self::of(*address, length);
                KNOWN.iter().any(|known| prefix.embed(*known) == *address).then_some(prefix)
            })
        })
    }

    fn of(address: Ipv6Addr, length: u8) -> Self {
        let mut prefix = address.octets();
        prefix[usize::from(length) / 8..].fill(0);
        Self { prefix, length }
    }

    /// The IPv6 address of this IPv4 one.
    pub fn embed(&self, ipv4: Ipv4Addr) -> Ipv6Addr {
        let mut address = self.prefix;
        let places = (usize::from(self.length) / 8..16).filter(|at| *at != ZERO);
        for (at, octet) in places.zip(ipv4.octets()) {
            address[at] = octet;
        }
        address.into()
    }

    /// Where a candidate of IPv4 is reached; `None` for any other, and for addresses
    /// that mean something in a private network alone.
    pub fn translate(&self, candidate: &Candidate) -> Option<Candidate> {
        let IpAddr::V4(ipv4) = candidate.addr.ip() else { return None };
        let mut translated = *candidate;
        translated.addr.set_ip(self.embed(ipv4).into());
        (Scope::of(ipv4.into()) == Scope::Global).then_some(translated)
    }
}

impl fmt::Display for Nat64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from(self.prefix), self.length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    /// RFC 6052, section 2.4.
    #[test]
    fn addresses_are_those_of_the_standard() {
        let all = [
            ("2001:db8::", 32, "2001:db8:c000:221::"),
            ("2001:db8:100::", 40, "2001:db8:1c0:2:21::"),
            ("2001:db8:122::", 48, "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::", 56, "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::", 64, "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::", 96, "2001:db8:122:344::192.0.2.33"),
        ];
        for (prefix, length, expected) in all {
            let nat64 = Nat64::of(address(prefix), length);
            assert_eq!(nat64.embed([192, 0, 2, 33].into()), address(expected));
        }
    }

    #[test]
    fn the_prefix_is_read_off_the_known_name() {
        let shown = Nat64::shown_by(&[address("64:ff9b::192.0.0.171")]).unwrap();
        assert_eq!(shown.embed([203, 0, 113, 1].into()), address("64:ff9b::203.0.113.1"));
        assert_eq!(shown.to_string(), "64:ff9b::/96");
        assert_eq!(Nat64::shown_by(&[address("2001:db8::1"), address("64:ff9b::1.2.3.4")]), None);
        assert_eq!(Nat64::shown_by(&[]), None);
    }

    #[test]
    fn only_addresses_that_mean_the_same_everywhere_are_translated() {
        let nat64 = Nat64::of(address("64:ff9b::"), 96);
        let translated = |text: &str| nat64.translate(&Candidate::udp(text.parse().unwrap()));
        let open = Candidate::udp("[64:ff9b::203.0.113.1]:4330".parse().unwrap());
        assert_eq!(translated("203.0.113.1:4330"), Some(open));
        for text in ["10.0.0.1:1", "127.0.0.1:1", "224.0.0.1:1", "[2001:db8::1]:1"] {
            assert_eq!(translated(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_prefix_is_found_again(bytes: [u8; 16], at in 0..6_usize, which in 0..2_usize) {
            let mut nat64 = Nat64::of(bytes.into(), LENGTHS[at]);
            nat64.prefix[ZERO] = 0;
            // The known addresses in a prefix make it look like another.
            let shown = Nat64::shown_by(&[nat64.embed(KNOWN[which])]).unwrap();
            let ipv4 = [198, 51, 100, 7].into();
            prop_assume!(!bytes.windows(3).any(|three| three == [192, 0, 0]));
            prop_assert_eq!(shown.embed(ipv4), nat64.embed(ipv4));
        }
    }
}
