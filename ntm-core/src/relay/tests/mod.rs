//! A relay, a coordinator that hands out tickets, and whoever shows them.

mod tickets;

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::address::{LocalPin, TransportId, TransportKind};
use crate::client::{CoordinatorAddress, prologue};
use crate::crypto::{Identity, Responder};
use crate::id::{PublicKey, Side};
use crate::machine::{SignalSession, TransportFacts};
use crate::plugin::{LocalAddress, LocalInterface};
use crate::wire::{CoordinatorAnswer, Handshake1, RequestId, RoleTag, Ticket};

type Sent = Vec<(SocketAddr, Vec<u8>)>;

const DC: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1)), 4330);
/// The coordinator's calendar when it registered the relay.
const UNIX: u64 = 1_700_000_000;
const KEY: Secret = Secret::new([8; 32]);
const PATH: PathId = PathId::from_bytes([1; 16]);

/// A registered relay, and the table that its workers would forward by.
struct World {
    now: Time,
    relay: Relay,
    session: SignalSession,
    table: ForwardTable,
    nonces: u64,
}

fn addr(last: u8) -> SocketAddr {
    ([203, 0, 113, last], 4330).into()
}

fn key(side: Side) -> PublicKey {
    PublicKey::from_bytes([if side == Side::Lower { 11 } else { 22 }; 32])
}

impl World {
    fn new() -> Self {
        let mut rng = Rng::from_seed([6; 32]);
        let coordinator = Identity::generate(&mut rng);
        let facts = TransportFacts { kind: TransportKind::UDP, port: 4330, ipv4: true, ipv6: true };
        let node = Node {
            identity: Identity::generate(&mut rng),
            name: "rs.example".parse().unwrap(),
            unix_at_zero: UNIX,
            transports: vec![facts],
        };
        let addresses = vec![Candidate::udp(DC)];
        let coordinators = vec![CoordinatorAddress { key: coordinator.public(), addresses }];
        let config = RelayConfig { allow_private: false, coordinators };
        let now = Time::ZERO + Duration::from_secs(100);
        let mut relay = Relay::new(now, node, config, rng.split());
        let ip = addr(5).ip();
        let address = LocalAddress { ip, prefix: 24, usable: true, preferred: true };
        let interface = LocalInterface {
            index: 2,
            name: "eth0".into(),
            running: true,
            generation: 0,
            loopback: false,
            addresses: vec![address],
        };
        let route = Route { source: ip, ifindex: 2, mtu: 1500 };
        let snapshot = Snapshot { interfaces: vec![interface] };
        relay.handle_addresses(now, snapshot, &[(DC.ip(), Some(route))]);
        let mut first = Vec::new();
        relay.poll_transmit(&mut first).unwrap();
        let first = Handshake1::parse(&first).unwrap();
        let responder =
            Responder::read(&coordinator, &prologue(), rng.bytes(), &first.noise).unwrap();
        let id = SessionId(rng.bytes());
        let answer = CoordinatorAnswer { session: Ok(id) }.emit();
        let (noise, keys) = responder.answer(&answer).unwrap();
        let session = SignalSession::of_coordinator(id, &keys);
        let second = Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Lower, noise };
        let table = ForwardTable::new(&mut rng);
        let mut world = Self { now, relay, session, table, nonces: 0 };
        let sent = world.arrives(DC, &second.emit());
        let header = Header::parse(&sent[0].1).unwrap();
        let registration = world.session.open(&header, &sent[0].1).unwrap();
        let response = RegistrationResponse {
            epoch_seen: Epoch(0),
            vips: Default::default(),
            ranges: Vec::new(),
            salt: [0; 32],
            observed: Candidate::udp(addr(5)),
            challenge: None,
            lifetime: 1_000_000,
            keep_alive: 0,
            coordinators: Vec::new(),
            unix: UNIX,
            ticket_key: Some(KEY),
        };
        world.told(registration.request, SignalBody::RegistrationResponse(response));
        assert!(world.relay.status().registered);
        world
    }

    fn told(&mut self, request: RequestId, body: SignalBody) -> Sent {
        let datagram = self.session.seal(Epoch(0), &Signal { request, body }).unwrap();
        self.arrives(DC, &datagram)
    }

    fn revokes(&mut self, path: PathId, serial: u64) {
        let direction = RelayDirection { path, serial, revoke: true };
        self.told(RequestId::of_coordinator(serial), SignalBody::RelayDirection(direction));
    }

    fn drain(&mut self) -> Sent {
        while let Some(event) = self.relay.poll_event() {
            if let RelayEvent::Forward(event) = event {
                self.table.apply(self.now, &event);
            }
        }
        let mut buffer = Vec::new();
        std::iter::from_fn(|| {
            let leg = self.relay.poll_transmit(&mut buffer)?;
            Some((leg.remote, std::mem::take(&mut buffer)))
        })
        .collect()
    }

    fn arrives(&mut self, from: SocketAddr, datagram: &[u8]) -> Sent {
        self.drain();
        self.relay.handle_datagram(self.now, &Leg::to(TransportId(0), from), datagram);
        self.drain()
    }

    fn waits(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.relay.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.relay.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// A ticket of the coordinator's, good for ten minutes from the start.
    fn ticket(&self, path: PathId, serial: u64) -> Ticket {
        Ticket {
            relay: self.relay.id,
            serial,
            not_after: UNIX + 600,
            rate: 0,
            quota: 0,
            lower: key(Side::Lower).hash(),
            higher: key(Side::Higher).hash(),
            mac: [0; 16],
        }
        .sealed(&path, &KEY)
    }

    fn bind(&mut self, side: Side, ticket: &Ticket) -> Bind {
        self.nonces += 1;
        Bind {
            path: PATH,
            side,
            ticket: ticket.clone(),
            epoch: Epoch(5),
            nonce: self.nonces.to_be_bytes(),
            token: None,
            carried: Vec::new(),
        }
    }

    /// The end shows its ticket; what it is told.
    fn binds(&mut self, from: SocketAddr, bind: &Bind) -> Option<BindAck> {
        let key = bind.ticket.end_key(&KEY, bind.side);
        let sent = self.arrives(from, &bind.emit(&key));
        let [(to, answer)] = sent.as_slice() else { return None };
        assert_eq!(*to, from);
        assert!(BindAck::is_genuine(answer, &key));
        BindAck::parse(answer).ok()
    }

    /// Both ends are bound and have proved their addresses: `.10` and `.20`.
    fn relayed(&mut self, ticket: &Ticket) {
        for (side, last) in [(Side::Lower, 10), (Side::Higher, 20)] {
            let bind = self.bind(side, ticket);
            let token = self.binds(addr(last), &bind).and_then(|ack| ack.challenge);
            let proof = Bind { token, ..self.bind(side, ticket) };
            let status = self.binds(addr(last), &proof).map(|ack| ack.status);
            assert_eq!(status, Some(BindStatus::Bound));
        }
    }

    /// Where a capsule of the lower end goes.
    fn forwards(&self, from: SocketAddr, bytes: usize) -> Verdict {
        let envelope = Envelope::new(Kind::Capsule, Side::Lower, *PATH.as_bytes());
        let leg = Leg::to(TransportId(0), from);
        self.table.reader().take().verdict(self.now, &leg, &envelope, bytes)
    }

    fn goes_to(&self, last: u8) -> bool {
        self.forwards(addr(10), 100) == Verdict::To(Leg::to(TransportId(0), addr(last)))
    }
}

#[test]
fn an_end_is_answered_and_sent_to_from_the_address_that_it_spoke_to() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    world.relayed(&ticket);
    let spoken_to = LocalPin { ip: [203, 0, 113, 77].into(), ifindex: 3 };
    let bind = world.bind(Side::Lower, &ticket).emit(&ticket.end_key(&KEY, Side::Lower));
    let from = Leg { local: Some(spoken_to), ..Leg::to(TransportId(0), addr(10)) };
    world.drain();
    world.relay.handle_datagram(world.now, &from, &bind);
    let mut buffer = Vec::new();
    let pinned = Some(LocalPin { ifindex: 0, ..spoken_to });
    assert_eq!(world.relay.poll_transmit(&mut buffer).map(|leg| leg.local), Some(pinned));
    world.drain();
    let envelope = Envelope::new(Kind::Capsule, Side::Higher, *PATH.as_bytes());
    let higher = Leg::to(TransportId(0), addr(20));
    let verdict = world.table.reader().take().verdict(world.now, &higher, &envelope, 100);
    assert_eq!(verdict, Verdict::To(Leg { local: pinned, ..from }));
}
