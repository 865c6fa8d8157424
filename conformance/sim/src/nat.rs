use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ntm_core::Time;

/// Which NAT of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(pub usize);

/// Whether one inner address gets one outer address for all destinations (RFC
/// 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Endpoint-independent.
    Independent,
    /// A new port for each destination: "symmetric".
    PerDestination,
}

/// Who may answer (RFC 4787, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Anybody.
    Independent,
    /// The address that was sent to, from any port.
    Address,
    /// Exactly the address and port that were sent to.
    AddressAndPort,
}

/// A NAT for UDP, as a box with one public address of each family it serves.
#[derive(Clone, Debug)]
pub struct Nat {
    public: Vec<IpAddr>,
    mapping: Mapping,
    filtering: Filtering,
    expiry: Duration,
    hairpins: bool,
    behind: Option<NatId>,
    nat64: bool,
    entries: BTreeMap<SocketAddr, Entry>,
    next_port: u16,
}

#[derive(Clone, Debug)]
struct Entry {
    inner: SocketAddr,
    /// For per-destination mapping: the one it is for.
    only: Option<SocketAddr>,
    sent_to: BTreeMap<SocketAddr, Time>,
    used: Time,
}

impl Nat {
    /// A NAT with these public addresses.
    pub fn new(
        public: &[IpAddr],
        mapping: Mapping,
        filtering: Filtering,
        expiry: Duration,
    ) -> Self {
        Self {
            public: public.to_vec(),
            mapping,
            filtering,
            expiry,
            hairpins: false,
            behind: None,
            nat64: false,
            entries: BTreeMap::new(),
            next_port: 20_000,
        }
    }

    /// As Linux masquerades: one port for all, answers only from where was sent
    /// to.
    pub fn like_linux(public: &[IpAddr]) -> Self {
        let expiry = Duration::from_secs(120);
        Self::new(public, Mapping::Independent, Filtering::AddressAndPort, expiry)
    }

    /// A new port for each destination.
    pub fn symmetric(public: &[IpAddr]) -> Self {
        let expiry = Duration::from_secs(120);
        Self::new(public, Mapping::PerDestination, Filtering::AddressAndPort, expiry)
    }

    /// One port for all, and anybody may answer: "full cone".
    pub fn full_cone(public: &[IpAddr]) -> Self {
        let expiry = Duration::from_secs(120);
        Self::new(public, Mapping::Independent, Filtering::Independent, expiry)
    }

    /// The way out of an IPv6-only network to IPv4 (RFC 6146): stateful, with
    /// the well-known prefix. IPv6 passes it as it is.
    pub fn nat64(public: IpAddr) -> Self {
        Self { nat64: true, ..Self::like_linux(&[public]) }
    }

    /// This one behind another, as a home behind a carrier's; its public
    /// addresses are private ones there.
    pub fn behind(self, carrier: NatId) -> Self {
        Self { behind: Some(carrier), ..self }
    }

    /// Lets those inside reach each other by their outer addresses (RFC 4787,
    /// section 6).
    pub fn hairpinning(self) -> Self {
        Self { hairpins: true, ..self }
    }

    pub(crate) fn hairpins(&self) -> bool {
        self.hairpins
    }

    /// The NAT that this one lies behind.
    pub(crate) fn carrier(&self) -> Option<NatId> {
        self.behind
    }

    /// Whether what is inside it has IPv6 addresses that all can reach.
    pub(crate) fn passes_ipv6(&self) -> bool {
        self.nat64
    }

    /// Its public addresses.
    pub fn public(&self) -> &[IpAddr] {
        &self.public
    }

    /// Forgets all mappings, as after a restart of the box.
    pub fn forget(&mut self) {
        self.entries.clear();
        self.next_port += 1000;
    }

    /// A datagram on its way out: the source it gets, if the NAT serves its
    /// family.
    pub fn outbound(&mut self, now: Time, inner: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let public = *self.public.iter().find(|ip| ip.is_ipv6() == to.is_ipv6())?;
        self.expire(now);
        let only = (self.mapping == Mapping::PerDestination).then_some(to);
        let known = self
            .entries
            .iter()
            .find(|(_, entry)| entry.inner == inner && entry.only == only)
            .map(|(outer, _)| *outer);
        let outer = known.unwrap_or_else(|| self.choose(public, inner, only));
        let entry = self.entries.entry(outer).or_insert_with(|| Entry {
            inner,
            only,
            sent_to: BTreeMap::new(),
            used: now,
        });
        entry.used = now;
        entry.sent_to.insert(to, now);
        Some(outer)
    }

    /// A datagram on its way out, with where it goes beyond the NAT.
    pub(crate) fn leave(
        &mut self,
        now: Time,
        inner: SocketAddr,
        to: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        if !self.nat64 {
            return self.outbound(now, inner, to).map(|outer| (outer, to));
        }
        match extract(to.ip()) {
            Some(v4) => {
                let to = SocketAddr::new(v4, to.port());
                self.outbound(now, inner, to).map(|outer| (outer, to))
            }
            None => to.is_ipv6().then_some((inner, to)),
        }
    }

    /// A datagram for one of the public addresses: where it seems to come from
    /// inside, and who gets it.
    pub(crate) fn enter(
        &mut self,
        now: Time,
        from: SocketAddr,
        outer: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let inner = self.inbound(now, from, outer)?;
        let from = match from.ip() {
            IpAddr::V4(v4) if self.nat64 => SocketAddr::new(embed(v4), from.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => from,
        };
        Some((from, inner))
    }

    fn choose(
        &mut self,
        public: IpAddr,
        inner: SocketAddr,
        only: Option<SocketAddr>,
    ) -> SocketAddr {
        let kept = SocketAddr::new(public, inner.port());
        if only.is_none() && !self.entries.contains_key(&kept) {
            return kept;
        }
        loop {
            self.next_port = self.next_port.wrapping_add(1).max(20_000);
            let fresh = SocketAddr::new(public, self.next_port);
            if !self.entries.contains_key(&fresh) {
                return fresh;
            }
        }
    }

    /// A datagram for one of the public addresses: who inside gets it, if
    /// anybody may.
    pub fn inbound(
        &mut self,
        now: Time,
        from: SocketAddr,
        outer: SocketAddr,
    ) -> Option<SocketAddr> {
        self.expire(now);
        let entry = self.entries.get(&outer)?;
        let passes = match self.filtering {
            Filtering::Independent => true,
            Filtering::Address => entry.sent_to.keys().any(|to| to.ip() == from.ip()),
            Filtering::AddressAndPort => entry.sent_to.contains_key(&from),
        };
        passes.then_some(entry.inner)
    }

    fn expire(&mut self, now: Time) {
        let expiry = self.expiry;
        self.entries.retain(|_, entry| now.since(entry.used) < expiry);
    }
}

/// The well-known prefix of RFC 6052.
const PREFIX: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// An IPv4 address as an IPv6-only network sees it.
pub fn embed(v4: Ipv4Addr) -> IpAddr {
    let [a, b, c, d] = v4.octets();
    let low = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let [p, q, r, s, t, u] = PREFIX;
    Ipv6Addr::new(p, q, r, s, t, u, low[0], low[1]).into()
}

/// The IPv4 address in one of the well-known prefix.
fn extract(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = ip else { return None };
    let segments = v6.segments();
    let [a, b, c, d] = [segments[6] >> 8, segments[6] & 0xff, segments[7] >> 8, segments[7] & 0xff]
        .map(|byte| byte as u8);
    segments.starts_with(&PREFIX).then(|| Ipv4Addr::new(a, b, c, d).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn linux_keeps_the_port_and_lets_only_the_asked_answer() {
        let mut nat = Nat::like_linux(&["203.0.113.7".parse().unwrap()]);
        let inner = addr("192.168.1.2:4330");
        let (one, two) = (addr("198.51.100.1:4330"), addr("198.51.100.2:4330"));
        let outer = nat.outbound(Time::ZERO, inner, one).unwrap();
        assert_eq!(outer, addr("203.0.113.7:4330"));
        assert_eq!(nat.inbound(Time::ZERO, one, outer), Some(inner));
        assert_eq!(nat.inbound(Time::ZERO, two, outer), None);
        assert_eq!(nat.outbound(Time::ZERO, inner, two), Some(outer));
        assert_eq!(nat.inbound(Time::ZERO, two, outer), Some(inner));
    }

    #[test]
    fn a_symmetric_nat_shows_another_port_to_each() {
        let mut nat = Nat::symmetric(&["203.0.113.7".parse().unwrap()]);
        let inner = addr("192.168.1.2:4330");
        let one = nat.outbound(Time::ZERO, inner, addr("198.51.100.1:4330"));
        let two = nat.outbound(Time::ZERO, inner, addr("198.51.100.2:4330"));
        assert_ne!(one, two);
        assert_eq!(one, nat.outbound(Time::ZERO, inner, addr("198.51.100.1:4330")));
    }

    #[test]
    fn mappings_expire_and_can_be_forgotten() {
        let mut nat = Nat::like_linux(&["203.0.113.7".parse().unwrap()]);
        let (inner, to) = (addr("192.168.1.2:4330"), addr("198.51.100.1:4330"));
        let outer = nat.outbound(Time::ZERO, inner, to).unwrap();
        let late = Time::ZERO + Duration::from_secs(120);
        assert_eq!(nat.inbound(late, to, outer), None);
        let outer = nat.outbound(late, inner, to).unwrap();
        nat.forget();
        assert_eq!(nat.inbound(late, to, outer), None);
    }

    #[test]
    fn a_family_without_a_public_address_does_not_leave() {
        let mut nat = Nat::like_linux(&["203.0.113.7".parse().unwrap()]);
        let (inner, to) = (addr("[fd00::2]:4330"), addr("[2001:db8::1]:4330"));
        assert_eq!(nat.outbound(Time::ZERO, inner, to), None);
    }

    #[test]
    fn an_ipv6_only_network_reaches_ipv4_by_the_prefix_and_ipv6_as_it_is() {
        let mut nat = Nat::nat64("203.0.113.7".parse().unwrap());
        let inner = addr("[2001:db8:1::2]:4330");
        let v4 = addr("198.51.100.1:4330");
        let (outer, to) = nat.leave(Time::ZERO, inner, addr("[64:ff9b::c633:6401]:4330")).unwrap();
        assert_eq!((outer, to), (addr("203.0.113.7:4330"), v4));
        let back = nat.enter(Time::ZERO, v4, outer);
        assert_eq!(back, Some((addr("[64:ff9b::c633:6401]:4330"), inner)));
        let v6 = addr("[2001:db8::1]:4330");
        assert_eq!(nat.leave(Time::ZERO, inner, v6), Some((inner, v6)));
        assert_eq!(nat.leave(Time::ZERO, inner, v4), None, "there is no IPv4 inside");
    }
}
