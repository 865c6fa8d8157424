use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntm_core::address::{Candidate, TransportKind};
use ntm_core::client::CoordinatorAddress;
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::{Identity, Secret, Suites};
use ntm_core::id::{NodeName, PathId, PublicKey};
use ntm_core::machine::{Node, TransportFacts};
use ntm_core::plugin::{MemberRole, MemberRoles, Plan, PlanRequest};
use ntm_core::relay::{Relay, RelayConfig};
use ntm_core::terminal::{Mode, Terminal, TerminalCommand, TerminalConfig};
use ntm_core::wire::PORT;
use ntm_core::{Rng, Time};

use crate::host::{Attachment, Host, HostId, Outputs, Roles};
use crate::nat::{Nat, NatId};
use crate::net::{Arrival, Network};
use crate::packet::inner_packet;

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
    arrivals: BinaryHeap<Reverse<Pending>>,
    serial: u64,
    rng: Rng,
    next_traffic: Time,
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
}

/// Ordered by time, then by the order of sending.
#[derive(Debug)]
struct Pending {
    serial: u64,
    arrival: Arrival,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrival.at, self.serial).cmp(&(other.arrival.at, other.serial))
    }
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
            arrivals: BinaryHeap::new(),
            serial: 0,
            rng,
            next_traffic: now,
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
        };
        let id = HostId(self.hosts.len());
        let key = maker.identity.public();
        self.makers.push(maker);
        let host = Host::new(Roles::default(), PORT, self.setup.decide);
        self.hosts.push(host);
        self.hosts[id.0].attachments = attachments.to_vec();
        self.start(id);
        self.enrol(id, key);
        self.hosts[id.0].attach(self.now, attachments);
        self.settle(id);
        id
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
        if let Some(coordinator) = &mut self.hosts[0].roles.coordinator {
            let member = Member { name, key, roles };
            coordinator.add_member(self.now, member).expect("the coordinator is ready");
        }
        self.settle(HostId(0));
    }

    /// Makes a host's machines and lets them begin.
    fn start(&mut self, id: HostId) {
        self.makers[id.0].starts += 1;
        let maker = self.makers[id.0].clone();
        let transport =
            TransportFacts { kind: TransportKind::UDP, port: PORT, ipv4: true, ipv6: true };
        let node = Node {
            identity: maker.identity,
            name: maker.name,
            unix_at_zero: 1_700_000_000 + maker.starts,
            transports: vec![transport],
        };
        let public: Vec<SocketAddr> = self.hosts[0]
            .attachments
            .iter()
            .map(|attachment| SocketAddr::new(attachment.ip, PORT))
            .collect();
        let coordinators = vec![CoordinatorAddress {
            key: self.makers[0].identity.public(),
            addresses: public.iter().copied().map(Candidate::udp).collect(),
        }];
        let mut seed = || Rng::from_seed(self.rng.bytes());
        let terminal = maker.terminal.then(|| {
            let config = TerminalConfig {
                mode: self.setup.mode,
                suites: Suites::ALL,
                mtu: 1400,
                coordinators: coordinators.clone(),
            };
            Terminal::new(self.now, node.clone(), config, seed())
        });
        let relay = maker.relay.then(|| {
            let config = RelayConfig { allow_private: false, coordinators: coordinators.clone() };
            Relay::new(self.now, node.clone(), config, seed())
        });
        let coordinator = maker.coordinator.then(|| {
            let config = CoordinatorConfig {
                public,
                members: Vec::new(),
                quota: self.setup.quota,
                clocks: self.setup.clocks,
            };
            Coordinator::new(self.now, node, config, seed())
        });
        self.hosts[id.0].restart(Roles { terminal, coordinator, relay });
        self.settle(id);
    }

    /// Ends a host's process as `kill -9` does.
    pub fn kill(&mut self, id: HostId) {
        self.hosts[id.0].alive = false;
        self.hosts[id.0].roles = Roles::default();
    }

    /// Starts a host again; its registry is as it was.
    pub fn restart(&mut self, id: HostId) {
        self.start(id);
        let attachments = self.hosts[id.0].attachments.clone();
        self.hosts[id.0].attach(self.now, &attachments);
        self.settle(id);
    }

    /// A person removes a host from the domain.
    ///
    /// # Panics
    /// It is no member: a bug of the test.
    pub fn expel(&mut self, id: HostId) {
        let name = &self.makers[id.0].name;
        if let Some(coordinator) = &mut self.hosts[0].roles.coordinator {
            coordinator.remove_member(self.now, name).expect("it is a member");
        }
        self.settle(HostId(0));
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
        self.hosts[id.0].attach(self.now, attachments);
        self.settle(id);
    }

    /// The virtual address of a host: IPv4, which every simulated domain has.
    ///
    /// # Panics
    /// The host has not registered: a failure of what is tested.
    pub fn vip(&self, id: HostId) -> IpAddr {
        let vips = self.hosts[id.0].terminal().status(self.now).vips;
        IpAddr::V4(vips.v4.expect("the host has registered"))
    }

    /// An application on one host sends a packet to another host.
    pub fn send(&mut self, from: HostId, to: HostId, payload: &[u8]) {
        let packet = inner_packet(self.vip(from), self.vip(to), payload);
        let mut out = Outputs::new();
        self.hosts[from.0].application_sends(self.now, &packet, &mut out);
        self.transmit(from, out);
        self.settle(from);
    }

    /// A person gives a terminal a command.
    pub fn command(&mut self, id: HostId, command: TerminalCommand) {
        if let Some(terminal) = &mut self.hosts[id.0].roles.terminal {
            terminal.handle_command(self.now, command);
        }
        self.settle(id);
    }

    /// A datagram appears at a host as if it came from `from`.
    pub fn inject(&mut self, id: HostId, from: SocketAddr, datagram: &[u8]) {
        let ip = self.hosts[id.0].attachment(from.is_ipv6()).map(|a| a.ip);
        let to = SocketAddr::new(ip.unwrap_or(from.ip()), PORT);
        let mut out = Outputs::new();
        self.hosts[id.0].arrive(self.now, from, to, datagram, &mut out);
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
        let status = self.hosts[one.0].terminal().status(self.now);
        status.tunnels.iter().find(|tunnel| tunnel.peer == *peer).map(|tunnel| tunnel.path)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Goes to the next thing that happens before `end`.
    fn step(&mut self, end: Time) -> bool {
        let arrival = self.arrivals.peek().map(|Reverse(pending)| pending.arrival.at);
        let timeout = (0..self.hosts.len())
            .filter(|at| self.hosts[*at].alive)
            .filter_map(|at| Some((self.hosts[at].deadline()?, at)))
            .min();
        let next = [arrival, timeout.map(|(at, _)| at), Some(self.next_traffic)];
        let Some(next) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if self.next_traffic <= self.now {
            return self.report_traffic();
        }
        if arrival == Some(next)
            && let Some(Reverse(pending)) = self.arrivals.pop()
        {
            let Arrival { host, from, to, datagram, .. } = pending.arrival;
            if self.hosts[host.0].alive {
                let mut out = Outputs::new();
                self.hosts[host.0].arrive(self.now, from, to, &datagram, &mut out);
                self.transmit(host, out);
                self.settle(host);
            }
        } else if let Some((_, at)) = timeout {
            self.hosts[at].timeout(self.now);
            self.settle(HostId(at));
        }
        true
    }

    fn report_traffic(&mut self) -> bool {
        let mut active = false;
        for at in 0..self.hosts.len() {
            active |= self.hosts[at].report_traffic(self.now);
            self.settle(HostId(at));
        }
        // An idle world is looked at less often.
        let every = if active { TRAFFIC_EVERY } else { 4 * TRAFFIC_EVERY };
        self.next_traffic = self.now + every;
        true
    }

    fn settle(&mut self, id: HostId) {
        let mut out = Outputs::new();
        self.hosts[id.0].drain(self.now, &mut out);
        self.transmit(id, out);
    }

    fn transmit(&mut self, from: HostId, out: Outputs) {
        for (to, datagram) in out {
            for arrival in self.net.send(self.now, &self.hosts, from, to, &datagram) {
                self.serial += 1;
                self.arrivals.push(Reverse(Pending { serial: self.serial, arrival }));
            }
        }
    }
}
