use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of a node's transports: its index in the configured order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u8);

/// What a transport is called on the wire, so that two nodes with different
/// configurations mean the same by a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransportKind(pub u8);

impl TransportKind {
    /// Datagrams straight in UDP.
    pub const UDP: Self = Self(1);
    /// Datagrams in QUIC DATAGRAM frames (RFC 9221).
    pub const QUIC: Self = Self(2);
}

/// A place where a node may be reached, as ends tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The transport that listens there.
    pub kind: TransportKind,
    /// Address and port.
    pub addr: SocketAddr,
}

impl Candidate {
    /// A UDP candidate.
    pub fn udp(addr: SocketAddr) -> Self {
        Self { kind: TransportKind::UDP, addr }
    }

    /// Whether both are of one transport kind and one family: of two such only
    /// one is where a node is seen.
    pub fn is_same_way(&self, other: &Self) -> bool {
        self.kind == other.kind && self.addr.is_ipv6() == other.addr.is_ipv6()
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TransportKind::UDP => write!(f, "{}", self.addr),
            TransportKind::QUIC => write!(f, "quic:{}", self.addr),
            TransportKind(other) => write!(f, "{other}:{}", self.addr),
        }
    }
}

impl FromStr for Candidate {
    type Err = AddrParseError;

    /// As people write it: `203.0.113.1:4330` or `udp:203.0.113.1:4330`, and
    /// `quic:[2001:db8::1]:443`; `quic://…` too. A transport of others has a number:
    /// `200:203.0.113.1:443`.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let kinds = [("udp", TransportKind::UDP), ("quic", TransportKind::QUIC)];
        for (name, kind) in kinds {
            if let Some(addr) = text.strip_prefix(name).and_then(|text| text.strip_prefix(':')) {
                let addr = addr.strip_prefix("//").unwrap_or(addr).parse()?;
                return Ok(Self { kind, addr });
            }
        }
        let numbered = text.split_once(':').and_then(|(kind, addr)| {
            let kind = kind.parse().ok().filter(|&kind| kind != 0)?;
            Some(Self { kind: TransportKind(kind), addr: addr.parse().ok()? })
        });
        numbered.map_or_else(|| Ok(Self::udp(text.parse()?)), Ok)
    }
}

/// A way, inbound or outbound: from one of our transports to a real address. A
/// relayed way is a leg to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Our transport.
    pub transport: TransportId,
    /// The other end's real address.
    pub remote: SocketAddr,
    /// Our own address: where a datagram arrived, or the one to pin; `None`
    /// where it is not known or the kernel shall choose.
    pub local: Option<LocalPin>,
}

/// A local address together with the interface that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPin {
    /// The address.
    pub ip: IpAddr,
    /// The interface's index; 0 if not known.
    pub ifindex: u32,
}

impl Leg {
    /// A leg whose source address the kernel chooses.
    pub fn to(transport: TransportId, remote: SocketAddr) -> Self {
        Self { transport, remote, local: None }
    }

    /// The same way without the local end.
    #[must_use]
    pub fn unpinned(self) -> Self {
        Self { local: None, ..self }
    }

    /// The same way, held to this local end; to none if there is none.
    #[must_use]
    pub fn pinned(self, local: Option<LocalPin>) -> Self {
        Self { local, ..self }
    }

    /// The way back: from the address that was spoken to, which a NAT or a firewall on
    /// the way expects of the answer. The system chooses the interface.
    #[must_use]
    pub fn back(self) -> Self {
        let local = self.local.map(|pin| LocalPin { ifindex: 0, ..pin });
        Self { local, ..self }
    }

    /// Whether both go to the same place by the same transport.
    pub fn same_remote(&self, other: &Self) -> bool {
        self.transport == other.transport && self.remote == other.remote
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.transport.0, self.remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_read_as_people_write_it() {
        let quic = "quic:[2001:db8::1]:443";
        for (text, kind, shown) in [
            ("203.0.113.1:4330", TransportKind::UDP, "203.0.113.1:4330"),
            ("udp:203.0.113.1:4330", TransportKind::UDP, "203.0.113.1:4330"),
            (quic, TransportKind::QUIC, quic),
            ("quic://[2001:db8::1]:443", TransportKind::QUIC, quic),
            ("2:[2001:db8::1]:443", TransportKind::QUIC, quic),
            ("200:203.0.113.1:443", TransportKind(200), "200:203.0.113.1:443"),
        ] {
            let candidate: Candidate = text.parse().unwrap();
            assert_eq!((candidate.kind, candidate.to_string()), (kind, shown.to_owned()));
        }
        for wrong in [
            "quic",
            "quic:",
            "quic:203.0.113.1",
            "tcp:203.0.113.1:1",
            ":203.0.113.1:1",
            "0:203.0.113.1:1",
            "256:203.0.113.1:1",
        ] {
            assert!(wrong.parse::<Candidate>().is_err(), "{wrong}");
        }
    }
}
