use super::config::TerminalConfig;
use super::event::TerminalEvent;
use super::transports::Payloads;
use crate::address::{Candidate, Leg, Scope};
use crate::id::{Epoch, PathId};
use crate::machine::{Node, Outbox};
use crate::surroundings::Surroundings;
use crate::tunnel::CAPSULE_OVERHEAD;
use crate::wire::TunnelRequest;
use crate::{Rng, Time};

/// The smallest inner limit: the IPv6 minimum. Below an outer 1,372 bytes the
/// outer packet is fragmented instead.
pub(super) const LEAST_LIMIT: u16 = 1280;

/// What a route's MTU is taken for while it is not known.
const USUAL_MTU: u32 = 1500;

/// What a tunnel needs of its terminal at every step.
pub(super) struct Cx<'a> {
    pub(super) now: Time,
    pub(super) node: &'a Node,
    /// Our epoch.
    pub(super) epoch: Epoch,
    pub(super) config: &'a TerminalConfig,
    pub(super) surroundings: &'a Surroundings,
    pub(super) payloads: &'a Payloads,
    /// Where the coordinator sees us.
    pub(super) observed: &'a [Candidate],
    pub(super) rng: &'a mut Rng,
    pub(super) out: &'a mut Outbox<TerminalEvent>,
    pub(super) asks: &'a mut Vec<Ask>,
}

/// What a tunnel wants of its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    /// The path is dead: act as after a move, for this tunnel.
    Recover(PathId),
    /// Ask the coordinator how to reach the peer.
    Direct(PathId),
    /// Somebody has answered by a better link.
    Judge,
}

impl Cx<'_> {
    pub(super) fn event(&mut self, event: TerminalEvent) {
        self.out.event(event);
    }

    /// The largest inner packet that fits this way, as far as our own link and the
    /// transport tell.
    pub(super) fn limit_to(&self, leg: &Leg) -> u16 {
        let mtu = self.surroundings.mtu_to(leg.remote.ip()).unwrap_or(USUAL_MTU);
        let outer = if leg.remote.is_ipv6() { 48 } else { 28 } + CAPSULE_OVERHEAD as u32;
        let limit = mtu.saturating_sub(outer).min(self.room_for(leg).unwrap_or(u32::MAX));
        let limit = limit.clamp(LEAST_LIMIT.into(), self.config.mtu.into());
        u16::try_from(limit).unwrap_or(u16::MAX)
    }

    /// The way to a candidate, if we have its transport and its family.
    pub(super) fn leg_to(&self, candidate: &Candidate) -> Option<Leg> {
        let ipv6 = candidate.addr.is_ipv6();
        let has_family = self.surroundings.claimed().iter().any(|own| own.addr.is_ipv6() == ipv6);
        self.node.leg_to(candidate).filter(|_| has_family)
    }

    /// The way to where a peer is said to be, if the address is of one of these
    /// scopes: a false word must not make us talk to our own programs, or to
    /// everybody in a network.
    pub(super) fn leg_to_peer(&self, candidate: &Candidate, scopes: &[Scope]) -> Option<Leg> {
        let leads_there = scopes.contains(&Scope::of(candidate.addr.ip()));
        self.leg_to(candidate).or_else(|| self.leg_through_nat64(candidate)).filter(|_| leads_there)
    }

    /// The way to a candidate of IPv4 from a network that has none.
    pub(super) fn leg_through_nat64(&self, candidate: &Candidate) -> Option<Leg> {
        let translated = self.surroundings.nat64()?.translate(candidate)?;
        self.node.leg_to(&translated)
    }

    /// Whether a NAT lies between us and the coordinator in this family.
    pub(super) fn is_natted(&self, ipv6: bool) -> bool {
        // A translator forgets as a NAT does.
        let translated = ipv6 && self.surroundings.nat64().is_some();
        let observed = self
            .observed
            .iter()
            .any(|seen| seen.addr.is_ipv6() == ipv6 && !self.surroundings.claimed().contains(seen));
        translated || observed
    }

    /// Where else the peer may reach us: in the open. A private address would
    /// mean something else to it, and what a NAT shows of us is the traversal
    /// plugin's to judge.
    pub(super) fn own_candidates(&self) -> Vec<Candidate> {
        let claimed = self.surroundings.claimed().iter().copied();
        let global = claimed.filter(|own| Scope::of(own.addr.ip()) == Scope::Global);
        global.take(TunnelRequest::MOST_CANDIDATES).collect()
    }
}
