//! A terminal between a coordinator and a peer that say whatever a test wants.

mod contest;
mod coordinator;
mod handshakes;
mod liveness;
mod overlap;
mod peer;
mod phases;
mod proof;
mod recovery;
mod registration;
mod relay;
mod transports;
mod unknown;
mod width;

use std::net::SocketAddr;
use std::time::Duration;

use super::session::{Session, Terms};
use super::*;
use crate::address::{Candidate, TransportId, TransportKind};
use crate::client::{CoordinatorAddress, prologue};
use crate::crypto::{Identity, Initiator, Responder, Suite, Suites};
use crate::id::Side;
use crate::machine::{SignalSession, TransportFacts};
use crate::plugin::{LocalAddress, LocalInterface};
use crate::wire::{
    CoordinatorAnswer, NO_COOKIE, PeerInfo, Reason, RouteDirection, TunnelAnswer, TunnelHello,
};

type Sent = Vec<(SocketAddr, Vec<u8>)>;

/// A registered terminal and its coordinator.
struct World {
    now: Time,
    rng: Rng,
    terminal: Terminal,
    session: SignalSession,
    vips: Vips,
    events: Vec<TerminalEvent>,
    requests: u64,
    /// What the terminal said to its registration.
    first: Sent,
}

/// The other end as a test plays it.
#[derive(Clone)]
struct Peer {
    identity: Identity,
    info: PeerInfo,
    addr: SocketAddr,
    epoch: Epoch,
}

const DC: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1)), 4330);
const SALT: Salt = [3; 32];

fn addr(last: u8) -> SocketAddr {
    ([203, 0, 113, last], 4330).into()
}

fn vips(last: u8) -> Vips {
    Vips { v4: Some([198, 18, 0, last].into()), v6: None }
}

fn facts() -> TransportFacts {
    TransportFacts { kind: TransportKind::UDP, port: 4330, ipv4: true, ipv6: true }
}

fn route() -> Route {
    Route { source: addr(10).ip(), ifindex: 2, mtu: 1500 }
}

fn snapshot() -> Snapshot {
    let address = LocalAddress { ip: addr(10).ip(), prefix: 24, usable: true, preferred: true };
    let interface = LocalInterface {
        index: 2,
        name: "eth0".into(),
        running: true,
        generation: 0,
        loopback: false,
        addresses: vec![address],
    };
    Snapshot { interfaces: vec![interface] }
}

/// What the coordinator says to a registration.
fn response() -> RegistrationResponse {
    RegistrationResponse {
        epoch_seen: Epoch(0),
        vips: vips(5),
        ranges: Prefix::new([198, 18, 0, 0].into(), 24).into_iter().collect(),
        salt: SALT,
        observed: Candidate::udp(addr(10)),
        challenge: None,
        lifetime: 3000,
        keep_alive: 0,
        coordinators: Vec::new(),
        unix: 1_700_000_100,
        ticket_key: None,
    }
}

impl World {
    /// A terminal at `.10` with the virtual address `.5`.
    fn new() -> Self {
        Self::with_vips(vips(5))
    }

    fn with_vips(vips: Vips) -> Self {
        Self::registered(RegistrationResponse { vips, ..response() })
    }

    /// The same, and how the coordinator answers.
    fn registered(response: RegistrationResponse) -> Self {
        let mut rng = Rng::from_seed([4; 32]);
        let coordinator = Identity::generate(&mut rng);
        let node = Node {
            identity: Identity::generate(&mut rng),
            name: "mn.example".parse().unwrap(),
            unix_at_zero: 1_700_000_000,
            transports: vec![facts()],
        };
        let config = TerminalConfig {
            mode: Mode::Fast,
            suites: Suites::ALL,
            mtu: 1400,
            coordinators: vec![CoordinatorAddress {
                key: coordinator.public(),
                addresses: vec![Candidate::udp(DC)],
            }],
        };
        let now = Time::ZERO + Duration::from_secs(100);
        let mut terminal = Terminal::new(now, node, config, rng.split());
        let (load, _) = terminal.poll_effect().unwrap();
        terminal.handle_outcome(now, load, Outcome::Loaded(Ok((Vec::new(), Vec::new()))));
        let routes: Vec<_> =
            terminal.destinations().into_iter().map(|ip| (ip, Some(route()))).collect();
        terminal.handle_addresses(now, snapshot(), &routes);
        let mut first = Vec::new();
        assert_eq!(terminal.poll_transmit(&mut first).map(|leg| leg.remote), Some(DC));
        let first = Handshake1::parse(&first).unwrap();
        let responder =
            Responder::read(&coordinator, &prologue(), rng.bytes(), &first.noise).unwrap();
        let id = SessionId(rng.bytes());
        let answer = CoordinatorAnswer { session: Ok(id) }.emit();
        let (noise, keys) = responder.answer(&answer).unwrap();
        let session = SignalSession::of_coordinator(id, &keys);
        let second = Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Lower, noise };
        let (vips, events) = (response.vips, Vec::new());
        let mut world =
            Self { now, rng, terminal, session, vips, events, requests: 0, first: Vec::new() };
        let sent = world.arrives(DC, &second.emit());
        let registration = world.hears(&sent).remove(0);
        let body = SignalBody::RegistrationResponse(response);
        world.first = world.told(registration.request, body);
        assert!(world.terminal.status(now).registered);
        world
    }

    fn drain(&mut self) -> Sent {
        while let Some((id, effect)) = self.terminal.poll_effect() {
            let outcome = match effect {
                Effect::Routes(ips) => {
                    Outcome::Routed(ips.into_iter().map(|ip| (ip, Some(route()))).collect())
                }
                Effect::Store(_) => Outcome::Stored(Ok(())),
                other => panic!("a terminal asks for {other:?}"),
            };
            self.terminal.handle_outcome(self.now, id, outcome);
        }
        self.events.extend(std::iter::from_fn(|| self.terminal.poll_event()));
        let mut buffer = Vec::new();
        std::iter::from_fn(|| {
            let leg = self.terminal.poll_transmit(&mut buffer)?;
            Some((leg.remote, std::mem::take(&mut buffer)))
        })
        .collect()
    }

    fn arrives(&mut self, from: SocketAddr, datagram: &[u8]) -> Sent {
        self.drain();
        let leg = Leg::to(TransportId(0), from);
        self.terminal.handle_datagram(self.now, &leg, datagram);
        self.drain()
    }

    fn waits(&mut self, span: Duration) -> Sent {
        let end = self.now + span;
        let mut sent = self.drain();
        while let Some((at, _)) = self.terminal.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.terminal.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        sent
    }

    /// What the coordinator can read of these.
    fn hears(&mut self, sent: &Sent) -> Vec<Signal> {
        let to_us = sent.iter().filter(|(to, _)| *to == DC);
        to_us
            .filter_map(|(_, datagram)| self.session.open(&Header::parse(datagram).ok()?, datagram))
            .collect()
    }

    /// The coordinator says something.
    fn told(&mut self, request: RequestId, body: SignalBody) -> Sent {
        let datagram = self.session.seal(Epoch(0), &Signal { request, body }).unwrap();
        self.arrives(DC, &datagram)
    }

    fn directed(&mut self, direction: RouteDirection) -> Sent {
        self.requests += 1;
        let request = RequestId::of_coordinator(self.requests);
        self.told(request, SignalBody::RouteDirection(direction))
    }

    fn peer(&mut self, name: &str, last: u8) -> Peer {
        let identity = Identity::generate(&mut self.rng);
        let key = identity.public();
        let info = PeerInfo { name: name.parse().unwrap(), key, vips: vips(last) };
        Peer { identity, info, addr: addr(last), epoch: Epoch::starting(1_700_000_000) }
    }

    /// A true direction to a peer that will begin.
    fn direction(&self, peer: &Peer) -> RouteDirection {
        RouteDirection {
            path: self.path(peer),
            begin: false,
            unproved: false,
            peer_asked: true,
            reason: Reason::Start,
            own: self.vips,
            own_epoch: self.terminal.epoch,
            peer: peer.info.clone(),
            peer_epoch: peer.epoch,
            candidates: vec![Candidate::udp(peer.addr)],
            pacing: Duration::from_millis(20),
            relays: Vec::new(),
        }
    }

    fn path(&self, peer: &Peer) -> PathId {
        PathId::derive(&SALT, &self.vips, &peer.info.vips).unwrap().0
    }

    /// The peer's side.
    fn side(&self, peer: &Peer) -> Side {
        PathId::derive(&SALT, &peer.info.vips, &self.vips).unwrap().1
    }

    fn initiator(&mut self, peer: &Peer) -> Initiator {
        let hello = TunnelHello {
            epoch: peer.epoch,
            began: self.now.nanos(),
            slot: 3,
            suites: Suites::ALL,
        };
        Initiator {
            seed: self.rng.bytes(),
            responder: self.terminal.node.identity.public(),
            prologue: self.tunnel_prologue(&peer.info, true),
            payload: hello.emit(),
        }
    }

    fn tunnel_prologue(&self, peer: &PeerInfo, peer_begins: bool) -> Vec<u8> {
        let own = &self.terminal.node.name;
        let names = if peer_begins { [&peer.name, own] } else { [own, &peer.name] };
        let mut prologue = b"ntm v1 terminal to terminal".to_vec();
        for name in names {
            prologue.push(name.as_str().len() as u8);
            prologue.extend_from_slice(name.as_str().as_bytes());
        }
        let (path, side) = PathId::derive(&SALT, &self.vips, &peer.vips).unwrap();
        prologue.extend_from_slice(path.as_bytes());
        let mut both = [self.vips, peer.vips];
        if side == Side::Higher {
            both.reverse();
        }
        for vips in both {
            prologue.extend_from_slice(&vips.v4.unwrap().octets());
            prologue.extend_from_slice(&[0; 16]);
        }
        prologue
    }

    fn first_message(&mut self, peer: &Peer) -> (Initiator, Vec<u8>) {
        let initiator = self.initiator(peer);
        let message = Handshake1 {
            role: RoleTag::Terminal,
            id: *self.path(peer).as_bytes(),
            side: self.side(peer),
            cookie: NO_COOKIE,
            noise: initiator.message(&peer.identity).unwrap(),
        };
        (initiator, message.emit())
    }

    /// The peer's session after the terminal's answer.
    fn answered(&self, peer: &Peer, initiator: &Initiator, sent: &Sent) -> Option<Session> {
        let (_, second) = sent.iter().find(|(to, _)| *to == peer.addr)?;
        let second = Handshake2::parse(second).ok()?;
        let keys = initiator.finish(&peer.identity, &second.noise).ok()?;
        let answer = TunnelAnswer::parse(&keys.payload).ok()?;
        let (peer_slot, suite) = (answer.slot, answer.suite);
        let terms = Terms { initiator: true, slot: 3, peer_slot, suite };
        Some(Session::new(self.now, &keys, terms))
    }

    /// The peer says something in a session.
    fn says(&mut self, peer: &Peer, session: &mut Session, control: &Control) -> Sent {
        let datagram = session.seal(self.path(peer), self.side(peer), peer.epoch, control);
        self.arrives(peer.addr, &datagram)
    }

    /// A tunnel that the peer has begun and that is in use.
    fn connected(&mut self, peer: &Peer) -> Session {
        let direction = self.direction(peer);
        self.connected_as(peer, direction)
    }

    /// The same with this direction.
    fn connected_as(&mut self, peer: &Peer, direction: RouteDirection) -> Session {
        self.directed(direction);
        let (initiator, first) = self.first_message(peer);
        let sent = self.arrives(peer.addr, &first);
        let mut session = self.answered(peer, &initiator, &sent).unwrap();
        let sent = self.says(peer, &mut session, &Control::KeepAlive);
        self.proves(peer, &mut session, &sent);
        assert_eq!(self.way(peer), Some(peer.addr));
        session
    }

    /// What the peer can read of these.
    fn peer_hears(&self, peer: &Peer, session: &mut Session, sent: &Sent) -> Vec<Control> {
        let to_it = sent.iter().filter(|(to, _)| *to == peer.addr);
        to_it
            .filter_map(|(_, datagram)| {
                let header = Header::parse(datagram).ok()?;
                session.open(&header, datagram).map(|(control, _)| control)
            })
            .collect()
    }

    /// The peer answers the challenges among these, and those that follow.
    fn proves(&mut self, peer: &Peer, session: &mut Session, sent: &Sent) {
        for control in self.peer_hears(peer, session, sent) {
            if let Control::Challenge { token, .. } = control {
                let epoch = peer.epoch;
                let answer = Control::ChallengeResponse { epoch, token };
                let sent = self.says(peer, session, &answer);
                self.proves(peer, session, &sent);
            }
        }
    }

    /// Where the terminal sends what is for this peer.
    fn way(&self, peer: &Peer) -> Option<SocketAddr> {
        let status = self.terminal.status(self.now);
        let path = self.path(peer);
        let tunnel = status.tunnels.into_iter().find(|tunnel| tunnel.path == path)?;
        (tunnel.state == TunnelState::Live).then_some(tunnel.way?.leg.remote)
    }

    fn has_tunnel(&self, peer: &Peer) -> bool {
        self.terminal.tunnels.contains_key(&self.path(peer))
    }
}

fn to(sent: &Sent, addr: SocketAddr) -> usize {
    sent.iter().filter(|(to, _)| *to == addr).count()
}
