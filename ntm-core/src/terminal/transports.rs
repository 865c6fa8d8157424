//! Several transports: by which of them a peer or a relay is asked first, and back to
//! the better one when it works again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::Terminal;
use super::cx::Cx;
use super::remote::Remote;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::{Candidate, Leg, TransportId};
use crate::id::PathId;
use crate::tunnel::CAPSULE_OVERHEAD;

/// The best transport is ahead of the others by this much when a tunnel is set up (RFC
/// 8305, section 8): a network that lets it pass makes no connection in vain.
const HEAD_START: Duration = Duration::from_millis(250);

/// What transports say of single ways: the largest datagram, in bytes.
pub(super) type Payloads = BTreeMap<(TransportId, SocketAddr), usize>;

/// When the first message goes by each of these ways: `pacing` apart, and those by
/// other transports than the best not before its head start is over.
pub(super) fn staggered(
    now: Time,
    legs: &[Leg],
    pacing: Duration,
) -> impl Iterator<Item = (Time, Leg)> {
    let best = legs.iter().map(|leg| leg.transport).min();
    legs.iter().zip(0..).map(move |(leg, nth)| {
        let due = now + pacing * nth;
        let ahead = if Some(leg.transport) == best { Duration::ZERO } else { HEAD_START };
        (due.max(now + ahead), leg.unpinned())
    })
}

impl Cx<'_> {
    /// The ways to somebody who listens at these places, those by the best transport
    /// first, and of each transport those through a translator last.
    pub(super) fn legs_to(&self, candidates: &[Candidate]) -> Vec<Leg> {
        let native = candidates.iter().filter_map(|candidate| self.leg_to(candidate));
        let translated = candidates.iter().filter_map(|it| self.leg_through_nat64(it));
        let mut legs: Vec<Leg> = native.chain(translated).collect();
        legs.sort_by_key(|leg| leg.transport);
        legs
    }

    /// The largest inner packet that the transport of this way has room for, where it
    /// says so.
    pub(super) fn room_for(&self, leg: &Leg) -> Option<u32> {
        let payload = *self.payloads.get(&(leg.transport, leg.remote))?;
        Some(u32::try_from(payload.saturating_sub(CAPSULE_OVERHEAD)).unwrap_or(u32::MAX))
    }
}

impl Tunnel {
    /// Whether the way in use may be left for one by a better transport.
    pub(super) fn has_better_transport(&self) -> bool {
        self.selected.is_some_and(|selected| selected.leg.transport > TransportId(0))
    }

    /// Direct ways to ask whether they work, while the one in use is not the best that
    /// there could be.
    pub(super) fn better_ways(&self) -> Vec<Leg> {
        let Some(selected) = self.selected else { return Vec::new() };
        let relayed = self.is_relayed();
        let better = |remote: &&Remote| {
            remote.named.is_some()
                && remote.relay.is_none()
                && (relayed || remote.leg.transport < selected.leg.transport)
        };
        self.remotes.iter().filter(better).map(|remote| remote.leg).collect()
    }

    /// The peer sends by another transport than we do, to where both know each other:
    /// no NAT has changed its mind, and nothing has to be contested.
    pub(super) fn is_other_transport(&self, leg: &Leg) -> bool {
        let is_known = |remote: &Remote| remote.named.is_some() || remote.confirmed.is_some();
        let known = self.remotes.get(leg).is_some_and(is_known);
        known && self.selected.is_some_and(|selected| selected.leg.transport != leg.transport)
    }
}

impl Terminal {
    /// The ways by this transport that tunnels use or may come to use: what
    /// [`Terminal::handle_payloads`] wants to know about. At most twelve a tunnel.
    pub fn legs_by(&self, transport: TransportId) -> BTreeSet<Leg> {
        let all = self.tunnels.values().flat_map(|tunnel| tunnel.remotes.iter());
        all.map(|remote| remote.leg).filter(|leg| leg.transport == transport).collect()
    }

    /// The largest datagrams, in bytes, of those ways whose transport knows them. Ways
    /// that are left out follow from the route's MTU alone.
    pub fn handle_payloads(&mut self, now: Time, payloads: &[(Leg, usize)]) {
        let payloads = payloads.iter().map(|(leg, bytes)| ((leg.transport, leg.remote), *bytes));
        let before = std::mem::replace(&mut self.payloads, payloads.collect());
        let other = |leg: Leg| {
            let way = (leg.transport, leg.remote);
            self.payloads.get(&way) != before.get(&way)
        };
        let changed = |tunnel: &&Tunnel| tunnel.selected.is_some_and(|it| other(it.leg));
        let paths: Vec<PathId> =
            self.tunnels.values().filter(changed).map(|tunnel| tunnel.path).collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.point_again(cx));
        }
        self.settle(now);
    }
}
