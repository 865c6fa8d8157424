use std::net::{IpAddr, SocketAddr};

use ntm_core::address::{Leg, LocalPin, TransportId};
use ntm_core::coordinator::{Coordinator, CoordinatorEvent};
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::memory::{MemoryRegistry, Sequential};
use ntm_core::plugin::{
    LocalAddress, LocalInterface, Plan, PlanRequest, Record, Route, Snapshot, Vip as _,
};
use ntm_core::relay::{ForwardTable, Relay, RelayEvent, Verdict};
use ntm_core::terminal::{Terminal, TerminalEvent};
use ntm_core::tunnel::{Carrier, Dscp, Inbound, Outbound, Table, Traffic};
use ntm_core::wire::{Envelope, Header, Kind};
use ntm_core::{Rng, Time};

use crate::net::Link;

/// Which host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// An address of a host, and the NAT it lies behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The address.
    pub ip: IpAddr,
    /// The NAT between it and the rest; `None`: a global address.
    pub nat: Option<crate::NatId>,
}

impl Attachment {
    /// A global address.
    pub fn global(ip: impl Into<IpAddr>) -> Self {
        Self { ip: ip.into(), nat: None }
    }

    /// A private address behind a NAT.
    pub fn behind(nat: crate::NatId, ip: impl Into<IpAddr>) -> Self {
        Self { ip: ip.into(), nat: Some(nat) }
    }
}

/// The machines of a host.
#[derive(Debug, Default)]
pub struct Roles {
    /// The terminal, if it is one.
    pub terminal: Option<Terminal>,
    /// The coordinator, if it is one.
    pub coordinator: Option<Coordinator>,
    /// The relay, if it is one.
    pub relay: Option<Relay>,
}

/// A packet that reached an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// When.
    pub at: Time,
    /// The whole packet.
    pub packet: Vec<u8>,
}

/// A computer with one UDP socket and any number of roles.
#[derive(Debug)]
pub struct Host {
    /// Its machines.
    pub roles: Roles,
    /// What its applications received.
    pub received: Vec<Received>,
    /// What its terminal said, but for changes of the table.
    pub events: Vec<(Time, TerminalEvent)>,
    /// What its coordinator said.
    pub coordinator_events: Vec<(Time, CoordinatorEvent)>,
    /// What its relay said, but for changes of the table.
    pub relay_events: Vec<(Time, RelayEvent)>,
    /// Its link to the network.
    pub link: Link,
    /// Its addresses, at most one of each family.
    pub attachments: Vec<Attachment>,
    /// The port of its socket.
    pub port: u16,
    /// Whether it runs.
    pub alive: bool,
    /// Datagrams it sent.
    pub sent: u64,
    /// What survives it: the coordinator's registry, the terminal's pins.
    pub registry: MemoryRegistry,
    vips: Sequential,
    generation: u64,
    table: Table,
    carrier: Carrier,
    forwards: ForwardTable,
    decide: fn(&PlanRequest) -> Plan,
    traffic: Vec<(ntm_core::id::PathId, Traffic)>,
}

/// Datagrams to send, with where to.
pub(crate) type Outputs = Vec<(SocketAddr, Vec<u8>)>;

impl Host {
    pub(crate) fn new(roles: Roles, port: u16, decide: fn(&PlanRequest) -> Plan) -> Self {
        let mut rng = Rng::from_seed([0; 32]);
        let table = Table::new(&mut rng);
        let carrier = Carrier::new(table.reader(), Dscp::Clear);
        Self {
            roles,
            received: Vec::new(),
            events: Vec::new(),
            coordinator_events: Vec::new(),
            relay_events: Vec::new(),
            link: Link::default(),
            attachments: Vec::new(),
            port,
            alive: true,
            sent: 0,
            registry: MemoryRegistry::default(),
            vips: Sequential::default(),
            generation: 0,
            table,
            carrier,
            forwards: ForwardTable::new(&mut rng),
            decide,
            traffic: Vec::new(),
        }
    }

    /// Starts again with fresh machines: the memory is gone, the registry stays.
    pub(crate) fn restart(&mut self, roles: Roles) {
        let mut rng = Rng::from_seed([0; 32]);
        self.roles = roles;
        self.table = Table::new(&mut rng);
        self.carrier = Carrier::new(self.table.reader(), Dscp::Clear);
        self.forwards = ForwardTable::new(&mut rng);
        self.vips = Sequential::default();
        self.traffic.clear();
        self.alive = true;
    }

    /// The terminal.
    ///
    /// # Panics
    /// The host is none: a bug of the test.
    pub fn terminal(&self) -> &Terminal {
        self.roles.terminal.as_ref().expect("this host is a terminal")
    }

    /// The tunnel table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Packets dropped, by reason.
    pub fn dropped(&self) -> ntm_core::tunnel::Dropped {
        self.carrier.dropped()
    }

    /// Packets and bytes that the relay has forwarded for a path.
    pub fn forwarded(&self, path: &ntm_core::id::PathId) -> (u64, u64) {
        self.forwards.reader().take().forwarded(path).unwrap_or_default()
    }

    /// How it reaches a family now.
    pub(crate) fn attachment(&self, ipv6: bool) -> Option<Attachment> {
        self.attachments.iter().find(|a| a.ip.is_ipv6() == ipv6).copied()
    }

    /// Is plugged in somewhere else.
    pub(crate) fn attach(&mut self, now: Time, attachments: &[Attachment]) {
        self.attachments = attachments.to_vec();
        self.generation += 1;
        self.look(now);
    }

    fn snapshot(&self) -> Snapshot {
        let address = |attachment: &Attachment| LocalAddress {
            ip: attachment.ip,
            prefix: if attachment.ip.is_ipv6() { 64 } else { 24 },
            usable: true,
            preferred: true,
        };
        Snapshot {
            interfaces: vec![LocalInterface {
                index: 2,
                name: "eth0".into(),
                running: !self.attachments.is_empty(),
                generation: self.generation,
                loopback: false,
                addresses: self.attachments.iter().map(address).collect(),
            }],
        }
    }

    fn route(&self, to: IpAddr) -> Option<Route> {
        let attachment = self.attachment(to.is_ipv6())?;
        Some(Route { source: attachment.ip, ifindex: 2, mtu: 1500 })
    }

    /// Does what a watcher's event makes a driver do.
    fn look(&mut self, now: Time) {
        let snapshot = self.snapshot();
        if let Some(terminal) = &self.roles.terminal {
            let routes: Vec<_> =
                terminal.destinations().into_iter().map(|ip| (ip, self.route(ip))).collect();
            if let Some(terminal) = &mut self.roles.terminal {
                terminal.handle_addresses(now, snapshot.clone(), &routes);
            }
        }
        if let Some(relay) = &self.roles.relay {
            let routes: Vec<_> =
                relay.destinations().into_iter().map(|ip| (ip, self.route(ip))).collect();
            if let Some(relay) = &mut self.roles.relay {
                relay.handle_addresses(now, snapshot, &routes);
            }
        }
    }

    /// A datagram arrives: forwarded, opened, or for one of the machines.
    pub(crate) fn arrive(
        &mut self,
        now: Time,
        from: SocketAddr,
        to: SocketAddr,
        datagram: &[u8],
        out: &mut Outputs,
    ) {
        let local = Some(LocalPin { ip: to.ip(), ifindex: 2 });
        let leg = Leg { transport: TransportId(0), remote: from, local };
        let Ok(envelope) = Envelope::parse(datagram) else {
            return self.strange(now, &leg, datagram);
        };
        let is_paths = matches!(
            envelope.kind,
            Kind::Capsule | Kind::Control | Kind::Handshake1 | Kind::Handshake2
        );
        if is_paths {
            let verdict =
                self.forwards.reader().take().verdict(now, &leg, &envelope, datagram.len());
            match verdict {
                Verdict::To(other) => return out.push((other.remote, datagram.to_vec())),
                Verdict::Drop => return,
                Verdict::Exhausted => {
                    if let Some(relay) = &mut self.roles.relay {
                        relay.handle_exhausted(ntm_core::id::PathId::from_bytes(envelope.id));
                    }
                    return;
                }
                Verdict::NotRelayed => {}
            }
        }
        if envelope.kind == Kind::Capsule {
            let mut capsule = datagram.to_vec();
            if let Inbound::Packet { packet, seen } =
                self.carrier.inbound(now, &leg, 0, &mut capsule)
            {
                self.received.push(Received { at: now, packet: packet.to_vec() });
                if let (Some(seen), Some(terminal)) = (seen, &mut self.roles.terminal) {
                    terminal.handle_seen(now, &seen.path, &seen.leg, seen.epoch_low);
                }
            }
            return;
        }
        self.strange(now, &leg, datagram);
    }

    /// Not for a worker: the machines look at it.
    fn strange(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let to_coordinator = match Kind::of(datagram) {
            Ok(Kind::Handshake1) => datagram.get(2) == Some(&2),
            Ok(Kind::Signalling) => {
                Header::parse(datagram).is_ok_and(|header| !header.envelope.lower)
            }
            Ok(_) | Err(_) => false,
        };
        if to_coordinator {
            if let Some(coordinator) = &mut self.roles.coordinator {
                coordinator.handle_datagram(now, leg, datagram);
            }
            return;
        }
        if let Some(terminal) = &mut self.roles.terminal {
            terminal.handle_datagram(now, leg, datagram);
        }
        if let Some(relay) = &mut self.roles.relay {
            relay.handle_datagram(now, leg, datagram);
        }
    }

    /// An application sends a packet.
    pub(crate) fn application_sends(&mut self, now: Time, packet: &[u8], out: &mut Outputs) {
        let mut capsule = Vec::new();
        match self.carrier.outbound(now, packet, &mut capsule) {
            Outbound::To { leg, .. } => out.push((leg.remote, capsule)),
            Outbound::Held { miss: Some(vip) } => {
                if let Some(terminal) = &mut self.roles.terminal {
                    terminal.handle_miss(now, vip);
                }
            }
            Outbound::Answer(answer) => self.received.push(Received { at: now, packet: answer }),
            Outbound::Held { miss: None } | Outbound::Dropped => {}
        }
    }

    /// Tells the terminal of the traffic since the last time; whether there was
    /// any.
    pub(crate) fn report_traffic(&mut self, now: Time) -> bool {
        let traffic: Vec<_> =
            self.table.tunnels().map(|tunnel| (tunnel.path, tunnel.traffic())).collect();
        let changed = traffic != self.traffic;
        if changed && let Some(terminal) = &mut self.roles.terminal {
            for (path, traffic) in &traffic {
                terminal.handle_traffic(now, path, *traffic);
            }
        }
        self.traffic = traffic;
        changed
    }

    pub(crate) fn timeout(&mut self, now: Time) {
        if let Some(terminal) = &mut self.roles.terminal {
            terminal.handle_timeout(now);
        }
        if let Some(coordinator) = &mut self.roles.coordinator {
            coordinator.handle_timeout(now);
        }
        if let Some(relay) = &mut self.roles.relay {
            relay.handle_timeout(now);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let terminal = self.roles.terminal.as_ref().and_then(|t| t.poll_timeout());
        let coordinator = self.roles.coordinator.as_ref().and_then(|c| c.poll_timeout());
        let relay = self.roles.relay.as_ref().and_then(|r| r.poll_timeout());
        [terminal, coordinator, relay].into_iter().flatten().map(|(at, _)| at).min()
    }

    /// Takes every output of every machine until there is none.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is of no concern here is kept")]
    pub(crate) fn drain(&mut self, now: Time, out: &mut Outputs) {
        let mut buffer = Vec::new();
        loop {
            let mut quiet = true;
            if let Some(terminal) = &mut self.roles.terminal {
                while let Some((id, effect)) = terminal.poll_effect() {
                    quiet = false;
                    let outcome = match &effect {
                        Effect::Routes(ips) => Outcome::Routed(
                            ips.iter()
                                .map(|ip| {
                                    let way = self
                                        .attachments
                                        .iter()
                                        .find(|a| a.ip.is_ipv6() == ip.is_ipv6());
                                    let route = way.map(|way| Route {
                                        source: way.ip,
                                        ifindex: 2,
                                        mtu: 1500,
                                    });
                                    (*ip, route)
                                })
                                .collect(),
                        ),
                        other => storage(&self.registry, &self.vips, self.decide, other),
                    };
                    terminal.handle_outcome(now, id, outcome);
                }
                while let Some(event) = terminal.poll_event() {
                    quiet = false;
                    match event {
                        TerminalEvent::Table(event) => self.table.apply(now, &event),
                        other => self.events.push((now, other)),
                    }
                }
                while let Some(leg) = terminal.poll_transmit(&mut buffer) {
                    quiet = false;
                    out.push((leg.remote, std::mem::take(&mut buffer)));
                }
            }
            if let Some(coordinator) = &mut self.roles.coordinator {
                let effects: Vec<(EffectId, Effect)> =
                    std::iter::from_fn(|| coordinator.poll_effect()).collect();
                for (id, effect) in effects {
                    quiet = false;
                    let outcome = storage(&self.registry, &self.vips, self.decide, &effect);
                    coordinator.handle_outcome(now, id, outcome);
                }
                while let Some(event) = coordinator.poll_event() {
                    quiet = false;
                    self.coordinator_events.push((now, event));
                }
                while let Some(leg) = coordinator.poll_transmit(&mut buffer) {
                    quiet = false;
                    out.push((leg.remote, std::mem::take(&mut buffer)));
                }
            }
            if let Some(relay) = &mut self.roles.relay {
                while let Some(event) = relay.poll_event() {
                    quiet = false;
                    match event {
                        RelayEvent::Forward(event) => self.forwards.apply(now, &event),
                        other => self.relay_events.push((now, other)),
                    }
                }
                while let Some(leg) = relay.poll_transmit(&mut buffer) {
                    quiet = false;
                    out.push((leg.remote, std::mem::take(&mut buffer)));
                }
            }
            if quiet {
                break;
            }
        }
        self.carrier.release(now, |leg, _, _, capsule| out.push((leg.remote, capsule.to_vec())));
        self.sent += out.len() as u64;
    }
}

/// The plugins of a host, answering at once.
fn storage(
    registry: &MemoryRegistry,
    vips: &Sequential,
    decide: fn(&PlanRequest) -> Plan,
    effect: &Effect,
) -> Outcome {
    match effect {
        Effect::Load => {
            let records = registry.records();
            let leases: Vec<_> = records
                .iter()
                .filter_map(|record| match record {
                    Record::Node(node) => node.vips,
                    Record::Quarantine { vips, .. } => Some(*vips),
                    Record::Domain { .. } => None,
                })
                .collect();
            vips.keep(&leases);
            Outcome::Loaded(Ok((records, vips.ranges())))
        }
        Effect::Store(writes) => {
            registry.apply(writes.clone());
            Outcome::Stored(Ok(()))
        }
        Effect::Lease { .. } => Outcome::Leased(vips.take()),
        Effect::Release(_) => Outcome::Stored(Ok(())),
        Effect::Plan(request) => Outcome::Planned(Ok(decide(request))),
        Effect::Routes(_) => Outcome::Routed(Vec::new()),
    }
}
