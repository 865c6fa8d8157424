use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
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
        let public = *self.public.iter().find(|ip| ip.is_ipv6() == inner.is_ipv6())?;
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
}
