use super::members::Station;
use super::{Coordinator, NodeRecord};
use crate::address::Location;
use crate::id::Epoch;
use crate::plugin::MemberRole;

/// A coordinator at one moment, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorStatus {
    /// Whether the registry has been read.
    pub ready: bool,
    /// The members, in the order of their names.
    pub members: Vec<MemberStatus>,
}

/// A member at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// What the registry says of it.
    pub record: NodeRecord,
    /// Where it is, in each of its roles in which it is present.
    pub present: Vec<(MemberRole, PresenceStatus)>,
}

/// Where a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceStatus {
    /// Its epoch.
    pub epoch: Epoch,
    /// What it claims and what was seen.
    pub location: Location,
    /// Whether it has proved that it receives there.
    pub proved: bool,
}

impl Coordinator {
    /// The coordinator as it is now.
    pub fn status(&self) -> CoordinatorStatus {
        let mut members: Vec<_> = self
            .members
            .records()
            .map(|record| {
                let roles = [MemberRole::Terminal, MemberRole::Relay].into_iter();
                let present = roles.filter_map(|role| {
                    let presence = self.members.presence(Station { key: record.key, role })?;
                    let status = PresenceStatus {
                        epoch: presence.epoch,
                        location: presence.location.clone(),
                        proved: presence.is_proved(),
                    };
                    Some((role, status))
                });
                MemberStatus { record: record.clone(), present: present.collect() }
            })
            .collect();
        members.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        CoordinatorStatus { ready: self.domain.is_some(), members }
    }
}
