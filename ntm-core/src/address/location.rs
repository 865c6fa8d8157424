use super::{Candidate, TransportKind};

/// Where a node is, as far as the coordinator knows: what the node claims and
/// what the coordinator saw, kept apart, because only the difference between
/// the two tells of a NAT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// The addresses the node says it has.
    pub claimed: Vec<Candidate>,
    /// The sources its registration came from: at most one for each transport
    /// kind and family.
    pub observed: Vec<Observed>,
}

/// The source address of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Address, port and transport seen.
    pub candidate: Candidate,
    /// Whether the node has returned a challenge sent to this address.
    pub proved: bool,
}

impl Location {
    /// The source seen for this transport and family, if any.
    pub fn observed(&self, kind: TransportKind, ipv6: bool) -> Option<&Observed> {
        self.observed
            .iter()
            .find(|seen| seen.candidate.kind == kind && seen.candidate.addr.is_ipv6() == ipv6)
    }

    /// Whether the node claims exactly this address, so that no NAT lies between.
    pub fn claims(&self, candidate: &Candidate) -> bool {
        self.claimed.contains(candidate)
    }
}
