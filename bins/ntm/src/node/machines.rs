use std::collections::BTreeMap;
use std::net::IpAddr;

use ntm_core::Time;
use ntm_core::address::Leg;
use ntm_core::coordinator::{Coordinator, CoordinatorEvent};
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::{Route, Snapshot};
use ntm_core::relay::{Relay, RelayEvent};
use ntm_core::terminal::{Terminal, TerminalEvent};
use ntm_core::wire::{Handshake1, Header, Kind, RoleTag};

/// The machines of a node: one of each role that it has, driven as one.
#[derive(Default)]
pub(crate) struct Machines {
    pub(crate) terminal: Option<Terminal>,
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) relay: Option<Relay>,
}

/// What a machine has to say.
pub(crate) enum Output {
    Terminal(TerminalEvent),
    Coordinator(CoordinatorEvent),
    Relay(RelayEvent),
    Send(Leg, Vec<u8>),
    Ask(Asker, EffectId, Effect),
}

/// Which machine asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Terminal,
    Coordinator,
}

impl Machines {
    /// A datagram, for the role that it says it is for.
    pub(crate) fn handle_datagram(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        if is_for_coordinator(datagram) {
            if let Some(coordinator) = &mut self.coordinator {
                coordinator.handle_datagram(now, leg, datagram);
            }
            return;
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.handle_datagram(now, leg, datagram);
        }
        if let Some(relay) = &mut self.relay {
            relay.handle_datagram(now, leg, datagram);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if let Some(terminal) = &mut self.terminal {
            terminal.handle_timeout(now);
        }
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.handle_timeout(now);
        }
        if let Some(relay) = &mut self.relay {
            relay.handle_timeout(now);
        }
    }

    pub(crate) fn handle_outcome(
        &mut self,
        now: Time,
        asker: Asker,
        id: EffectId,
        outcome: Outcome,
    ) {
        match asker {
            Asker::Terminal => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.handle_outcome(now, id, outcome);
                }
            }
            Asker::Coordinator => {
                if let Some(coordinator) = &mut self.coordinator {
                    coordinator.handle_outcome(now, id, outcome);
                }
            }
        }
    }

    /// The destinations whose routes matter.
    pub(crate) fn destinations(&self) -> Vec<IpAddr> {
        let terminal = self.terminal.as_ref().map(Terminal::destinations).unwrap_or_default();
        let relay = self.relay.as_ref().map(Relay::destinations).unwrap_or_default();
        let mut all = [terminal, relay].concat();
        all.sort();
        all.dedup();
        all
    }

    /// The single links to ask about, each with its destinations.
    pub(crate) fn links_in_question(
        &self,
        snapshot: &Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) -> BTreeMap<u32, Vec<IpAddr>> {
        let mut links = BTreeMap::<u32, Vec<IpAddr>>::new();
        let terminal = self.terminal.as_ref();
        let asked = terminal.map(|terminal| terminal.links_in_question(snapshot, routes));
        for (link, ip) in asked.into_iter().flatten() {
            links.entry(link).or_default().push(ip);
        }
        links
    }

    pub(crate) fn handle_addresses(
        &mut self,
        now: Time,
        snapshot: &Snapshot,
        routes: &[(IpAddr, Option<Route>)],
        links: Vec<(IpAddr, Route)>,
    ) {
        if let Some(terminal) = &mut self.terminal {
            terminal.note_links(links);
            terminal.handle_addresses(now, snapshot.clone(), routes);
        }
        if let Some(relay) = &mut self.relay {
            relay.handle_addresses(now, snapshot.clone(), routes);
        }
    }

    /// The machine has slept.
    pub(crate) fn handle_wake(&mut self, now: Time) {
        if let Some(terminal) = &mut self.terminal {
            terminal.handle_wake(now);
        }
        if let Some(relay) = &mut self.relay {
            relay.handle_wake(now);
        }
    }

    /// The next output of any machine. Changes of tables come before the
    /// datagrams that rely on them.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        let mut datagram = Vec::new();
        if let Some(terminal) = &mut self.terminal {
            if let Some(event) = terminal.poll_event() {
                return Some(Output::Terminal(event));
            }
            if let Some(leg) = terminal.poll_transmit(&mut datagram) {
                return Some(Output::Send(leg, datagram));
            }
            if let Some((id, effect)) = terminal.poll_effect() {
                return Some(Output::Ask(Asker::Terminal, id, effect));
            }
        }
        if let Some(coordinator) = &mut self.coordinator {
            if let Some(event) = coordinator.poll_event() {
                return Some(Output::Coordinator(event));
            }
            if let Some(leg) = coordinator.poll_transmit(&mut datagram) {
                return Some(Output::Send(leg, datagram));
            }
            if let Some((id, effect)) = coordinator.poll_effect() {
                return Some(Output::Ask(Asker::Coordinator, id, effect));
            }
        }
        if let Some(relay) = &mut self.relay {
            if let Some(event) = relay.poll_event() {
                return Some(Output::Relay(event));
            }
            if let Some(leg) = relay.poll_transmit(&mut datagram) {
                return Some(Output::Send(leg, datagram));
            }
        }
        None
    }

    /// The next deadline, and what it is for.
    pub(crate) fn deadline(&self) -> Option<(Time, &'static str)> {
        let terminal = self.terminal.as_ref().and_then(Terminal::poll_timeout);
        let coordinator = self.coordinator.as_ref().and_then(Coordinator::poll_timeout);
        let relay = self.relay.as_ref().and_then(Relay::poll_timeout);
        [terminal, coordinator, relay].into_iter().flatten().min()
    }
}

fn is_for_coordinator(datagram: &[u8]) -> bool {
    match Kind::of(datagram) {
        Ok(Kind::Handshake1) => {
            Handshake1::parse(datagram).is_ok_and(|first| first.role == RoleTag::Coordinator)
        }
        // The flag says that the coordinator is the sender.
        Ok(Kind::Signalling) => Header::parse(datagram).is_ok_and(|h| !h.envelope.lower),
        Ok(
            Kind::Capsule
            | Kind::Control
            | Kind::Handshake2
            | Kind::Cookie
            | Kind::Bind
            | Kind::BindAck
            | Kind::UnknownSession
            | Kind::Punch,
        )
        | Err(_) => false,
    }
}
