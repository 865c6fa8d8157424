use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ntm_core::address::{Candidate, Nat64, TransportKind, Vips};
use ntm_core::client::CoordinatorAddress;
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::{Identity, Secret, Suites};
use ntm_core::id::{NodeName, PathId, PublicKey};
use ntm_core::machine::{Node, TransportFacts};
use ntm_core::plugin::{MemberRole, MemberRoles, Plan, PlanRequest};
use ntm_core::relay::{Relay, RelayConfig};
use ntm_core::terminal::{Mode, Terminal, TerminalCommand, TerminalConfig, TerminalStatus};
use ntm_core::wire::PORT;
use ntm_core::{Rng, Time};

use crate::host::{Host, HostId, Outputs, QUIC_PORT, Roles, port_of};
use crate::nat::{Nat, NatId};
use crate::net::{Arrival, Network};
use crate::packet::inner_packet;
use crate::plugged::{Answers, Road};
use crate::schedule::Schedule;
use crate::uplink::Attachment;

/// The traversal plugin of a simulated coordinator.
pub type Decide = fn(&PlanRequest) -> Plan;

/// Between two reports of a host's traffic to its terminal.
const TRAFFIC_EVERY: Duration = Duration::from_millis(250);

/// What a world is made from.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Everything random follows from it.
    pub seed: u64,
    /// The coordinators' route decision.
    pub decide: Decide,
    /// What terminals do when they move.
    pub mode: Mode,
    /// The coordinators' clocks.
    pub clocks: Clocks,
    /// What tickets for relays allow.
    pub quota: RelayQuota,
}

/// Hosts on a network, in virtual time.
#[derive(Debug)]
pub struct World {
    setup: Setup,
    now: Time,
    hosts: Vec<Host>,
    makers: Vec<Maker>,
    /// The network between them.
    pub net: Network,
    schedule: Schedule,
    rng: Rng,
    next_traffic: Time,
    /// Hosts at which something happened since traffic was reported last.
    busy: BTreeSet<HostId>,
    /// Ways to the coordinator that nodes know besides its addresses.
    also_known: Vec<SocketAddr>,
    has_quic: bool,
    /// Of the host that is added next.
    answers: Option<Box<dyn Answers>>,
    road: Option<Box<dyn Road>>,
}

/// How to make a host's machines, again if need be.
#[derive(Clone, Debug)]
struct Maker {
    name: NodeName,
    identity: Identity,
    terminal: bool,
    relay: bool,
    coordinator: bool,
    starts: u64,
    /// Seconds that its wall clock is behind when it starts.
    behind: u64,
}

impl World {
    /// An empty one, some time after its clock's origin.
    pub fn new(setup: Setup) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&setup.seed.to_be_bytes());
        let mut rng = Rng::from_seed(seed);
        let net = Network::new(rng.split());
        let now = Time::ZERO + Duration::from_secs(100);
        Self {
            setup,
            now,
            hosts: Vec::new(),
            makers: Vec::new(),
            net,
            schedule: Schedule::default(),
            rng,
            next_traffic: now,
            busy: BTreeSet::new(),
            also_known: Vec::new(),
            has_quic: false,
            answers: None,
            road: None,
        }
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// A host, to change it.
    pub fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[id.0]
    }

    /// These plugins answer the host that is added next.
    pub fn set_answers(&mut self, plugins: Box<dyn Answers>) {
        self.answers = Some(plugins);
    }

    /// This carries all datagrams from now on.
    pub fn set_road(&mut self, road: Box<dyn Road>) {
        self.road = Some(road);
    }

    /// Tells a host how its network of IPv6 alone reaches IPv4, as the network's
    /// resolver would have.
    pub fn tell_nat64(&mut self, id: HostId, nat64: Option<Nat64>) {
        let now = self.hosts[id.0].clock(self.now);
        if let Some(terminal) = &mut self.hosts[id.0].roles.terminal {
            terminal.set_nat64(now, nat64);
        }
        self.look(id);
    }

    /// Adds a NAT.
    pub fn add_nat(&mut self, nat: Nat) -> NatId {
        self.net.add_nat(nat)
    }

    /// Adds a host. The first one has to be the coordinator; it learns of every
    /// later one as of a member.
    pub fn add_host(&mut self, name: &str, roles: &[&str], attachments: &[Attachment]) -> HostId {
        let has = |role| roles.contains(&role);
        let maker = Maker {
            name: name.parse().expect("a node name"),
            identity: Identity::from_private(Secret::new(self.rng.bytes())),
            terminal: has("terminal"),
            relay: has("relay"),
            coordinator: has("coordinator"),
            starts: 0,
            behind: 0,
        };
        let id = HostId(self.hosts.len());
        let key = maker.identity.public();
        self.makers.push(maker);
        let mut host = Host::new(Roles::default(), self.setup.decide);
        host.answers = self.answers.take();
        self.hosts.push(host);
        self.attach(id, attachments);
        self.start(id);
        self.enrol(id, key);
        self.move_host(id, attachments);
        id
    }

    /// Nodes that start from now on have QUIC as their second transport.
    pub fn add_quic(&mut self) {
        self.has_quic = true;
    }

    /// Nodes that start from now on know the coordinator at this address too.
    pub fn also_known_at(&mut self, coordinator: SocketAddr) {
        self.also_known.push(coordinator);
    }

    /// Makes the coordinator know a host as a member.
    fn enrol(&mut self, id: HostId, key: PublicKey) {
        let maker = &self.makers[id.0];
        let roles = [(maker.terminal, MemberRole::Terminal), (maker.relay, MemberRole::Relay)]
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, role)| MemberRoles::from(role))
            .reduce(MemberRoles::with);
        let name = maker.name.clone();
        let Some(roles) = roles else { return };
        let now = self.hosts[0].clock(self.now);
        if let Some(coordinator) = &mut self.hosts[0].roles.coordinator {
            let member = Member { name, key, roles };
            coordinator.add_member(now, member).expect("the coordinator is ready");
        }
        self.settle(HostId(0));
    }

    /// Makes a host's machines and lets them begin.
    fn start(&mut self, id: HostId) {
        self.makers[id.0].starts += 1;
        let maker = self.makers[id.0].clone();
        let transport = |kind, port| TransportFacts { kind, port, ipv4: true, ipv6: true };
        let mut transports = vec![transport(TransportKind::UDP, PORT)];
        if self.has_quic {
            transports.push(transport(TransportKind::QUIC, QUIC_PORT));
        }
        let node = Node {
            identity: maker.identity,
            name: maker.name,
            unix_at_zero: 1_700_000_000 + maker.starts - maker.behind,
            transports,
        };
        let public: Vec<Candidate> = self.hosts[0]
            .attachments()
            .iter()
            .flat_map(|attachment| {
                let at = |facts: &TransportFacts| Candidate {
                    kind: facts.kind,
                    addr: SocketAddr::new(attachment.ip, facts.port),
                };
                node.transports.iter().map(at).collect::<Vec<_>>()
            })
            .collect();
        let also_known = self.also_known.iter().copied().map(Candidate::udp);
        let coordinators = vec![CoordinatorAddress {
            key: self.makers[0].identity.public(),
            addresses: public.iter().copied().chain(also_known).collect(),
        }];
        let now = self.hosts[id.0].clock(self.now);
        let mut seed = || Rng::from_seed(self.rng.bytes());
        let terminal = maker.terminal.then(|| {
            let config = TerminalConfig {
                mode: self.setup.mode,
                suites: Suites::ALL,
                mtu: 1400,
                coordinators: coordinators.clone(),
            };
            Terminal::new(now, node.clone(), config, seed())
        });
        let relay = maker.relay.then(|| {
            let config = RelayConfig { allow_private: false, coordinators: coordinators.clone() };
            Relay::new(now, node.clone(), config, seed())
        });
        let coordinator = maker.coordinator.then(|| {
            let config = CoordinatorConfig {
                public,
                members: Vec::new(),
                quota: self.setup.quota,
                clocks: self.setup.clocks,
            };
            Coordinator::new(now, node, config, seed())
        });
        self.hosts[id.0].restart(Roles { terminal, coordinator, relay });
        self.settle(id);
    }

    /// Ends a host's process as `kill -9` does.
    pub fn kill(&mut self, id: HostId) {
        self.hosts[id.0].kill();
        self.settle(id);
    }

    /// Starts a host again; its registry is as it was.
    pub fn restart(&mut self, id: HostId) {
        self.start(id);
        let attachments = self.hosts[id.0].attachments().to_vec();
        self.move_host(id, &attachments);
    }

    /// Sets the wall clock back that a host will have when it starts again.
    pub fn set_clock_back(&mut self, id: HostId, span: Duration) {
        self.makers[id.0].behind += span.as_secs();
    }

    /// A host's clock leaps ahead, as in a virtual machine that was paused.
    pub fn leap(&mut self, id: HostId, span: Duration) {
        self.hosts[id.0].leap(span);
        self.settle(id);
    }

    /// A host sleeps: nothing reaches it and it does nothing, while its clock
    /// goes on.
    pub fn sleep(&mut self, id: HostId) {
        self.hosts[id.0].set_asleep(true);
        self.settle(id);
    }

    /// A host wakes up, where it is now.
    pub fn wake(&mut self, id: HostId) {
        self.hosts[id.0].set_asleep(false);
        if self.hosts[id.0].is_up() {
            let now = self.hosts[id.0].clock(self.now);
            self.hosts[id.0].wake(now);
            self.settle(id);
        }
    }

    /// Whether the coordinator runs and has read its registry.
    pub fn is_ready(&self) -> bool {
        let coordinator = &self.hosts[0].roles.coordinator;
        coordinator.as_ref().is_some_and(|coordinator| coordinator.status().ready)
    }

    /// Whether the coordinator has a host for a member.
    pub fn is_member(&self, id: HostId) -> bool {
        let coordinator = &self.hosts[0].roles.coordinator;
        let members = coordinator.as_ref().map(|coordinator| coordinator.status().members);
        let name = &self.makers[id.0].name;
        members.into_iter().flatten().any(|member| member.record.name == *name)
    }

    /// The virtual addresses that the coordinator has for a host.
    pub fn vips_of_record(&self, id: HostId) -> Option<Vips> {
        let coordinator = self.hosts[0].roles.coordinator.as_ref()?;
        let members = coordinator.status().members;
        let name = &self.makers[id.0].name;
        members.into_iter().find(|member| member.record.name == *name)?.record.vips
    }

    /// Whether the coordinator knows where a host is.
    pub fn is_known(&self, id: HostId) -> bool {
        let coordinator = &self.hosts[0].roles.coordinator;
        let members = coordinator.as_ref().map(|coordinator| coordinator.status().members);
        let name = &self.makers[id.0].name;
        let mut members = members.into_iter().flatten();
        members.any(|member| member.record.name == *name && !member.present.is_empty())
    }

    /// A person removes a host from the domain.
    ///
    /// # Panics
    /// It is no member: a bug of the test.
    pub fn expel(&mut self, id: HostId) {
        let name = &self.makers[id.0].name;
        let now = self.hosts[0].clock(self.now);
        if let Some(coordinator) = &mut self.hosts[0].roles.coordinator {
            coordinator.remove_member(now, name).expect("it is a member");
        }
        self.settle(HostId(0));
    }

    /// A person makes a host a member again.
    pub fn readmit(&mut self, id: HostId) {
        let key = self.makers[id.0].identity.public();
        self.enrol(id, key);
    }

    /// Gives a host another key, which the coordinator takes for it, and starts
    /// it again.
    pub fn rekey(&mut self, id: HostId) {
        let identity = Identity::from_private(Secret::new(self.rng.bytes()));
        let key = identity.public();
        self.makers[id.0].identity = identity;
        self.enrol(id, key);
        self.restart(id);
    }

    /// Plugs a host in somewhere else, at once.
    pub fn move_host(&mut self, id: HostId, attachments: &[Attachment]) {
        self.attach(id, attachments);
        self.look(id);
    }

    /// Plugs a host in somewhere else; its machines hear of it by
    /// [`World::look`].
    pub fn attach(&mut self, id: HostId, attachments: &[Attachment]) {
        let before = self.hosts[id.0].attachments().to_vec();
        self.net.place(id, &before, attachments);
        self.hosts[id.0].attach(attachments);
    }

    /// A host's watcher tells what it sees now.
    pub fn look(&mut self, id: HostId) {
        if self.hosts[id.0].is_up() {
            let now = self.hosts[id.0].clock(self.now);
            self.hosts[id.0].look(now);
            self.settle(id);
        }
    }

    /// The virtual address of a host: IPv4, which every simulated domain has.
    ///
    /// # Panics
    /// The host has not registered: a failure of what is tested.
    pub fn vip(&self, id: HostId) -> IpAddr {
        self.vip_if_any(id).expect("the host has registered")
    }

    /// The same, for a host that may not have registered yet or not run.
    pub fn vip_if_any(&self, id: HostId) -> Option<IpAddr> {
        let host = &self.hosts[id.0];
        let vips = host.roles.terminal.as_ref()?.status(host.clock(self.now)).vips;
        vips.v4.map(IpAddr::V4)
    }

    /// An application on one host sends a packet to another host.
    pub fn send(&mut self, from: HostId, to: HostId, payload: &[u8]) {
        self.send_packet(from, &inner_packet(self.vip(from), self.vip(to), payload));
    }

    /// An application on a host sends this packet.
    pub fn send_packet(&mut self, from: HostId, packet: &[u8]) {
        if !self.hosts[from.0].is_up() {
            return;
        }
        let mut out = Outputs::new();
        let now = self.hosts[from.0].clock(self.now);
        self.hosts[from.0].application_sends(now, packet, &mut out);
        self.transmit(from, out);
        self.settle(from);
    }

    /// A person gives a terminal a command.
    pub fn command(&mut self, id: HostId, command: TerminalCommand) {
        let now = self.hosts[id.0].clock(self.now);
        if let Some(terminal) = &mut self.hosts[id.0].roles.terminal {
            terminal.handle_command(now, command);
        }
        self.settle(id);
    }

    /// A datagram appears at a host as if it came from `from`.
    pub fn inject(&mut self, id: HostId, from: SocketAddr, datagram: &[u8]) {
        let ip = self.hosts[id.0].attachment(from.is_ipv6()).map(|a| a.ip);
        let to = SocketAddr::new(ip.unwrap_or(from.ip()), PORT);
        self.arrive(id, from, to, datagram);
    }

    fn arrive(&mut self, id: HostId, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let mut out = Outputs::new();
        let host = &mut self.hosts[id.0];
        let now = host.clock(self.now);
        let begun = Instant::now();
        host.arrive(now, from, to, datagram, &mut out);
        host.spent += begun.elapsed();
        self.transmit(id, out);
        self.settle(id);
    }

    /// A host's public key.
    pub fn key(&self, id: HostId) -> PublicKey {
        self.makers[id.0].identity.public()
    }

    /// The Path ID that two hosts share, once one of them has a tunnel.
    pub fn path(&self, one: HostId, other: HostId) -> Option<PathId> {
        let peer = &self.makers[other.0].name;
        let status = self.status(one)?;
        status.tunnels.iter().find(|tunnel| tunnel.peer == *peer).map(|tunnel| tunnel.path)
    }

    /// What a host's terminal says of itself now; `None` if it does not run.
    pub fn status(&self, id: HostId) -> Option<TerminalStatus> {
        let host = &self.hosts[id.0];
        Some(host.roles.terminal.as_ref()?.status(host.clock(self.now)))
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Goes to the next thing that happens before `end`.
    fn step(&mut self, end: Time) -> bool {
        let arrival = self.schedule.next_arrival();
        let timeout = self.schedule.next_deadline();
        let next = [arrival, timeout.map(|(at, _)| at), Some(self.next_traffic)];
        let Some(next) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if self.next_traffic <= self.now {
            self.report_traffic();
        } else if arrival == Some(next)
            && let Some(arrival) = self.schedule.take_arrival()
        {
            let Arrival { host, from, to, datagram, .. } = arrival;
            if self.hosts[host.0].is_up() {
                self.arrive(host, from, to, &datagram);
            }
        } else if let Some((_, id)) = timeout {
            let host = &mut self.hosts[id.0];
            let now = host.clock(self.now);
            let begun = Instant::now();
            host.timeout(now);
            host.spent += begun.elapsed();
            self.settle(id);
        }
        true
    }

    fn report_traffic(&mut self) {
        let mut active = false;
        for id in std::mem::take(&mut self.busy) {
            if self.hosts[id.0].is_up() {
                let now = self.hosts[id.0].clock(self.now);
                let carried = self.hosts[id.0].report_traffic(now);
                active |= carried;
                self.settle(id);
                if !carried {
                    self.busy.remove(&id);
                }
            }
        }
        // An idle world is looked at less often.
        let every = if active { TRAFFIC_EVERY } else { 4 * TRAFFIC_EVERY };
        self.next_traffic = self.now + every;
    }

    /// Takes what a host's machines have to say, and notes when they have to be
    /// called next.
    fn settle(&mut self, id: HostId) {
        self.busy.insert(id);
        let host = &mut self.hosts[id.0];
        if !host.is_up() {
            return self.schedule.set_deadline(id, None);
        }
        let mut out = Outputs::new();
        let (now, clock) = (self.now, host.clock(self.now));
        let begun = Instant::now();
        host.drain(clock, &mut out);
        host.spent += begun.elapsed();
        let deadline = host.deadline().map(|at| now + at.since(clock));
        self.schedule.set_deadline(id, deadline);
        self.transmit(id, out);
    }

    fn transmit(&mut self, from: HostId, out: Outputs) {
        for (leg, datagram) in out {
            let way = self.hosts[from.0].leaves_by(&leg);
            let way = way.map(|way| (way, port_of(leg.transport)));
            let links = |id: HostId| &self.hosts[id.0].link;
            for mut arrival in self.net.send(self.now, from, way, leg.remote, &datagram, links) {
                if let Some(road) = &mut self.road {
                    match road.carry(from, arrival.host, arrival.datagram) {
                        Some(datagram) => arrival.datagram = datagram,
                        None => continue,
                    }
                }
                self.schedule.arrives(arrival);
            }
        }
    }
}
