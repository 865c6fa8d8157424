//! Who belongs to the domain: read at start, changed by a person.

use super::config::Member;
use super::{Coordinator, CoordinatorEvent, Domain, Why};
use crate::Time;
use crate::address::{Prefix, Vips};
use crate::id::{NodeName, PathId, PublicKey};
use crate::machine::Effect;
use crate::plugin::{MemberRole, NodeRecord, PluginError, Record, RecordKey, Write};

/// Why a membership could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MembershipError {
    /// The registry has not been read yet.
    #[error("the coordinator is still starting; try again in a moment")]
    NotReady,
    /// Too much is under way.
    #[error("the coordinator is busy; try again in a moment")]
    Busy,
    /// Nobody of that name.
    #[error("there is no member of that name; `ntm member list` shows them")]
    Unknown,
    /// Another member has this key.
    #[error("{0} has this key; remove it first")]
    KeyTaken(NodeName),
}

impl Coordinator {
    /// The registry has been read.
    pub(super) fn loaded(
        &mut self,
        now: Time,
        loaded: Result<(Vec<Record>, Vec<Prefix>), PluginError>,
    ) {
        let (records, ranges) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.failed(now, Why::Load, Some(&error.to_string())),
        };
        // Of an earlier attempt, after which something could not be stored.
        self.quarantine.clear();
        let mut salt = None;
        for record in records {
            match record {
                Record::Domain { salt: stored } => salt = Some(stored),
                Record::Node(node) => self.members.put(node),
                Record::Quarantine { vips, until } => self.quarantine.push((vips, until)),
            }
        }
        let mut writes = Vec::new();
        let salt = salt.unwrap_or_else(|| {
            let salt = self.rng.bytes();
            writes.push(Write::Put(Record::Domain { salt }));
            salt
        });
        for member in self.config.members.clone() {
            writes.extend(self.ensure(member));
        }
        let domain = Domain { salt, ranges };
        if writes.is_empty() {
            self.ready(domain);
        } else if let Err(why) = self.effects.ask(now, Effect::Store(writes), Why::Start(domain)) {
            self.failed(now, why, Some("too much is being asked of it"));
        }
    }

    /// What has been decided at start is durable: nodes are welcome.
    pub(super) fn ready(&mut self, domain: Domain) {
        self.domain = Some(domain);
        self.out.event(CoordinatorEvent::Ready { members: self.members.len() });
    }

    /// Makes the members' table say what the configuration says, and returns
    /// what has to be stored. A member keeps its addresses under a new key, and
    /// under a new name.
    fn ensure(&mut self, member: Member) -> Vec<Write> {
        let Member { name, key, roles } = member;
        let of_name = self.members.named(&name).cloned();
        let of_key = self.members.get(&key).cloned();
        let vips = of_key.as_ref().or(of_name.as_ref()).and_then(|record| record.vips);
        let record = NodeRecord { name: name.clone(), key, roles, vips };
        if of_key.as_ref() == Some(&record) {
            return Vec::new();
        }
        let mut writes = Vec::new();
        if let Some(before) = of_key.filter(|before| before.name != name) {
            writes.push(Write::Delete(RecordKey::Node(before.name)));
        }
        if let Some(before) = of_name.filter(|before| before.key != key) {
            self.members.remove(&before.key);
        }
        self.members.put(record.clone());
        writes.push(Write::Put(Record::Node(record)));
        writes
    }

    /// Adds a member, or changes the key or the roles of the one with this name.
    pub(super) fn store_member(
        &mut self,
        now: Time,
        member: Member,
    ) -> Result<(), MembershipError> {
        if self.domain.is_none() {
            return Err(MembershipError::NotReady);
        }
        if let Some(other) = self.members.get(&member.key).filter(|m| m.name != member.name) {
            return Err(MembershipError::KeyTaken(other.name.clone()));
        }
        let before = self.members.named(&member.name);
        let vips = before.and_then(|before| before.vips);
        let Member { name, key, roles } = member;
        let record = NodeRecord { name, key, roles, vips };
        let effect = Effect::Store(vec![Write::Put(Record::Node(record.clone()))]);
        self.effects.ask(now, effect, Why::AddMember(record)).map_err(|_| MembershipError::Busy)
    }

    pub(super) fn member_added(&mut self, now: Time, record: NodeRecord) {
        let goes = |before: &&NodeRecord| {
            let lost = |role| before.roles.contains(role) && !record.roles.contains(role);
            before.key != record.key || lost(MemberRole::Terminal) || lost(MemberRole::Relay)
        };
        let gone = self.members.named(&record.name).filter(goes).map(|before| before.key);
        if let Some(key) = gone {
            self.expel(now, key);
        }
        let name = record.name.clone();
        self.members.put(record);
        let members = self.members.len();
        self.out.event(CoordinatorEvent::MembersChanged { name, members });
    }

    /// Removes a member; its addresses rest for a day.
    pub(super) fn store_removal(
        &mut self,
        now: Time,
        name: &NodeName,
    ) -> Result<(), MembershipError> {
        if self.domain.is_none() {
            return Err(MembershipError::NotReady);
        }
        let record = self.members.named(name).ok_or(MembershipError::Unknown)?.clone();
        let mut writes = vec![Write::Delete(RecordKey::Node(name.clone()))];
        let quarantine = record
            .vips
            .map(|vips| (vips, self.node.unix(now) + self.config.clocks.quarantine.as_secs()));
        if let Some((vips, until)) = quarantine {
            writes.push(Write::Put(Record::Quarantine { vips, until }));
        }
        let why = Why::RemoveMember(record, quarantine);
        self.effects.ask(now, Effect::Store(writes), why).map_err(|_| MembershipError::Busy)
    }

    pub(super) fn member_removed(
        &mut self,
        now: Time,
        record: &NodeRecord,
        quarantine: Option<(Vips, u64)>,
    ) {
        self.expel(now, record.key);
        self.quarantine.extend(quarantine);
        let (name, members) = (record.name.clone(), self.members.len());
        self.out.event(CoordinatorEvent::MembersChanged { name, members });
    }

    /// Ends what connects others with a key that is no member's any more.
    fn expel(&mut self, now: Time, key: PublicKey) {
        let Some(record) = self.members.get(&key).cloned() else { return };
        let peers: Vec<(PathId, PublicKey)> = match (&self.domain, record.vips) {
            (Some(domain), Some(vips)) => {
                let others = self
                    .members
                    .records()
                    .filter(|other| other.key != key && other.roles.contains(MemberRole::Terminal));
                others
                    .filter_map(|other| {
                        let (path, _) = PathId::derive(&domain.salt, &vips, &other.vips?)?;
                        Some((path, other.key))
                    })
                    .collect()
            }
            (_, _) => Vec::new(),
        };
        for role in [MemberRole::Terminal, MemberRole::Relay] {
            let station = super::members::Station { key, role };
            if let Some(state) = self.members.station(station) {
                let sessions: Vec<_> =
                    state.session.take().into_iter().chain(state.half_open.drain(..)).collect();
                sessions.into_iter().for_each(|id| self.end_session(id));
            }
            self.timers.set(super::Timer::Station(station), None);
        }
        self.directions.forget(&key);
        self.members.remove(&key);
        self.revoke(now, key, &peers);
    }

    /// Addresses whose quarantine is over go back to the allocator.
    pub(super) fn release_quarantined(&mut self, now: Time) {
        let unix = self.node.unix(now);
        let (over, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.quarantine).into_iter().partition(|(_, until)| *until <= unix);
        self.quarantine = still;
        for (vips, _) in over {
            let delete = Effect::Store(vec![Write::Delete(RecordKey::Quarantine(vips))]);
            let _full = self.effects.ask(now, delete, Why::Release(vips));
        }
    }

    pub(super) fn quarantine_deadline(&self) -> Option<Time> {
        let until = self.quarantine.iter().map(|(_, until)| *until).min()?;
        let seconds = until.saturating_sub(self.node.unix_at_zero);
        Some(Time::ZERO + std::time::Duration::from_secs(seconds))
    }
}
