//! Socket addresses as the kernel has them (ip(7), ipv6(7)).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::libc::{AF_INET, AF_INET6};

/// IPv4: family, port, address, 8 zeros. IPv6: family, port, flow, address,
/// scope. Port, flow and addresses are in network order.
const V4: usize = 16;
const V6: usize = 28;

/// The address of one message.
#[repr(C, align(4))]
pub(super) struct Name {
    bytes: [u8; V6],
    len: usize,
}

impl Name {
    /// Not known yet.
    pub(super) const NONE: Self = Self { bytes: [0; V6], len: 0 };

    pub(super) fn of(addr: SocketAddr) -> Self {
        let mut name = Self::NONE;
        let family = match addr {
            SocketAddr::V4(v4) => {
                name.bytes[4..8].copy_from_slice(&v4.ip().octets());
                name.len = V4;
                AF_INET
            }
            SocketAddr::V6(v6) => {
                name.bytes[8..24].copy_from_slice(&v6.ip().octets());
                name.bytes[24..].copy_from_slice(&v6.scope_id().to_ne_bytes());
                name.len = V6;
                AF_INET6
            }
        };
        name.bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        name.bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
        name
    }

    /// Where the kernel finds or leaves it.
    pub(super) fn room(&mut self) -> &mut [u8; V6] {
        &mut self.bytes
    }

    /// Bytes in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What it says; IPv4-mapped addresses as IPv4.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, rest @ ..] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match i32::from(u16::from_ne_bytes([f0, f1])) {
            AF_INET => {
                let (ip, _) = rest.split_first_chunk::<4>()?;
                Some((Ipv4Addr::from(*ip), port).into())
            }
            AF_INET6 => {
                let (ip, scope) = rest[4..].split_first_chunk::<16>()?;
                let (ip, scope) = (Ipv6Addr::from(*ip), scope.first_chunk()?);
                Some(match ip.to_ipv4_mapped() {
                    Some(ip) => (ip, port).into(),
                    None => SocketAddrV6::new(ip, port, 0, u32::from_ne_bytes(*scope)).into(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 3).into();
        for addr in ["192.0.2.1:4330".parse().unwrap(), "[2001:db8::9]:1".parse().unwrap(), scoped]
        {
            assert_eq!(Name::of(addr).addr(), Some(addr));
        }
        let mapped = Name::of("[::ffff:192.0.2.1]:9".parse().unwrap());
        assert_eq!(mapped.addr(), Some("192.0.2.1:9".parse().unwrap()));
        assert_eq!(Name::NONE.addr(), None);
    }
}
