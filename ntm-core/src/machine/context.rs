use std::time::Duration;

use super::outbox::Outbox;
use crate::address::{Candidate, Leg, TransportId, TransportKind};
use crate::crypto::Identity;
use crate::id::{Epoch, NodeName};
use crate::{Rng, Time};

/// Who a node is and what it sends with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Its key pair.
    pub identity: Identity,
    /// Its name.
    pub name: NodeName,
    /// The second of the calendar at which the machine's clock read zero.
    pub unix_at_zero: u64,
    /// Its transports, best first; the position is the [`TransportId`].
    pub transports: Vec<TransportFacts>,
}

/// What a machine knows of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransportFacts {
    /// What the wire calls it.
    pub kind: TransportKind,
    /// The port it listens on.
    pub port: u16,
    /// Whether it carries IPv4.
    pub ipv4: bool,
    /// Whether it carries IPv6.
    pub ipv6: bool,
}

impl TransportFacts {
    /// Whether it reaches addresses of this family.
    pub fn carries(&self, ipv6: bool) -> bool {
        if ipv6 { self.ipv6 } else { self.ipv4 }
    }
}

impl Node {
    /// The way to this candidate by the first transport of its kind; `None` if
    /// we have none.
    pub(crate) fn leg_to(&self, candidate: &Candidate) -> Option<Leg> {
        let carries = |facts: &TransportFacts| {
            facts.kind == candidate.kind && facts.carries(candidate.addr.is_ipv6())
        };
        let at = self.transports.iter().position(carries)?;
        Some(Leg::to(TransportId(at as u8), candidate.addr))
    }

    /// What the wire calls this transport.
    pub(crate) fn kind_of(&self, transport: TransportId) -> TransportKind {
        self.transports.get(usize::from(transport.0)).map_or(TransportKind::UDP, |facts| facts.kind)
    }

    /// The second of the calendar at `now`, by the calendar of this node's start.
    pub(crate) fn unix(&self, now: Time) -> u64 {
        self.unix_at_zero + now.nanos() / 1_000_000_000
    }

    /// The first epoch of a node that starts now.
    pub(crate) fn first_epoch(&self, now: Time) -> Epoch {
        let part = Duration::from_nanos(now.nanos() % 1_000_000_000);
        Epoch::starting(self.unix(now)).begun_after(part)
    }
}

/// What the parts of a machine need at every step.
pub(crate) struct Context<'a, E> {
    pub(crate) now: Time,
    pub(crate) node: &'a Node,
    /// Our epoch.
    pub(crate) epoch: Epoch,
    pub(crate) rng: &'a mut Rng,
    pub(crate) out: &'a mut Outbox<E>,
}
