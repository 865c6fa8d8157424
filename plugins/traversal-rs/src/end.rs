use std::net::IpAddr;

use ntm_core::address::{Candidate, Location, TransportKind};

use crate::scope::{is_global, leads_somewhere};

/// A transport in a family: what both ends need to have for a direct path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    kind: TransportKind,
    ipv6: bool,
}

/// One end on one way.
pub(crate) struct End {
    /// Where the coordinator saw it.
    observed: Option<Candidate>,
    /// Where it says it is, as far as that leads anywhere.
    claimed: Vec<Candidate>,
    /// Whether it claims the address where it was seen, by this transport or, before it
    /// was seen by this one, by another; so that no NAT lies between.
    pub(crate) open: bool,
}

impl Way {
    /// The way of this candidate, if it leads anywhere.
    pub(crate) fn of(candidate: &Candidate) -> Option<Self> {
        let way = Self { kind: candidate.kind, ipv6: candidate.addr.is_ipv6() };
        leads_somewhere(candidate.addr).then_some(way)
    }
}

/// The ways that a node has, best first: its transports in the order of its
/// claims, IPv6 before IPv4.
pub(crate) fn ways(location: &Location) -> Vec<Way> {
    let observed = location.observed.iter().map(|seen| &seen.candidate);
    let mut kinds = Vec::new();
    for candidate in location.claimed.iter().chain(observed) {
        if !kinds.contains(&candidate.kind) {
            kinds.push(candidate.kind);
        }
    }
    kinds.into_iter().flat_map(|kind| [true, false].map(|ipv6| Way { kind, ipv6 })).collect()
}

impl End {
    /// The end at this location, if it has this way.
    pub(crate) fn of(location: &Location, way: Way) -> Option<Self> {
        let on_way = |candidate: &Candidate| Way::of(candidate) == Some(way);
        let observed = location.observed.iter().map(|seen| seen.candidate).find(on_way);
        let mut claimed: Vec<Candidate> = Vec::new();
        for candidate in location.claimed.iter().filter(|candidate| on_way(candidate)) {
            if !claimed.contains(candidate) {
                claimed.push(*candidate);
            }
        }
        // Another transport at the same address may be seen to be in the open: then
        // this one is, too.
        let others = location.observed.iter().map(|seen| seen.candidate);
        let open_at: Vec<IpAddr> = others
            .filter(|seen| Way::of(seen).is_some() && location.claims(seen))
            .map(|seen| seen.addr.ip())
            .collect();
        let open = match observed {
            Some(observed) => claimed.contains(&observed),
            None => claimed.iter().any(|candidate| open_at.contains(&candidate.addr.ip())),
        };
        (observed.is_some() || !claimed.is_empty()).then_some(Self { observed, claimed, open })
    }

    /// Whether both were seen at the same address, so that perhaps one NAT
    /// serves both.
    pub(crate) fn same_nat(&self, other: &Self) -> bool {
        let ip = |end: &Self| -> Option<IpAddr> { Some(end.observed?.addr.ip()) };
        ip(self).is_some() && ip(self) == ip(other)
    }

    /// Where somebody outside its NAT, if it has one, may reach it.
    pub(crate) fn outside(&self) -> impl Iterator<Item = Candidate> {
        let global = |candidate: &Candidate| self.open && is_global(candidate.addr.ip());
        self.observed.into_iter().chain(self.unobserved().filter(global))
    }

    /// Where somebody behind the same NAT may reach it.
    pub(crate) fn inside(&self) -> impl Iterator<Item = Candidate> {
        self.unobserved()
    }

    fn unobserved(&self) -> impl Iterator<Item = Candidate> {
        self.claimed.iter().copied().filter(|candidate| Some(*candidate) != self.observed)
    }
}
