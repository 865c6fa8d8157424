use crate::address::{Candidate, Nat64};
use crate::id::PublicKey;

/// A coordinator as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoordinatorAddress {
    /// Its static key.
    pub key: PublicKey,
    /// Where it may be reached, of both families, best first.
    pub addresses: Vec<Candidate>,
}

/// The coordinators of a node, of which one is in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Coordinators {
    configured: Vec<CoordinatorAddress>,
    current: usize,
    /// How often the current one's addresses have been turned, so that every
    /// address of a family gets its chance.
    turn: usize,
    /// Addresses that the current one told us of.
    learned: Vec<Candidate>,
    /// How a network of IPv6 alone reaches those of IPv4.
    nat64: Option<Nat64>,
}

impl Coordinators {
    pub(super) fn new(configured: Vec<CoordinatorAddress>) -> Self {
        Self { configured, current: 0, turn: 0, learned: Vec::new(), nat64: None }
    }

    pub(super) fn current(&self) -> Option<&CoordinatorAddress> {
        self.configured.get(self.current)
    }

    /// Where the current one may be reached, the next to try first.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        let configured = self.current().map_or(&[][..], |current| &current.addresses);
        let all = configured.len() + self.learned.len();
        configured
            .iter()
            .chain(&self.learned)
            .cycle()
            .skip(if all == 0 { 0 } else { self.turn % all })
            .take(all)
    }

    /// The same of IPv4, as a network of IPv6 alone reaches them.
    pub(super) fn translated(&self) -> impl Iterator<Item = Candidate> {
        self.candidates().filter_map(|candidate| self.nat64?.translate(candidate))
    }

    /// Where any of them may be reached, as far as is known.
    pub(super) fn all(&self) -> impl Iterator<Item = Candidate> {
        let all = self.configured.iter().flat_map(|one| &one.addresses).chain(&self.learned);
        all.flat_map(|one| [Some(*one), self.nat64.and_then(|nat64| nat64.translate(one))])
            .flatten()
    }

    /// How a network of IPv6 alone reaches IPv4, from now on.
    pub(super) fn set_nat64(&mut self, nat64: Option<Nat64>) {
        self.nat64 = nat64;
    }

    /// Takes note of where the current one says it may be reached.
    pub(super) fn learn(&mut self, addresses: &[Candidate]) {
        let configured = self.current().map_or(&[][..], |current| &current.addresses);
        self.learned =
            addresses.iter().filter(|address| !configured.contains(address)).copied().collect();
    }

    /// The current one does not answer: other addresses of it first, then the
    /// next one.
    pub(super) fn next(&mut self) {
        self.turn += 1;
        let addresses = self.current().map_or(0, |current| current.addresses.len());
        if self.turn >= addresses + self.learned.len() && self.configured.len() > 1 {
            self.current = (self.current + 1) % self.configured.len();
            self.turn = 0;
            self.learned.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(last: u8) -> Candidate {
        Candidate::udp(([203, 0, 113, last], 4330).into())
    }

    fn order(coordinators: &Coordinators) -> Vec<u8> {
        coordinators
            .candidates()
            .map(|candidate| match candidate.addr.ip() {
                std::net::IpAddr::V4(ip) => ip.octets()[3],
                std::net::IpAddr::V6(_) => 0,
            })
            .collect()
    }

    #[test]
    fn every_address_gets_its_turn_before_the_next_coordinator() {
        let coordinator = |key, addresses: &[u8]| CoordinatorAddress {
            key: PublicKey::from_bytes([key; 32]),
            addresses: addresses.iter().copied().map(candidate).collect(),
        };
        let mut all = Coordinators::new(vec![coordinator(1, &[1, 2]), coordinator(2, &[9])]);
        all.learn(&[candidate(2), candidate(3)]);
        assert_eq!(order(&all), [1, 2, 3]);
        all.next();
        assert_eq!(order(&all), [2, 3, 1]);
        all.next();
        all.next();
        assert_eq!(order(&all), [9]);
        all.next();
        assert_eq!(order(&all), [1, 2], "what was learned is forgotten");
    }
}
