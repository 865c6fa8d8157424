//! What the machines say, and to whom it goes.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use ntm_core::Time;
use ntm_core::address::{Leg, TransportId};
use ntm_core::coordinator::CoordinatorEvent;
use ntm_core::id::SessionId;
use ntm_core::machine::Effect;
use ntm_core::plugin::InterfaceSettings;
use ntm_core::relay::RelayEvent;
use ntm_core::terminal::{Cause, Phase, TerminalEvent};
use ntm_core::tunnel::addressed;
use serde_json::Value;
use tracing::debug;

use super::control::Response;
use super::look::LOOK_AGAIN;
use super::machines::Output;
use super::{Node, log};
use crate::clock;

impl Node {
    /// Takes every output until there is none.
    pub(super) async fn drain(&mut self) {
        self.look_after_pings();
        let mut tables_changed = false;
        while self.drain_once().await {
            tables_changed = true;
            // Another way may have less room, or more.
            if !self.look_after_payloads() {
                break;
            }
        }
        if tables_changed {
            self.workers.wake();
        }
    }

    /// Takes what machines have to say now; whether tables have changed.
    async fn drain_once(&mut self) -> bool {
        let mut tables_changed = false;
        while let Some(output) = self.machines.poll() {
            let now = clock::now();
            match output {
                Output::Terminal(event) => {
                    tables_changed |= matches!(event, TerminalEvent::Table(_));
                    self.hear_terminal(now, event).await;
                }
                Output::Coordinator(event) => {
                    log::coordinator(now, &event);
                    match event {
                        CoordinatorEvent::Session { id, open } => self.mailbox.set_known(id, open),
                        CoordinatorEvent::MembersChanged { name, .. } => {
                            self.waiting.members.end(&name, Response::Ok(Value::Null));
                        }
                        CoordinatorEvent::MemberNotStored { name, failure } => {
                            let message = format!("not stored: {}", log::said(&failure));
                            let response = Response::Error(message);
                            match failure.said {
                                Some(_) => self.waiting.members.end(&name, response),
                                None => self.waiting.members.late(&name, response),
                            }
                        }
                        CoordinatorEvent::Ready { .. }
                        | CoordinatorEvent::Signal(_)
                        | CoordinatorEvent::Registered { .. }
                        | CoordinatorEvent::Gone { .. }
                        | CoordinatorEvent::Directed { .. }
                        | CoordinatorEvent::Refused { .. }
                        | CoordinatorEvent::Failure(_) => {}
                    }
                }
                Output::Relay(event) => {
                    log::relay(now, &event);
                    match event {
                        RelayEvent::Forward(event) => self.forwards.apply(now, &event),
                        RelayEvent::Session(id) => self.note_session(1, id),
                        RelayEvent::Signal(_)
                        | RelayEvent::Registered { .. }
                        | RelayEvent::CoordinatorUnreachable
                        | RelayEvent::RegistrationRefused(_) => {}
                    }
                }
                Output::Send(leg, datagram) => self.send(now, &leg, &datagram),
                Output::Ask(asker, id, Effect::Routes(ips)) => {
                    self.answer_routes(now, asker, id, ips).await;
                }
                Output::Ask(asker, id, effect) => self.questions.ask(asker, id, effect),
            }
        }
        tables_changed
    }

    /// Tells the terminal what transports say of the ways in use; whether that is news.
    pub(super) fn look_after_payloads(&mut self) -> bool {
        let Some(terminal) = &mut self.machines.terminal else { return false };
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let mut payloads = Vec::new();
        for ((_, transport), at) in self.transports.iter().zip(0..) {
            // One that knows nothing of any way is not asked about each.
            if transport.max_payload(anywhere).is_some() {
                let legs = terminal.legs_by(TransportId(at)).into_iter();
                payloads
                    .extend(legs.filter_map(|leg| Some((leg, transport.max_payload(leg.remote)?))));
            }
        }
        let is_news = payloads != self.waiting.payloads;
        if is_news {
            terminal.handle_payloads(clock::now(), &payloads);
            self.waiting.payloads = payloads;
        }
        is_news
    }

    fn note_session(&mut self, at: usize, id: Option<SessionId>) {
        if let Some(before) = std::mem::replace(&mut self.waiting.session[at], id) {
            self.mailbox.set_known(before, false);
        }
        if let Some(id) = id {
            self.mailbox.set_known(id, true);
        }
    }

    pub(super) async fn hear_terminal(&mut self, now: Time, event: TerminalEvent) {
        log::terminal(now, &event);
        match event {
            TerminalEvent::Table(event) => self.table.apply(now, &event),
            TerminalEvent::Session(id) => self.note_session(0, id),
            TerminalEvent::Registered { vips, ranges, .. } => {
                self.configure(InterfaceSettings { vips, ranges, mtu: self.mtu }).await;
            }
            TerminalEvent::Phase { epoch, phase, at } => {
                if matches!(phase, Phase::Detected(Cause::Local { .. })) {
                    self.transports.iter().for_each(|(_, transport)| transport.moved());
                }
                if phase == Phase::Detected(Cause::DeadPath) {
                    self.waiting.silence.note_failure();
                }
                self.handovers.note(epoch, phase, at, &self.table, self.mailbox.stats());
            }
            TerminalEvent::PeerPhase { path, epoch, phase, at } => {
                let stats = self.mailbox.stats();
                self.handovers.note_peer((path, epoch), phase, at, &self.table, stats);
            }
            TerminalEvent::Connected { path, peer, way, .. } => {
                self.handovers.note_way(path, peer, way);
            }
            TerminalEvent::Pong { path, way, rtt } => self.answer_ping(path, &way, rtt),
            TerminalEvent::NoDirection { target, refusal } => {
                let reason =
                    refusal.map_or("the coordinator does not answer".into(), |r| r.to_string());
                self.refuse_pings(now, &target, &reason);
            }
            TerminalEvent::CoordinatorUnreachable => self.waiting.silence.note_failure(),
            TerminalEvent::Signal(_)
            | TerminalEvent::RegistrationRefused(_)
            | TerminalEvent::Disconnected { .. }
            | TerminalEvent::KeyChanged { .. }
            | TerminalEvent::Link { .. } => {}
        }
    }

    pub(super) fn send(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Some((_, transport)) = self.transports.get(usize::from(leg.transport.0)) else {
            return;
        };
        let lanes = transport.lanes();
        let Some(lane) = lanes.first() else { return };
        let packet = addressed(leg, datagram, 0);
        let sent = lane.try_send(&[packet]);
        let error = sent.as_ref().err().map(std::io::Error::kind);
        self.waiting.silence.note_sent(now, leg.transport.0.into(), error);
        match sent {
            Ok(_) => self.handovers.note_sent(now),
            Err(error) => {
                debug!(%error, remote = %leg.remote, "the network would not take a datagram");
                // Sometimes the first to notice that the network has changed.
                let gone = matches!(
                    error.kind(),
                    ErrorKind::NetworkUnreachable
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkDown
                        | ErrorKind::AddrNotAvailable
                );
                if gone && self.waiting.look.is_none() {
                    self.waiting.look = Some(now + LOOK_AGAIN);
                }
            }
        }
    }
}
