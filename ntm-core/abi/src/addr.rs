use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A real address and port, or none. 24 bytes.
///
/// | offset | bytes | field | meaning |
/// |---|---|---|---|
/// | 0 | 16 | `ip` | network order; IPv4 uses the first four |
/// | 16 | 4 | `scope` | IPv6 scope id, else 0 |
/// | 20 | 2 | `port` | host order; 0 where only an address is meant |
/// | 22 | 1 | `family` | 0 none, 4 or 6 |
/// | 23 | 1 | reserved | 0 |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Addr {
    pub(crate) ip: [u8; 16],
    pub(crate) scope: u32,
    pub(crate) port: u16,
    pub(crate) family: u8,
    pub(crate) reserved: u8,
}

const _: () = assert!(size_of::<Addr>() == 24 && align_of::<Addr>() == 4);

impl Addr {
    /// No address: "the kernel chooses", or "not known".
    pub const NONE: Self = Self { ip: [0; 16], scope: 0, port: 0, family: 0, reserved: 0 };

    /// The address as the standard library writes it; `None` if there is none
    /// or the family is not one we know.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self.family {
            4 => {
                let [a, b, c, d, ..] = self.ip;
                Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), self.port))
            }
            6 => {
                let ip = Ipv6Addr::from(self.ip);
                Some(SocketAddrV6::new(ip, self.port, 0, self.scope).into())
            }
            _ => None,
        }
    }

    /// The address without its port.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket().map(|socket| socket.ip())
    }
}

impl From<SocketAddr> for Addr {
    fn from(socket: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let (family, scope) = match socket {
            SocketAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.ip().octets());
                (4, 0)
            }
            SocketAddr::V6(v6) => {
                ip = v6.ip().octets();
                (6, v6.scope_id())
            }
        };
        Self { ip, scope, port: socket.port(), family, reserved: 0 }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        SocketAddr::new(ip, 0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_way_there_and_back() {
        for text in ["203.0.113.9:4330", "[2001:db8::9]:4330"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(Addr::from(socket).socket(), Some(socket));
        }
        let scoped = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 7).into();
        assert_eq!(Addr::from(scoped).socket(), Some(scoped));
    }

    #[test]
    fn none_is_no_address() {
        assert_eq!(Addr::NONE.socket(), None);
        assert_eq!(Addr::default(), Addr::NONE);
    }
}
