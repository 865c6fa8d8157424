use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ntm_core::Time;
use ntm_core::address::{Leg, LocalPin, TransportId, Vips};
use ntm_core::coordinator::{Coordinator, CoordinatorEvent};
use ntm_core::machine::{Effect, Outcome, Sent, SignalTrace};
use ntm_core::plugin::memory::Sequential;
use ntm_core::plugin::{LocalAddress, LocalInterface, Route as Way, Snapshot, Vip as _};
use ntm_core::relay::{ForwardEvent, Relay, RelayEvent, Verdict};
use ntm_core::terminal::{Terminal, TerminalEvent};
use ntm_core::tunnel::{Pointing, TableEvent};
use ntm_core::wire::{Envelope, Kind, PORT};

use crate::replay::{ForwardInput, Forwards, Plane, PlaneInput, PlaneOutput, Replay};
use crate::scenario::Route;

/// Who is who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// The terminal that called.
    Mn,
    /// The terminal that was called.
    Cn,
    /// The coordinator.
    Dc,
    /// The relay.
    Rs,
}

/// Both terminals.
pub(crate) const TERMINALS: [Who; 2] = [Who::Mn, Who::Cn];

impl Who {
    /// The other terminal.
    pub(crate) fn peer(self) -> Self {
        if self == Self::Mn { Self::Cn } else { Self::Mn }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mn => "mn.example",
            Self::Cn => "cn.example",
            Self::Dc => "dc.example",
            Self::Rs => "rs.example",
        }
    }

    /// Its address after so many moves.
    pub(crate) fn ip(self, moves: u8) -> IpAddr {
        let last = match self {
            Self::Dc => 1,
            Self::Rs => 2,
            Self::Mn => 10 + moves,
            Self::Cn => 20 + moves,
        };
        IpAddr::from([203, 0, 113, last])
    }

    /// The virtual addresses of a terminal.
    pub(crate) fn vips(self) -> Vips {
        Vips { v4: Some([198, 18, 0, 1 + self as u8].into()), v6: None }
    }
}

/// A computer with one socket and one role.
#[derive(Clone, Hash)]
pub(crate) struct Host {
    pub(crate) who: Who,
    pub(crate) machine: Machine,
    pub(crate) ip: IpAddr,
    pub(crate) moves: u8,
    /// Datagrams sent, to tell apart what leaves in the same instant.
    pub(crate) sent: u32,
    /// When its application received a packet last.
    pub(crate) heard: Option<Time>,
}

#[derive(Clone, Hash)]
#[expect(clippy::large_enum_variant, reason = "there are four in a world, shared among worlds")]
pub(crate) enum Machine {
    Terminal(Terminal, Replay<Plane>),
    Coordinator(Coordinator),
    Relay(Relay, Replay<Forwards>),
}

/// A datagram that leaves.
pub(crate) struct Departure {
    pub(crate) to: SocketAddr,
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// What came of an input.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) departures: Vec<Departure>,
    /// Messages that the machine accepted, by name.
    pub(crate) accepted: Vec<&'static str>,
    /// Where the tunnel was pointed.
    pub(crate) pointed: Vec<Pointing>,
    /// Where the relay's ends are said to be.
    pub(crate) bound: Vec<SocketAddr>,
}

/// A capsule, in a list of datagrams.
pub(crate) const CAPSULE: &str = "capsule";

impl Host {
    pub(crate) fn new(who: Who, machine: Machine) -> Self {
        Self { who, machine, ip: who.ip(0), moves: 0, sent: 0, heard: None }
    }

    pub(crate) fn terminal(&self) -> &Terminal {
        match &self.machine {
            Machine::Terminal(terminal, _) => terminal,
            Machine::Coordinator(_) | Machine::Relay(..) => panic!("{:?} is no terminal", self.who),
        }
    }

    pub(crate) fn terminal_mut(&mut self) -> &mut Terminal {
        match &mut self.machine {
            Machine::Terminal(terminal, _) => terminal,
            Machine::Coordinator(_) | Machine::Relay(..) => panic!("{:?} is no terminal", self.who),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        let next = match &self.machine {
            Machine::Terminal(terminal, _) => terminal.poll_timeout(),
            Machine::Coordinator(coordinator) => coordinator.poll_timeout(),
            Machine::Relay(relay, _) => relay.poll_timeout(),
        };
        next.map(|(at, _)| at)
    }

    pub(crate) fn timeout(&mut self, now: Time) {
        match &mut self.machine {
            Machine::Terminal(terminal, plane) => {
                for path in terminal.depending_on_traffic(now).collect::<Vec<_>>() {
                    if let Some((_, traffic)) = plane.traffic().into_iter().find(|it| it.0 == path)
                    {
                        terminal.handle_traffic(now, &path, traffic);
                    }
                }
                terminal.handle_timeout(now);
            }
            Machine::Coordinator(coordinator) => coordinator.handle_timeout(now),
            Machine::Relay(relay, _) => relay.handle_timeout(now),
        }
    }

    /// Looks at its addresses, as after a watcher's news.
    pub(crate) fn look(&mut self, now: Time) {
        let address = LocalAddress { ip: self.ip, prefix: 24, usable: true, preferred: true };
        let interface = LocalInterface {
            index: 2,
            name: "eth0".into(),
            running: true,
            generation: self.moves.into(),
            loopback: false,
            addresses: vec![address],
        };
        let snapshot = Snapshot { interfaces: vec![interface] };
        let way = self.way();
        let routes = |to: Vec<IpAddr>| to.into_iter().map(|ip| (ip, Some(way))).collect::<Vec<_>>();
        match &mut self.machine {
            Machine::Terminal(terminal, _) => {
                let routes = routes(terminal.destinations());
                terminal.handle_addresses(now, snapshot, &routes);
            }
            Machine::Relay(relay, _) => {
                let routes = routes(relay.destinations());
                relay.handle_addresses(now, snapshot, &routes);
            }
            Machine::Coordinator(_) => {}
        }
    }

    fn way(&self) -> Way {
        Way { source: self.ip, ifindex: 2, mtu: 1500 }
    }

    /// A datagram arrives.
    pub(crate) fn arrive(
        &mut self,
        now: Time,
        from: SocketAddr,
        bytes: &Arc<[u8]>,
        done: &mut Done,
    ) {
        let local = Some(LocalPin { ip: self.ip, ifindex: 2 });
        let leg = Leg { transport: TransportId(0), remote: from, local };
        match &mut self.machine {
            Machine::Coordinator(coordinator) => coordinator.handle_datagram(now, &leg, bytes),
            Machine::Terminal(terminal, plane) => {
                if !matches!(Kind::of(bytes), Ok(Kind::Capsule)) {
                    return terminal.handle_datagram(now, &leg, bytes);
                }
                let PlaneOutput { received, seen, .. } =
                    plane.apply(now, PlaneInput::Capsule(leg, bytes.clone()));
                if received {
                    self.heard = Some(now);
                }
                if let Some(seen) = seen {
                    terminal.handle_seen(now, &seen.path, &seen.leg, seen.epoch_low);
                }
            }
            Machine::Relay(relay, forwards) => {
                let envelope = Envelope::parse(bytes).ok();
                let envelope = envelope.filter(|envelope| envelope.kind.is_handed_on());
                let verdict = envelope.and_then(|envelope| {
                    forwards.apply(now, ForwardInput::Datagram(leg, envelope, bytes.len()))
                });
                match verdict {
                    Some(Verdict::To(other)) => done.departures.push(Departure {
                        to: other.remote,
                        name: "forwarded",
                        bytes: bytes.to_vec(),
                    }),
                    Some(Verdict::Drop | Verdict::Exhausted) => {}
                    Some(Verdict::NotRelayed) | None => relay.handle_datagram(now, &leg, bytes),
                }
            }
        }
    }

    /// Its application sends a packet.
    pub(crate) fn say(&mut self, now: Time, packet: Arc<[u8]>, done: &mut Done) {
        let Machine::Terminal(terminal, plane) = &mut self.machine else { return };
        let output = plane.apply(now, PlaneInput::Packet(packet));
        done.departures.extend(output.capsules.into_iter().map(capsule));
        if let Some(vip) = output.missed {
            terminal.handle_miss(now, vip);
        }
    }

    /// Tells the terminal of its traffic.
    pub(crate) fn report(&mut self, now: Time) {
        if let Machine::Terminal(terminal, plane) = &mut self.machine {
            for (path, traffic) in plane.traffic() {
                terminal.handle_traffic(now, &path, traffic);
            }
        }
    }

    /// Takes every output until there is none.
    pub(crate) fn drain(&mut self, now: Time, route: Route, done: &mut Done) {
        let way = self.way();
        let mut names = std::collections::VecDeque::new();
        let mut datagram = Vec::new();
        let mut depart = |trace: &SignalTrace, done: &mut Done| match trace.sent {
            Sent::Out => names.push_back(trace.name),
            Sent::In => done.accepted.push(trace.name),
        };
        let mut left = Vec::new();
        match &mut self.machine {
            Machine::Terminal(terminal, plane) => loop {
                let mut quiet = true;
                while let Some((id, effect)) = terminal.poll_effect() {
                    quiet = false;
                    terminal.handle_outcome(now, id, answer(&effect, way, route));
                }
                while let Some(event) = terminal.poll_event() {
                    quiet = false;
                    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is for people")]
                    match event {
                        TerminalEvent::Signal(trace) => depart(&trace, done),
                        TerminalEvent::Table(event) => {
                            if let TableEvent::Point { to: Some(to), .. } = &event {
                                done.pointed.push(*to);
                            }
                            plane.note(now, PlaneInput::Event(event));
                        }
                        _ => {}
                    }
                }
                while let Some(leg) = terminal.poll_transmit(&mut datagram) {
                    quiet = false;
                    left.push((leg.remote, std::mem::take(&mut datagram)));
                }
                if quiet {
                    break;
                }
            },
            Machine::Coordinator(coordinator) => loop {
                let mut quiet = true;
                while let Some((id, effect)) = coordinator.poll_effect() {
                    quiet = false;
                    coordinator.handle_outcome(now, id, answer(&effect, way, route));
                }
                while let Some(event) = coordinator.poll_event() {
                    quiet = false;
                    if let CoordinatorEvent::Signal(trace) = event {
                        depart(&trace, done);
                    }
                }
                while let Some(leg) = coordinator.poll_transmit(&mut datagram) {
                    quiet = false;
                    left.push((leg.remote, std::mem::take(&mut datagram)));
                }
                if quiet {
                    break;
                }
            },
            Machine::Relay(relay, forwards) => {
                while let Some(event) = relay.poll_event() {
                    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is for people")]
                    match event {
                        RelayEvent::Signal(trace) => depart(&trace, done),
                        RelayEvent::Forward(event) => {
                            if let ForwardEvent::Set { lower, higher, .. } = &event {
                                let ends = lower.iter().chain(higher);
                                done.bound.extend(ends.map(|end| end.leg.remote));
                            }
                            forwards.note(now, ForwardInput::Event(event));
                        }
                        _ => {}
                    }
                }
                while let Some(leg) = relay.poll_transmit(&mut datagram) {
                    left.push((leg.remote, std::mem::take(&mut datagram)));
                }
            }
        }
        assert_eq!(names.len(), left.len(), "each datagram is told of");
        let named = left.into_iter().zip(names);
        done.departures.extend(named.map(|((to, bytes), name)| Departure { to, name, bytes }));
        if let Machine::Terminal(_, plane) = &mut self.machine
            && !done.pointed.is_empty()
        {
            done.departures.extend(plane.release(now).into_iter().map(capsule));
        }
    }
}

fn capsule((leg, bytes): (Leg, Vec<u8>)) -> Departure {
    Departure { to: leg.remote, name: CAPSULE, bytes }
}

/// The plugins, answering at once.
fn answer(effect: &Effect, way: Way, route: Route) -> Outcome {
    match effect {
        Effect::Load => Outcome::Loaded(Ok((Vec::new(), Sequential::default().ranges()))),
        Effect::Store(_) | Effect::Release(_) => Outcome::Stored(Ok(())),
        Effect::Lease { name, .. } => {
            let who = if name.as_str() == Who::Mn.name() { Who::Mn } else { Who::Cn };
            Outcome::Leased(Ok(who.vips()))
        }
        Effect::Plan(request) => Outcome::Planned(Ok(route.decide(request))),
        Effect::Routes(to) => Outcome::Routed(to.iter().map(|ip| (*ip, Some(way))).collect()),
    }
}

/// A host that several worlds share until one changes it.
#[derive(Clone)]
pub(crate) struct Shared {
    host: Arc<Host>,
    /// Of the whole host; `None`: it has changed since.
    hash: Option<u64>,
}

impl Shared {
    pub(crate) fn new(host: Host) -> Self {
        Self { host: Arc::new(host), hash: None }
    }

    pub(crate) fn get(&self) -> &Host {
        &self.host
    }

    pub(crate) fn get_mut(&mut self) -> &mut Host {
        self.hash = None;
        Arc::make_mut(&mut self.host)
    }

    /// Computes the hash, once for all worlds that share it.
    pub(crate) fn seal(&mut self) {
        if self.hash.is_none() {
            // Always the same keys: the same host has the same hash in every thread.
            let mut hasher = std::hash::DefaultHasher::new();
            self.host.hash(&mut hasher);
            self.hash = Some(hasher.finish());
        }
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// The place of a node's socket.
pub(crate) fn socket(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, PORT)
}
