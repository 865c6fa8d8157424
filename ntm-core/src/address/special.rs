use std::net::{IpAddr, Ipv6Addr};

/// How far an address means the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Never a way to another node: unspecified, loopback, link-local,
    /// multicast, broadcast.
    Nowhere,
    /// Within one private network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// Everywhere.
    Global,
}

impl Scope {
    /// The scope of `ip`; an IPv4 address mapped into IPv6 counts as the former.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                if v4.is_unspecified()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_multicast()
                    || v4.is_broadcast()
                    || a == 0
                    || a >= 240
                {
                    Self::Nowhere
                } else if v4.is_private() || a == 100 && b & 0xc0 == 64 {
                    Self::Private
                } else {
                    Self::Global
                }
            }
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self::of(v4.into()),
                None => Self::of_v6(v6),
            },
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        if v6.is_unspecified()
            || v6.is_loopback()
            || v6.is_multicast()
            || v6.is_unicast_link_local()
        {
            Self::Nowhere
        } else if v6.is_unique_local() {
            Self::Private
        } else {
            Self::Global
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_address_has_its_scope() {
        let scope = |text: &str| Scope::of(text.parse().unwrap());
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "ff02::1",
            "fe80::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(scope(text), Scope::Nowhere, "{text}");
        }
        for text in ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"] {
            assert_eq!(scope(text), Scope::Private, "{text}");
        }
        for text in ["203.0.113.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"] {
            assert_eq!(scope(text), Scope::Global, "{text}");
        }
    }
}
