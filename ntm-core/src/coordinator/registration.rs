//! Registration: who is where, and what it is called.

use std::time::Duration;

use super::members::Station;
use super::presence::{News, Presence};
use super::{Coordinator, CoordinatorEvent, Failure, Why};
use crate::Time;
use crate::address::{Candidate, Leg, Vips};
use crate::machine::Effect;
use crate::plugin::{MemberRole, NodeRecord, PluginError, Record, Write};
use crate::wire::{
    Refusal, RegistrationRequest, RegistrationResponse, RequestId, Signal, SignalBody, Token,
};

impl Coordinator {
    pub(super) fn handle_registration(
        &mut self,
        now: Time,
        station: Station,
        leg: &Leg,
        id: RequestId,
        request: RegistrationRequest,
    ) {
        let Some(record) = self.members.get(&station.key) else { return };
        let needs_vips = station.role == MemberRole::Terminal && record.vips.is_none();
        if needs_vips {
            let (name, key) = (record.name.clone(), record.key);
            let Some(state) = self.members.station(station) else { return };
            let is_of = |other: &Leg| {
                (other.transport, other.remote.is_ipv6()) == (leg.transport, leg.remote.is_ipv6())
            };
            state.waiting.retain(|(other, _, _)| !is_of(other));
            state.waiting.push((*leg, id, request));
            let asked = self.effects.is_open(|why| why.leases_to(station));
            let asking = || Effect::Lease { name, key };
            if !asked && self.effects.ask(now, asking(), Why::Lease(station)).is_err() {
                self.refuse_waiting(station, Refusal::Busy);
            }
            return;
        }
        self.accept(now, station, leg, id, request);
    }

    /// The allocator has chosen addresses: they count once they are stored.
    pub(super) fn leased(&mut self, now: Time, station: Station, vips: Result<Vips, PluginError>) {
        let vips = match vips {
            Ok(vips) if self.is_free(&vips) => vips,
            Ok(vips) => {
                let said = Some(format!("the allocator handed out {vips} twice, or nothing"));
                let wanted = "virtual addresses for a node";
                self.out.event(CoordinatorEvent::Failure(Failure { wanted, said }));
                return self.refuse_waiting(station, Refusal::Failure);
            }
            Err(error) => {
                let failure = Failure::new("virtual addresses for a node", Some(&error));
                self.out.event(CoordinatorEvent::Failure(failure));
                return self.refuse_waiting(station, Refusal::Failure);
            }
        };
        let Some(record) = self.members.get(&station.key) else {
            // It was removed meanwhile.
            let _full = self.effects.ask(now, Effect::Release(vips), Why::Nothing);
            return;
        };
        let mut record = record.clone();
        record.vips = Some(vips);
        let write = Write::Put(Record::Node(record.clone()));
        let why = Why::StoreLease(station, record);
        if self.effects.ask(now, Effect::Store(vec![write]), why).is_err() {
            self.refuse_waiting(station, Refusal::Busy);
        }
    }

    /// What was leased is durable, and counts.
    pub(super) fn lease_stored(&mut self, now: Time, station: Station, record: NodeRecord) {
        // Unless it was removed meanwhile, in the registry after this.
        if self.members.get(&station.key).is_some() {
            self.members.put(record);
            self.resume(now, station);
        }
    }

    fn is_free(&self, vips: &Vips) -> bool {
        let rest = |vip| self.quarantine.iter().any(|(resting, _)| resting.contains(vip));
        !vips.is_empty() && !self.members.is_taken(vips) && !vips.iter().any(rest)
    }

    /// Answers the registration that was waiting for addresses: each copy, since each
    /// was seen from elsewhere.
    pub(super) fn resume(&mut self, now: Time, station: Station) {
        for (leg, id, request) in self.waiting(station) {
            self.accept(now, station, &leg, id, request);
        }
    }

    fn waiting(&mut self, station: Station) -> Vec<(Leg, RequestId, RegistrationRequest)> {
        let state = self.members.station(station);
        state.map(|state| std::mem::take(&mut state.waiting)).unwrap_or_default()
    }

    pub(super) fn refuse_waiting(&mut self, station: Station, refusal: Refusal) {
        for (leg, request, _) in self.waiting(station) {
            let body = SignalBody::Refusal(refusal);
            self.tell_at(station, &leg, &Signal { request, body });
        }
    }

    /// What this address is called by others: a role of our own node comes by
    /// loopback, and is reached at our public address.
    pub(super) fn observe(&self, leg: &Leg) -> Candidate {
        let kind = self.node.kind_of(leg.transport);
        let mut addr = leg.remote;
        if addr.ip().is_loopback()
            && let Some(public) =
                self.config.public.iter().find(|own| own.addr.is_ipv6() == addr.is_ipv6())
        {
            addr.set_ip(public.addr.ip());
        }
        Candidate { kind, addr }
    }

    fn accept(
        &mut self,
        now: Time,
        station: Station,
        leg: &Leg,
        id: RequestId,
        request: RegistrationRequest,
    ) {
        let observed = self.observe(leg);
        let Some(state) = self.members.station(station) else { return };
        let RegistrationRequest { epoch, claimed, paths, token } = request;
        let news = match &mut state.presence {
            Some(presence) => presence.update(now, epoch, claimed, observed, leg.back()),
            none => {
                let leg = leg.back();
                *none = Some(Presence::new(now, epoch, claimed, observed, leg));
                News::Moved
            }
        };
        let Some(presence) = &mut state.presence else { return };
        let proves = token.is_some_and(|token| presence.prove(&observed, &token));
        let clocks = &self.config.clocks;
        let natted = presence.is_natted(&observed);
        let (lifetime, keep_alive) = match station.role {
            MemberRole::Relay => (clocks.keep_alive_relay * 7 / 2, clocks.keep_alive_relay),
            MemberRole::Terminal if natted => (clocks.lifetime, clocks.keep_alive_natted),
            MemberRole::Terminal => (clocks.lifetime, clocks.keep_alive_open),
        };
        if news != News::Stale {
            presence.expires = now + lifetime;
        }
        let challenge = presence.challenge(&observed, &mut self.rng);
        let epoch_seen = presence.epoch;
        let response = self.response(now, station, observed, challenge, lifetime, keep_alive);
        let response = RegistrationResponse { epoch_seen, ..response };
        let body = SignalBody::RegistrationResponse(response);
        self.tell_at(station, leg, &Signal { request: id, body });
        self.watch(station);
        if proves {
            self.tell_what_waited(now, station);
        }
        if news == News::Stale {
            return;
        }
        if news == News::Moved
            && let Some(record) = self.members.get(&station.key)
        {
            let (name, role) = (record.name.clone(), station.role);
            self.out.event(CoordinatorEvent::Registered { name, role, epoch, natted });
        }
        if station.role == MemberRole::Terminal {
            self.direct_after_move(now, station, &paths, news == News::Moved);
        }
    }

    fn response(
        &self,
        now: Time,
        station: Station,
        observed: Candidate,
        challenge: Option<Token>,
        lifetime: Duration,
        keep_alive: Duration,
    ) -> RegistrationResponse {
        let domain = self.domain.as_ref();
        let record = self.members.get(&station.key);
        let is_relay = station.role == MemberRole::Relay;
        let seconds = |span: Duration| span.as_secs().max(1);
        RegistrationResponse {
            epoch_seen: Default::default(),
            vips: record.and_then(|record| record.vips).filter(|_| !is_relay).unwrap_or_default(),
            ranges: domain.map(|domain| domain.ranges.clone()).unwrap_or_default(),
            salt: domain.map(|domain| domain.salt).unwrap_or_default(),
            observed,
            challenge,
            lifetime: u32::try_from(seconds(lifetime)).unwrap_or(u32::MAX),
            keep_alive: u16::try_from(seconds(keep_alive)).unwrap_or(u16::MAX),
            coordinators: self.config.public.clone(),
            unix: self.node.unix(now),
            ticket_key: is_relay.then(|| self.ticket_key(&station.key)),
        }
    }

    pub(super) fn handle_keep_alive(
        &mut self,
        now: Time,
        station: Station,
        leg: &Leg,
        request: RequestId,
        token: Option<Token>,
    ) {
        let observed = self.observe(leg);
        let keep_alive = self.config.clocks.keep_alive_relay;
        let mut proves = false;
        let known = match self.members.station(station).and_then(|s| s.presence.as_mut()) {
            Some(presence) => {
                if let Some(token) = token {
                    proves = presence.prove(&observed, &token);
                }
                presence.heard(&observed, leg.back());
                if station.role == MemberRole::Relay {
                    presence.expires = now + keep_alive * 7 / 2;
                }
                true
            }
            None => false,
        };
        let body = if known {
            SignalBody::KeepAliveAck { observed }
        } else {
            SignalBody::Refusal(Refusal::Unregistered)
        };
        self.tell_at(station, leg, &Signal { request, body });
        self.watch(station);
        if proves {
            self.tell_what_waited(now, station);
        }
    }

    pub(super) fn handle_goodbye(&mut self, station: Station) {
        self.part_with(station, true);
        if let Some(id) = self.members.station(station).and_then(|state| state.session.take()) {
            self.end_session(id);
        }
    }

    /// The station is not there any more.
    pub(super) fn part_with(&mut self, station: Station, farewell: bool) {
        let Some(state) = self.members.station(station) else { return };
        if state.presence.take().is_some()
            && let Some(record) = self.members.get(&station.key)
        {
            let (name, role) = (record.name.clone(), station.role);
            self.out.event(CoordinatorEvent::Gone { name, role, farewell });
        }
        self.watch(station);
    }

    /// The station's clock has run out: its registration, or the proof of its
    /// location.
    pub(super) fn station_timeout(&mut self, now: Time, station: Station) {
        let Some(presence) = self.members.station(station).and_then(|s| s.presence.as_mut()) else {
            return;
        };
        if presence.expires <= now {
            return self.part_with(station, false);
        }
        if presence.lapses().is_some_and(|at| at <= now) {
            presence.lapse();
        }
        self.watch(station);
    }
}
