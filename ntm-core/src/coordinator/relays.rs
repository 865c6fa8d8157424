//! Relays: which are up, and the right to use them.

use super::Coordinator;
use super::members::Station;
use crate::Time;
use crate::address::{Candidate, Scope};
use crate::crypto::{Secret, derive_key};
use crate::id::{PathId, PublicKey, Side};
use crate::plugin::{MemberRole, RelayOption};
use crate::wire::{RelayDirection, RelayGrant, RelayId, SignalBody, Ticket};

/// Relays offered to a plan.
const MOST_OFFERED: usize = 8;

/// A relay that is up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Relay {
    key: PublicKey,
    candidates: Vec<Candidate>,
}

impl Relay {
    pub(super) fn option(&self) -> RelayOption {
        RelayOption { candidates: self.candidates.clone() }
    }

    /// What the end on this side is given.
    pub(super) fn grant(&self, (ticket, key): &(Ticket, Secret), side: Side) -> RelayGrant {
        RelayGrant {
            ticket: ticket.clone(),
            key: ticket.end_key(key, side),
            candidates: self.candidates.clone(),
        }
    }
}

impl Coordinator {
    /// The key that tickets for a relay are sealed with: follows from our own,
    /// so that tickets outlive a restart of either.
    pub(super) fn ticket_key(&self, relay: &PublicKey) -> Secret {
        let own = self.node.identity.private();
        derive_key(own.expose(), &[b"ntm ticket key v1", relay.as_bytes()])
    }

    /// The relays that are up, in an order that spreads paths over them and is
    /// always the same for one path.
    pub(super) fn relays_for(&self, path: PathId) -> Vec<Relay> {
        let mut relays: Vec<_> = self
            .members
            .present(MemberRole::Relay)
            .map(|(station, presence)| {
                let observed = presence.location.observed.iter().map(|seen| seen.candidate);
                let claimed = presence.location.claimed.iter().copied();
                let global = claimed.filter(|own| Scope::of(own.addr.ip()) == Scope::Global);
                let mut candidates: Vec<Candidate> = Vec::new();
                for candidate in observed.chain(global) {
                    if !candidates.contains(&candidate) {
                        candidates.push(candidate);
                    }
                }
                candidates.truncate(RelayGrant::MOST_CANDIDATES);
                Relay { key: station.key, candidates }
            })
            .collect();
        let path = u128::from_be_bytes(*path.as_bytes());
        relays.sort_by_cached_key(|relay| u128::from_be_bytes(RelayId::of(&relay.key).0) ^ path);
        relays.truncate(MOST_OFFERED);
        relays
    }

    /// A ticket for the pair, and the key it is sealed with.
    pub(super) fn ticket(
        &mut self,
        now: Time,
        relay: &Relay,
        path: PathId,
        lower: &PublicKey,
        higher: &PublicKey,
    ) -> (Ticket, Secret) {
        let key = self.ticket_key(&relay.key);
        let unix = self.node.unix(now);
        self.tickets += 1;
        let ticket = Ticket {
            relay: RelayId::of(&relay.key),
            // Grows from ticket to ticket and over restarts.
            serial: unix << 24 | self.tickets & 0xff_ffff,
            not_after: unix + self.config.clocks.ticket.as_secs(),
            rate: self.config.quota.rate,
            quota: self.config.quota.bytes,
            lower: lower.hash(),
            higher: higher.hash(),
            mac: [0; 16],
        };
        (ticket.sealed(&path, &key), key)
    }

    pub(super) fn relay_station(&self, id: RelayId) -> Option<Station> {
        self.members
            .present(MemberRole::Relay)
            .map(|(station, _)| station)
            .find(|station| RelayId::of(&station.key) == id)
    }

    /// Tells everybody who has to do with it that a member is one no longer.
    pub(super) fn revoke(&mut self, now: Time, key: PublicKey, paths: &[(PathId, PublicKey)]) {
        let relays: Vec<_> =
            self.members.present(MemberRole::Relay).map(|(station, _)| station).collect();
        let serial = self.node.unix(now) << 24 | 0xff_ffff;
        for (path, peer) in paths {
            let direction = RelayDirection { path: *path, serial, revoke: true };
            for relay in &relays {
                let body = SignalBody::RelayDirection(direction.clone());
                self.tell_surely_body(now, *relay, *path, body, None);
            }
            let peer = Station { key: *peer, role: MemberRole::Terminal };
            if self.members.presence(peer).is_some() {
                self.tell_surely_body(now, peer, *path, SignalBody::Revocation { key }, None);
            }
        }
    }
}
