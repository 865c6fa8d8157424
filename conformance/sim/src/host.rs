use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntm_core::address::{Leg, LocalPin, TransportId};
use ntm_core::coordinator::{Coordinator, CoordinatorEvent};
use ntm_core::id::PathId;
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::memory::MemoryRegistry;
use ntm_core::plugin::{Plan, PlanRequest, Record, Route};
use ntm_core::relay::{ForwardTable, Relay, RelayEvent, Verdict};
use ntm_core::terminal::{Terminal, TerminalEvent};
use ntm_core::tunnel::{Carrier, Dscp, Inbound, Outbound, Table, Traffic};
use ntm_core::wire::{Envelope, Header, Kind, PORT};
use ntm_core::{Rng, Time};

use crate::link::Link;
use crate::plugged::Answers;
use crate::uplink::{Attachment, Uplinks};
use crate::vips::Pool;

/// Which host of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

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
    /// Datagrams that its machines sent, and packets that were held before.
    pub sent: u64,
    /// Of these, those that are no capsules: what being reachable costs.
    pub signalled: Signalled,
    /// What its machines have worked, on the clock of the machine that simulates.
    pub spent: Duration,
    /// How long its plugins take to answer.
    pub plugin_delay: Duration,
    /// What survives it: the coordinator's registry, the terminal's pins.
    pub registry: MemoryRegistry,
    uplinks: Uplinks,
    /// Whether it runs.
    alive: bool,
    asleep: bool,
    /// How far its clock is ahead of the world's.
    ahead: Duration,
    vips: Pool,
    /// Questions to plugins that have not answered yet, and when they will.
    asked: Vec<(Time, Asker, EffectId, Effect)>,
    table: Table,
    carrier: Carrier,
    forwards: ForwardTable,
    decide: fn(&PlanRequest) -> Plan,
    /// Plugins in the place of the simulated ones.
    pub(crate) answers: Option<Box<dyn Answers>>,
    traffic: Vec<(PathId, Traffic)>,
}

/// Signalling that a host's machines sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signalled {
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes, without those of IP and UDP.
    pub bytes: u64,
}

/// Which machine asks a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Terminal,
    Coordinator,
}

/// The port of a host's second transport, where it has one: QUIC, of which nothing but
/// the port is simulated.
pub const QUIC_PORT: u16 = 443;

/// The transport that listens at this port.
fn transport_at(port: u16) -> TransportId {
    TransportId(u8::from(port == QUIC_PORT))
}

/// The port of this transport.
pub(crate) fn port_of(transport: TransportId) -> u16 {
    if transport == TransportId(0) { PORT } else { QUIC_PORT }
}

/// Datagrams to send, with where to.
pub(crate) type Outputs = Vec<(Leg, Vec<u8>)>;

impl Host {
    pub(crate) fn new(roles: Roles, decide: fn(&PlanRequest) -> Plan) -> Self {
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
            sent: 0,
            signalled: Signalled::default(),
            spent: Duration::ZERO,
            plugin_delay: Duration::ZERO,
            registry: MemoryRegistry::default(),
            uplinks: Uplinks::default(),
            alive: true,
            asleep: false,
            ahead: Duration::ZERO,
            vips: Pool::default(),
            asked: Vec::new(),
            table,
            carrier,
            forwards: ForwardTable::new(&mut rng),
            decide,
            answers: None,
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
        self.vips = Pool::default();
        self.asked.clear();
        self.traffic.clear();
        self.alive = true;
        self.asleep = false;
    }

    /// Ends its process.
    pub(crate) fn kill(&mut self) {
        self.alive = false;
        self.roles = Roles::default();
    }

    /// Whether it does anything at present.
    pub(crate) fn is_up(&self) -> bool {
        self.alive && !self.asleep
    }

    pub(crate) fn set_asleep(&mut self, asleep: bool) {
        self.asleep = asleep;
    }

    /// Its clock leaps ahead.
    pub(crate) fn leap(&mut self, span: Duration) {
        self.ahead += span;
    }

    /// The time on its clock.
    pub(crate) fn clock(&self, now: Time) -> Time {
        now + self.ahead
    }

    /// Its addresses, those that the kernel prefers first.
    pub fn attachments(&self) -> &[Attachment] {
        self.uplinks.attachments()
    }

    /// Whether its process runs.
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Forgets what its applications received and its machines said.
    pub fn forget_events(&mut self) {
        self.received.clear();
        self.events.clear();
        self.coordinator_events.clear();
        self.relay_events.clear();
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
    pub fn forwarded(&self, path: &PathId) -> (u64, u64) {
        self.forwards.reader().take().forwarded(path).unwrap_or_default()
    }

    /// How it reaches a family now.
    pub(crate) fn attachment(&self, ipv6: bool) -> Option<Attachment> {
        self.uplinks.way(ipv6)
    }

    /// How a datagram by this way leaves.
    pub(crate) fn leaves_by(&self, leg: &Leg) -> Option<Attachment> {
        self.uplinks.leaves_by(leg)
    }

    /// Is plugged in somewhere else; nobody has told its machines yet.
    pub(crate) fn attach(&mut self, attachments: &[Attachment]) {
        self.uplinks.attach(attachments);
    }

    fn routes(&self, to: &[IpAddr]) -> Vec<(IpAddr, Option<Route>)> {
        to.iter().map(|ip| (*ip, self.uplinks.route(*ip, self.link.mtu))).collect()
    }

    /// Does what a watcher's event makes a driver do.
    pub(crate) fn look(&mut self, now: Time) {
        let snapshot = self.uplinks.snapshot();
        if let Some(terminal) = &self.roles.terminal {
            let routes = self.routes(&terminal.destinations());
            let links = terminal.links_in_question(&snapshot, &routes);
            let links = links.into_iter().filter_map(|(interface, ip)| {
                Some((ip, self.uplinks.route_by(interface, ip, self.link.mtu)?))
            });
            let links = links.collect();
            if let Some(terminal) = &mut self.roles.terminal {
                terminal.note_links(links);
                terminal.handle_addresses(now, snapshot.clone(), &routes);
            }
        }
        if let Some(relay) = &self.roles.relay {
            let routes = self.routes(&relay.destinations());
            if let Some(relay) = &mut self.roles.relay {
                relay.handle_addresses(now, snapshot, &routes);
            }
        }
    }

    /// Does what waking up makes a driver do.
    pub(crate) fn wake(&mut self, now: Time) {
        self.look(now);
        if let Some(terminal) = &mut self.roles.terminal {
            terminal.handle_wake(now);
        }
        if let Some(relay) = &mut self.roles.relay {
            relay.handle_wake(now);
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
        let ifindex = self.uplinks.interface_of(to.ip());
        let local = Some(LocalPin { ip: to.ip(), ifindex });
        let leg = Leg { transport: transport_at(to.port()), remote: from, local };
        let Ok(envelope) = Envelope::parse(datagram) else {
            return self.strange(now, &leg, datagram);
        };
        if envelope.kind.is_handed_on() {
            let verdict =
                self.forwards.reader().take().verdict(now, &leg, &envelope, datagram.len());
            match verdict {
                Verdict::To(other) => return out.push((other, datagram.to_vec())),
                Verdict::Drop => return,
                Verdict::Exhausted => {
                    if let Some(relay) = &mut self.roles.relay {
                        relay.handle_exhausted(PathId::from_bytes(envelope.id));
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
            let notice = self.carrier.take_notice();
            out.extend(notice.map(|notice| (leg, notice.emit())));
            return;
        }
        let path = PathId::from_bytes(envelope.id);
        if envelope.kind == Kind::Control && !self.carrier.knows(&path) {
            let notice = self.carrier.notice(now, datagram);
            out.extend(notice.map(|notice| (leg, notice.emit())));
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
            Outbound::To { leg, .. } => {
                let mirror = self.carrier.take_mirror();
                out.extend(mirror.map(|mirror| (mirror, capsule.clone())));
                out.push((leg, capsule));
            }
            Outbound::Cut { leg, size, .. } => {
                out.extend(capsule.chunks(size).map(|capsule| (leg, capsule.to_vec())));
            }
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
        let due: Vec<_> = self.asked.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, asker, id, effect) in due {
            self.answer(now, asker, id, &effect);
        }
        if let Some(terminal) = &mut self.roles.terminal {
            for path in terminal.depending_on_traffic(now).collect::<Vec<_>>() {
                if let Some(tunnel) = self.table.get(&path) {
                    terminal.handle_traffic(now, &path, tunnel.traffic());
                }
            }
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
        let machines = [terminal, coordinator, relay].into_iter().flatten().map(|(at, _)| at);
        machines.chain(self.asked.iter().map(|(at, ..)| *at)).min()
    }

    /// A machine asks a plugin something.
    fn ask(&mut self, now: Time, asker: Asker, id: EffectId, effect: Effect) {
        if self.plugin_delay.is_zero() {
            self.answer(now, asker, id, &effect);
        } else {
            self.asked.push((now + self.plugin_delay, asker, id, effect));
        }
    }

    fn answer(&mut self, now: Time, asker: Asker, id: EffectId, effect: &Effect) {
        let plugins = self.answers.as_mut().filter(|_| asker == Asker::Coordinator);
        let plugged = plugins.and_then(|plugins| plugins.answer(effect));
        let outcome = plugged.unwrap_or_else(|| self.simulated(effect));
        match asker {
            Asker::Terminal => {
                if let Some(terminal) = &mut self.roles.terminal {
                    terminal.handle_outcome(now, id, outcome);
                }
            }
            Asker::Coordinator => {
                if let Some(coordinator) = &mut self.roles.coordinator {
                    coordinator.handle_outcome(now, id, outcome);
                }
            }
        }
    }

    /// The answer of the simulated plugins.
    fn simulated(&mut self, effect: &Effect) -> Outcome {
        match effect {
            Effect::Load => {
                let records = self.registry.records();
                for record in &records {
                    match record {
                        Record::Node(node) => node.vips.iter().for_each(|v| self.vips.keep(v)),
                        Record::Quarantine { vips, .. } => self.vips.keep(vips),
                        Record::Domain { .. } => {}
                    }
                }
                Outcome::Loaded(Ok((records, Pool::ranges())))
            }
            Effect::Store(writes) => {
                self.registry.apply(writes.clone());
                Outcome::Stored(Ok(()))
            }
            Effect::Lease { .. } => Outcome::Leased(self.vips.take()),
            Effect::Release(vips) => {
                self.vips.release(vips);
                Outcome::Stored(Ok(()))
            }
            Effect::Plan(request) => Outcome::Planned(Ok((self.decide)(request))),
            Effect::Routes(ips) => Outcome::Routed(self.routes(ips)),
        }
    }

    /// Takes every output of every machine until there is none.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is of no concern here is kept")]
    pub(crate) fn drain(&mut self, now: Time, out: &mut Outputs) {
        let mut buffer = Vec::new();
        loop {
            let mut quiet = true;
            let terminal = self.roles.terminal.as_mut();
            let asked: Vec<_> = terminal
                .map(|terminal| std::iter::from_fn(|| terminal.poll_effect()).collect())
                .unwrap_or_default();
            for (id, effect) in asked {
                quiet = false;
                self.ask(now, Asker::Terminal, id, effect);
            }
            let coordinator = self.roles.coordinator.as_mut();
            let asked: Vec<_> = coordinator
                .map(|coordinator| std::iter::from_fn(|| coordinator.poll_effect()).collect())
                .unwrap_or_default();
            for (id, effect) in asked {
                quiet = false;
                self.ask(now, Asker::Coordinator, id, effect);
            }
            if let Some(terminal) = &mut self.roles.terminal {
                while let Some(event) = terminal.poll_event() {
                    quiet = false;
                    match event {
                        TerminalEvent::Table(event) => self.table.apply(now, &event),
                        other => self.events.push((now, other)),
                    }
                }
                while let Some(leg) = terminal.poll_transmit(&mut buffer) {
                    quiet = false;
                    out.push((leg, std::mem::take(&mut buffer)));
                }
            }
            if let Some(coordinator) = &mut self.roles.coordinator {
                while let Some(event) = coordinator.poll_event() {
                    quiet = false;
                    self.coordinator_events.push((now, event));
                }
                while let Some(leg) = coordinator.poll_transmit(&mut buffer) {
                    quiet = false;
                    out.push((leg, std::mem::take(&mut buffer)));
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
                    out.push((leg, std::mem::take(&mut buffer)));
                }
            }
            if quiet {
                break;
            }
        }
        self.carrier.release(now, |leg, _, _, capsule| out.push((leg, capsule.to_vec())));
        for (_, datagram) in out {
            self.sent += 1;
            if Kind::of(datagram) != Ok(Kind::Capsule) {
                self.signalled.datagrams += 1;
                self.signalled.bytes += datagram.len() as u64;
            }
        }
    }
}
