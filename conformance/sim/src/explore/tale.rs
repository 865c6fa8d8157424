//! What everybody says while a course is played, for people.

use ntm_core::Time;

use crate::{HostId, World};

/// Takes a line of the tale.
pub type Listener = Box<dyn FnMut(&str)>;

/// Tells a course as it is played, if somebody listens.
#[derive(Default)]
pub(super) struct Tale(Option<Listener>);

impl Tale {
    pub(super) fn to(listener: Listener) -> Self {
        Self(Some(listener))
    }

    /// Something that was done.
    pub(super) fn step(&mut self, now: Time, what: &str) {
        if let Some(listener) = &mut self.0 {
            listener(&format!("{now} == {what}"));
        }
    }

    /// What these hosts' machines have said since the last time, and lets them
    /// forget it.
    pub(super) fn events(&mut self, world: &mut World, hosts: &[(&str, HostId)]) {
        if let Some(listener) = &mut self.0 {
            let mut lines = Vec::new();
            for (name, id) in hosts {
                let host = world.host(*id);
                let mut line = |at: Time, what: String| lines.push((at, format!("{name} {what}")));
                host.events.iter().for_each(|(at, event)| line(*at, format!("{event:?}")));
                let coordinator = &host.coordinator_events;
                coordinator.iter().for_each(|(at, event)| line(*at, format!("{event:?}")));
                host.relay_events.iter().for_each(|(at, event)| line(*at, format!("{event:?}")));
            }
            lines.sort_by_key(|(at, _)| *at);
            lines.iter().for_each(|(at, line)| listener(&format!("{at} {line}")));
        }
        hosts.iter().for_each(|(_, id)| world.host_mut(*id).forget_events());
    }
}
