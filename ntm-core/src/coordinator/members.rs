use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::presence::Presence;
use crate::Time;
use crate::address::{Leg, Vips};
use crate::id::{NodeName, PathId, PublicKey, SessionId};
use crate::plugin::{MemberRole, NodeRecord};
use crate::tunnel::AMPLIFICATION;
use crate::wire::{RegistrationRequest, RequestId, Target};

/// A node in one of its roles: what has a session and a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Station {
    /// First, so that the few relays stand together.
    pub(super) role: MemberRole,
    pub(super) key: PublicKey,
}

/// Directions remembered for a station, so that its next move can renew them.
const MOST_RECENT: usize = 32;
/// They are renewed for this long.
const RECENT: Duration = Duration::from_secs(10);
/// After so many directions at once, which a node with many tunnels that moves
/// ten times in a row may need,
const DIRECTED_AT_ONCE: u32 = 250;
/// a node's registrations direct one tunnel in this time.
const DIRECTED_EVERY: Duration = Duration::from_millis(40);
/// Unproved addresses of a station for which is counted what may be sent there.
const MOST_UNPROVED: usize = 4;
/// Sessions that a station has begun and not confirmed.
pub(super) const MOST_HALF_OPEN: usize = 4;

/// Who belongs to the domain, found by key, name and virtual address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Members {
    by_key: BTreeMap<PublicKey, NodeRecord>,
    by_name: BTreeMap<NodeName, PublicKey>,
    by_vip: BTreeMap<IpAddr, PublicKey>,
    stations: BTreeMap<Station, StationState>,
}

/// What is known of a station beyond its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StationState {
    /// The session that it is spoken to in.
    pub(super) session: Option<SessionId>,
    pub(super) half_open: Vec<SessionId>,
    pub(super) presence: Option<Presence>,
    /// A registration that waits for virtual addresses: its copies, one of each
    /// transport and family.
    pub(super) waiting: Vec<(Leg, RequestId, RegistrationRequest)>,
    recent: VecDeque<Recent>,
    /// Up to when its registrations have used up what they may direct.
    directed: Time,
    /// Bytes that may still be sent to addresses it has not proved.
    allowed: Vec<(Leg, usize)>,
}

/// A direction that named a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recent {
    pub(super) path: PathId,
    pub(super) peer: PublicKey,
    pub(super) at: Time,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<&NodeRecord> {
        self.by_key.get(key)
    }

    pub(super) fn named(&self, name: &NodeName) -> Option<&NodeRecord> {
        self.by_name.get(name).and_then(|key| self.by_key.get(key))
    }

    pub(super) fn find(&self, target: &Target) -> Option<&NodeRecord> {
        match target {
            Target::Name(name) => self.named(name),
            Target::Vip(vip) => self.by_vip.get(vip).and_then(|key| self.by_key.get(key)),
        }
    }

    /// Adds a member, or replaces the record of its key.
    pub(super) fn put(&mut self, record: NodeRecord) {
        self.unlink(&record.key);
        self.by_name.insert(record.name.clone(), record.key);
        for vip in record.vips.iter().flat_map(Vips::iter) {
            self.by_vip.insert(vip, record.key);
        }
        self.by_key.insert(record.key, record);
    }

    /// Forgets a member and where it was.
    pub(super) fn remove(&mut self, key: &PublicKey) -> Option<NodeRecord> {
        for role in [MemberRole::Terminal, MemberRole::Relay] {
            self.stations.remove(&Station { key: *key, role });
        }
        self.unlink(key)
    }

    fn unlink(&mut self, key: &PublicKey) -> Option<NodeRecord> {
        let record = self.by_key.remove(key)?;
        self.by_name.remove(&record.name);
        for vip in record.vips.iter().flat_map(Vips::iter) {
            self.by_vip.remove(&vip);
        }
        Some(record)
    }

    /// Whether one of these addresses belongs to another member.
    pub(super) fn is_taken(&self, vips: &Vips) -> bool {
        vips.iter().any(|vip| self.by_vip.contains_key(&vip))
    }

    /// A station's state; `None` for who is no member in that role.
    pub(super) fn station(&mut self, station: Station) -> Option<&mut StationState> {
        self.by_key
            .get(&station.key)
            .filter(|record| record.roles.contains(station.role))
            .map(|_| self.stations.entry(station).or_default())
    }

    pub(super) fn presence(&self, station: Station) -> Option<&Presence> {
        self.stations.get(&station).and_then(|state| state.presence.as_ref())
    }

    pub(super) fn session_of(&self, station: Station) -> Option<SessionId> {
        self.stations.get(&station).and_then(|state| state.session)
    }

    /// The stations in one role that are present, in the order of their keys.
    pub(super) fn present(&self, role: MemberRole) -> impl Iterator<Item = (Station, &Presence)> {
        let first = Station { role, key: PublicKey::from_bytes([0; 32]) };
        self.stations
            .range(first..)
            .take_while(move |(station, _)| station.role == role)
            .filter_map(|(station, state)| Some((*station, state.presence.as_ref()?)))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &NodeRecord> {
        self.by_key.values()
    }
}

impl StationState {
    /// Remembers that a direction named this station.
    pub(super) fn remember(&mut self, now: Time, path: PathId, peer: PublicKey) {
        self.recent.retain(|recent| recent.path != path && now.since(recent.at) < RECENT);
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { path, peer, at: now });
    }

    /// Whether a registration may direct one more tunnel; then it counts. A node
    /// that registers all the time must not make all others work.
    pub(super) fn may_direct(&mut self, now: Time) -> bool {
        let next = self.directed.max(now) + DIRECTED_EVERY;
        let may = next.since(now) <= DIRECTED_EVERY * DIRECTED_AT_ONCE;
        if may {
            self.directed = next;
        }
        may
    }

    /// So much has come from there, genuine: to an address that is not proved,
    /// three times as much may be sent.
    pub(super) fn earn(&mut self, leg: Leg, bytes: usize) {
        let earned = bytes * AMPLIFICATION as usize;
        match self.allowed.iter_mut().find(|(known, _)| known.same_remote(&leg)) {
            Some((_, left)) => *left = left.saturating_add(earned),
            None => {
                if self.allowed.len() == MOST_UNPROVED {
                    self.allowed.remove(0);
                }
                self.allowed.push((leg, earned));
            }
        }
    }

    /// Whether so much may be sent to an unproved address; then it counts as sent.
    pub(super) fn spend(&mut self, leg: &Leg, bytes: usize) -> bool {
        let allowed = self.allowed.iter_mut().find(|(known, _)| known.same_remote(leg));
        let left = allowed.and_then(|(_, left)| Some((left.checked_sub(bytes)?, left)));
        left.map(|(less, left)| *left = less).is_some()
    }

    /// The directions of the last 10 s that named this station.
    pub(super) fn recent(&self, now: Time) -> Vec<Recent> {
        self.recent.iter().filter(|recent| now.since(recent.at) < RECENT).copied().collect()
    }
}
