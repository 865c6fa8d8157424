//! What must never happen, looked for after every step.

use std::net::IpAddr;

use ntm_core::wire::Kind;

use super::flight::{Flight, epoch_in};
use super::{Stale, World};
use crate::host::{Done, Machine, TERMINALS, Who};

impl World {
    pub(super) fn look_at_tunnels(&mut self, who: Who) {
        let tunnels = self.host(who).terminal().status(self.now).tunnels;
        let Some(first) = tunnels.first() else { return };
        let path = *self.path.get_or_insert(first.path);
        if tunnels.len() > 1 || first.path != path {
            self.broken.double.get_or_insert(who);
        }
    }

    /// What of this datagram tells its receiver of a terminal's epoch.
    pub(super) fn note_what_was_told(&mut self, who: Who, flight: &Flight, done: &Done) {
        let Some((kind, low)) = epoch_in(&flight.bytes) else { return };
        let accepted = |name| done.accepted.contains(&name);
        match (who, kind) {
            (Who::Mn | Who::Cn, Kind::Control) => {
                let names =
                    ["Tunnel Request", "Tunnel Response", "Challenge", "Challenge Response"];
                if names.into_iter().any(accepted) {
                    self.knowledge.told(who, who.peer(), low);
                }
            }
            (Who::Dc, Kind::Signalling) if accepted("Registration Request") => {
                self.knowledge.told(who, flight.sender, low);
            }
            (Who::Rs, Kind::Bind) if accepted("Bind") => {
                self.knowledge.told(who, flight.sender, low);
            }
            _ => {}
        }
    }

    /// Where a terminal's packets go.
    pub(super) fn way_of(&self, who: Who) -> Option<IpAddr> {
        if !TERMINALS.contains(&who) {
            return None;
        }
        let tunnels = self.host(who).terminal().status(self.now).tunnels;
        Some(tunnels.first()?.way?.leg.remote.ip())
    }

    /// Where the coordinator takes a terminal to be.
    pub(super) fn location_of(&self, who: Who, terminal: Who) -> Option<IpAddr> {
        let Machine::Coordinator(coordinator) = &self.host(who).machine else { return None };
        let members = coordinator.status().members;
        let member = members.iter().find(|m| m.record.name.as_str() == terminal.name())?;
        let (_, presence) = member.present.first()?;
        presence.location.observed.first().map(|seen| seen.candidate.addr.ip())
    }

    pub(super) fn look_for_stale(
        &mut self,
        who: Who,
        way: Option<IpAddr>,
        location: Option<IpAddr>,
        speaker: Who,
        done: &Done,
    ) {
        let found = match who {
            Who::Mn | Who::Cn => {
                let news = self.way_of(who).filter(|ip| Some(*ip) != way);
                news.map(|ip| (who.peer(), ip))
            }
            Who::Dc => {
                let news = self.location_of(who, speaker).filter(|ip| Some(*ip) != location);
                news.map(|ip| (speaker, ip))
            }
            Who::Rs => {
                let places = done.bound.iter().flat_map(|end| TERMINALS.map(|t| (t, end.ip())));
                places.into_iter().find(|(t, ip)| self.knowledge.is_stale(who, *t, *ip))
            }
        };
        if let Some((speaker, ip)) = found
            && self.knowledge.is_stale(who, speaker, ip)
        {
            self.broken.stale.get_or_insert(Stale { listener: who, speaker, ip });
        }
    }
}
