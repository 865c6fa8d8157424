//! A terminal, with the test in the place of its coordinator and of its peer,
//! and a coordinator, with the test in the place of a relay: prologues, key
//! derivations and sealing, made here from `docs/PROTOCOL.md` alone, are the
//! ones that the machines have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ntm_core::address::{Candidate, Leg, TransportId, TransportKind, Vips};
use ntm_core::client::CoordinatorAddress;
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::{
    DataKey, Established, Identity, Initiator, Responder, Secret, Suite, Suites,
};
use ntm_core::id::{Epoch, NodeName, PathId, SessionId, Side};
use ntm_core::machine::{Effect, Node, Outcome, TransportFacts};
use ntm_core::plugin::{LocalAddress, LocalInterface, MemberRole, Route, Snapshot};
use ntm_core::terminal::{Mode, Terminal, TerminalCommand, TerminalConfig, TerminalEvent};
use ntm_core::tunnel::{Direction, TableEvent};
use ntm_core::wire::{
    Control, CoordinatorAnswer, Envelope, HEADER, Handshake1, Handshake2, Header, Kind, NO_COOKIE,
    NodeHello, PeerInfo, Reason, RegistrationRequest, RegistrationResponse, RequestId, RoleTag,
    RouteDirection, Signal, SignalBody, Target, TunnelAnswer, TunnelHello,
};
use ntm_core::{Rng, Time};

use super::handshake::{derive, prologue_of_coordinator, prologue_of_terminals};

const NOW: Time = Time::from_nanos(1_000_000_000);
const MN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
const CN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
const DC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const SALT: [u8; 32] = [7; 32];

fn at(ip: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(ip.into(), 4330)
}

fn leg(ip: Ipv4Addr) -> Leg {
    Leg::to(TransportId(0), at(ip))
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn vips(last: u8) -> Vips {
    Vips { v4: Some([198, 18, 0, last].into()), v6: None }
}

/// Everything the terminal has to send now, and its events.
fn drain(mn: &mut Terminal) -> (Vec<(Leg, Vec<u8>)>, Vec<TerminalEvent>) {
    while let Some((id, effect)) = mn.poll_effect() {
        let outcome = match effect {
            Effect::Load => Outcome::Loaded(Ok((Vec::new(), Vec::new()))),
            Effect::Store(_) => Outcome::Stored(Ok(())),
            Effect::Routes(to) => Outcome::Routed(to.into_iter().map(route).collect()),
            Effect::Lease { .. } | Effect::Release(_) | Effect::Plan(_) => continue,
        };
        mn.handle_outcome(NOW, id, outcome);
    }
    let (mut sent, mut events, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(leg) = mn.poll_transmit(&mut buffer) {
        sent.push((leg, buffer.clone()));
    }
    while let Some(event) = mn.poll_event() {
        events.push(event);
    }
    (sent, events)
}

fn route(to: IpAddr) -> (IpAddr, Option<Route>) {
    (to, Some(Route { source: MN.into(), ifindex: 2, mtu: 1500 }))
}

/// What of this type was sent to `to`.
fn of_kind(sent: &[(Leg, Vec<u8>)], to: Ipv4Addr, kind: Kind) -> Vec<u8> {
    let wanted =
        |(leg, datagram): &&(Leg, Vec<u8>)| leg.remote == at(to) && Kind::of(datagram) == Ok(kind);
    sent.iter().find(wanted).map(|(_, datagram)| datagram.clone()).expect("it was sent")
}

fn node(identity: &Identity, text: &str) -> Node {
    let kind = TransportKind::UDP;
    Node {
        identity: identity.clone(),
        name: name(text),
        unix_at_zero: 1_700_000_000,
        transports: vec![TransportFacts { kind, port: 4330, ipv4: true, ipv6: false }],
    }
}

fn terminal(identity: &Identity, dc: &Identity) -> Terminal {
    let node = node(identity, "mn.example");
    let coordinator =
        CoordinatorAddress { key: dc.public(), addresses: vec![Candidate::udp(at(DC))] };
    let config = TerminalConfig {
        mode: Mode::Fast,
        suites: Suites::ALL,
        mtu: 1400,
        coordinators: vec![coordinator],
    };
    let mut mn = Terminal::new(NOW, node, config, Rng::from_seed([1; 32]));
    let address = LocalAddress { ip: MN.into(), prefix: 24, usable: true, preferred: true };
    let interface = LocalInterface {
        index: 2,
        name: "eth0".into(),
        running: true,
        generation: 0,
        loopback: false,
        addresses: vec![address],
    };
    let snapshot = Snapshot { interfaces: vec![interface] };
    mn.handle_addresses(NOW, snapshot, &[route(DC.into())]);
    mn
}

/// Our end of a session between a node and a coordinator.
struct Session {
    id: SessionId,
    /// Which end we are.
    side: Side,
    send: DataKey,
    receive: DataKey,
    counter: u64,
}

impl Session {
    fn new(id: SessionId, side: Side, keys: &Established) -> Self {
        let key = |secret: &Secret| {
            let derived = derive(secret.expose(), &[b"ntm ctl v1"]);
            DataKey::new(Suite::ChaCha20Poly1305, &Secret::new(derived))
        };
        Self { id, side, send: key(&keys.send), receive: key(&keys.receive), counter: 0 }
    }

    fn say(&mut self, signal: &Signal) -> Vec<u8> {
        let envelope = Envelope::new(Kind::Signalling, self.side, self.id.0);
        let header = Header::new(envelope, Epoch::default(), self.counter).emit();
        let mut text = signal.emit();
        let tag = self.send.seal(self.counter, &header, &mut text);
        self.counter += 1;
        [&header[..], &text, &tag].concat()
    }

    fn hear(&self, datagram: &[u8]) -> Signal {
        let header = Header::parse(datagram).expect("a header");
        assert_eq!((header.envelope.id, header.envelope.side()), (self.id.0, self.side.other()));
        let text = open(&self.receive, datagram).expect("sealed for us");
        Signal::parse(&text).expect("a signalling message")
    }
}

fn open(key: &DataKey, datagram: &[u8]) -> Option<Vec<u8>> {
    let header = Header::parse(datagram).ok()?;
    let (head, sealed) = datagram.split_at(HEADER);
    key.open(header.counter, head, &mut sealed.to_vec()).map(|text| text.to_vec())
}

/// Plays the coordinator until the terminal is registered.
fn register(mn: &mut Terminal, dc: &Identity, node: &Identity) -> Session {
    let (sent, _) = drain(mn);
    let first = Handshake1::parse(&of_kind(&sent, DC, Kind::Handshake1)).expect("message 1");
    assert_eq!((first.role, first.cookie), (RoleTag::Coordinator, [0; 16]));
    let read = Responder::read(dc, &prologue_of_coordinator(), [2; 32], &first.noise)
        .expect("the prologue is the same");
    assert_eq!(read.initiator, node.public());
    let hello = NodeHello::parse(&read.payload).expect("a Node Hello");
    assert_eq!((hello.name, hello.role), (name("mn.example"), MemberRole::Terminal));
    assert_eq!(hello.epoch, Epoch::starting(1_700_000_001));
    let id = SessionId([5; 16]);
    let answer = CoordinatorAnswer { session: Ok(id) };
    let (noise, keys) = read.answer(&answer.emit()).expect("a usable key");
    let second =
        Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Lower, noise }.emit();
    mn.handle_datagram(NOW, &leg(DC), &second);
    let mut session = Session::new(id, Side::Lower, &keys);
    let (sent, _) = drain(mn);
    let request = session.hear(&of_kind(&sent, DC, Kind::Signalling));
    let SignalBody::RegistrationRequest(body) = &request.body else {
        panic!("{request:?} is no Registration Request")
    };
    assert_eq!(body.claimed, [Candidate::udp(at(MN))]);
    let response = RegistrationResponse {
        epoch_seen: body.epoch,
        vips: vips(1),
        ranges: vec!["198.18.0.0/16".parse().expect("a range")],
        salt: SALT,
        observed: Candidate::udp(at(MN)),
        challenge: Some([3; 8]),
        lifetime: 300,
        keep_alive: 60,
        coordinators: Vec::new(),
        unix: 1_700_000_001,
        ticket_key: None,
    };
    let body = SignalBody::RegistrationResponse(response);
    let response = session.say(&Signal { request: request.request, body });
    mn.handle_datagram(NOW, &leg(DC), &response);
    let (sent, _) = drain(mn);
    let proof = session.hear(&of_kind(&sent, DC, Kind::Signalling));
    assert_eq!(proof.body, SignalBody::KeepAlive { token: Some([3; 8]) }, "D-REG-3");
    session
}

/// Plays the coordinator's part of a set-up of row 1.
fn direct(mn: &mut Terminal, session: &mut Session, cn: &Identity) -> PathId {
    let target = Target::Name(name("cn.example"));
    mn.handle_command(NOW, TerminalCommand::Connect(target.clone()));
    let (sent, _) = drain(mn);
    let asked = session.hear(&of_kind(&sent, DC, Kind::Signalling));
    let SignalBody::DirectionRequest(request) = &asked.body else {
        panic!("{asked:?} is no Direction Request")
    };
    assert_eq!((&request.target, request.path), (&target, None));
    let (path, _) = PathId::derive(&SALT, &vips(1), &vips(2)).expect("a pair");
    let direction = RouteDirection {
        path,
        begin: true,
        unproved: false,
        peer_asked: false,
        reason: Reason::Start,
        own: vips(1),
        own_epoch: Epoch::starting(1_700_000_001),
        peer: PeerInfo { name: name("cn.example"), key: cn.public(), vips: vips(2) },
        peer_epoch: Epoch(9),
        candidates: vec![Candidate::udp(at(CN))],
        pacing: Duration::from_millis(20),
        relays: Vec::new(),
    };
    let body = SignalBody::RouteDirection(direction);
    let directed = session.say(&Signal { request: asked.request, body });
    mn.handle_datagram(NOW, &leg(DC), &directed);
    path
}

/// Plays the peer, which chooses this suite.
fn tunnel(suite: Suite) {
    let mut rng = Rng::from_seed([9; 32]);
    let [own, dc, cn] = [(); 3].map(|()| Identity::generate(&mut rng));
    let mut mn = terminal(&own, &dc);
    let mut session = register(&mut mn, &dc, &own);
    let path = direct(&mut mn, &mut session, &cn);

    let (sent, _) = drain(&mut mn);
    let first = Handshake1::parse(&of_kind(&sent, CN, Kind::Handshake1)).expect("message 1");
    assert_eq!((first.role, first.side), (RoleTag::Terminal, Side::Lower));
    assert_eq!(first.id, *path.as_bytes());
    let names = [&name("mn.example"), &name("cn.example")];
    let prologue = prologue_of_terminals(names, path, &vips(1), &vips(2));
    let read =
        Responder::read(&cn, &prologue, [4; 32], &first.noise).expect("the prologue is the same");
    let hello = TunnelHello::parse(&read.payload).expect("a Tunnel Hello");
    assert_eq!(hello.suites, Suites::ALL);
    let answer = TunnelAnswer { epoch: Epoch(9), slot: 11, suite };
    let (noise, keys) = read.answer(&answer.emit()).expect("a usable key");
    let second = Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Higher, noise };
    mn.handle_datagram(NOW, &leg(CN), &second.emit());

    // The data keys, as the tunnel table is told them.
    let (sent, events) = drain(&mut mn);
    let installed = |wanted: Direction| {
        let key =
            |event: &TerminalEvent| match event {
                TerminalEvent::Table(TableEvent::Install {
                    direction, slot, suite, key, ..
                }) if *direction == wanted => Some((*slot, *suite, *key)),
                _ => None,
            };
        events.iter().find_map(key).expect("a key is installed")
    };
    let number = &[suite as u8][..];
    let to_cn = derive(keys.receive.expose(), &[b"ntm data v1", number, &[1]]);
    let to_mn = derive(keys.send.expose(), &[b"ntm data v1", number, &[2]]);
    assert_eq!(installed(Direction::Send), (11, suite, Secret::new(to_cn)));
    assert_eq!(installed(Direction::Receive), (hello.slot, suite, Secret::new(to_mn)));

    // The first message in the session, and an answer to it.
    let control = |secret: &Secret, way| {
        let key = derive(secret.expose(), &[b"ntm ctl v1", &[way]]);
        DataKey::new(Suite::ChaCha20Poly1305, &Secret::new(key))
    };
    let datagram = of_kind(&sent, CN, Kind::Control);
    let header = Header::parse(&datagram).expect("a header");
    assert_eq!((header.envelope.slot, header.counter), (11, 0));
    assert_eq!((header.envelope.lower, header.envelope.id), (true, *path.as_bytes()));
    let text = open(&control(&keys.receive, 1), &datagram).expect("sealed for us");
    let Ok(Control::Challenge { token: theirs, .. }) = Control::parse(&text) else {
        panic!("{text:?} is no Challenge")
    };

    let mut envelope = Envelope::new(Kind::Control, Side::Higher, *path.as_bytes());
    envelope.slot = hello.slot;
    let mut say = |counter, control_message: Control| {
        let header = Header::new(envelope, Epoch(9), counter).emit();
        let mut text = control_message.emit();
        let tag = control(&keys.send, 2).seal(counter, &header, &mut text);
        mn.handle_datagram(NOW, &leg(CN), &[&header[..], &text, &tag].concat());
        drain(&mut mn).0
    };
    say(0, Control::ChallengeResponse { epoch: Epoch(9), token: theirs });
    let sent = say(1, Control::Challenge { epoch: Epoch(9), token: [6; 8] });
    let answer = open(&control(&keys.receive, 1), &of_kind(&sent, CN, Kind::Control));
    let expected =
        Control::ChallengeResponse { epoch: Epoch::starting(1_700_000_001), token: [6; 8] };
    assert_eq!(answer.map(|text| Control::parse(&text)), Some(Ok(expected)));
}

#[test]
fn a_terminal_agrees_with_the_drawing_on_every_key() {
    tunnel(Suite::ChaCha20Poly1305);
    tunnel(Suite::Aes256Gcm);
}

/// A coordinator with one member, a relay.
fn coordinator(dc: &Identity, relay: &Identity) -> Coordinator {
    let member =
        Member { name: name("rs.example"), key: relay.public(), roles: MemberRole::Relay.into() };
    let config = CoordinatorConfig {
        public: vec![Candidate::udp(at(DC))],
        members: vec![member],
        quota: RelayQuota::default(),
        clocks: Clocks::default(),
    };
    let node = node(dc, "dc.example");
    let mut coordinator = Coordinator::new(NOW, node, config, Rng::from_seed([1; 32]));
    while let Some((id, effect)) = coordinator.poll_effect() {
        let outcome = match effect {
            Effect::Load => Outcome::Loaded(Ok((Vec::new(), Vec::new()))),
            _ => Outcome::Stored(Ok(())),
        };
        coordinator.handle_outcome(NOW, id, outcome);
    }
    coordinator
}

#[test]
fn a_coordinator_agrees_with_the_drawing_on_the_key_of_tickets() {
    let mut rng = Rng::from_seed([9; 32]);
    let [dc, relay] = [(); 2].map(|()| Identity::generate(&mut rng));
    let mut coordinator = coordinator(&dc, &relay);
    let mut said = |datagram: &[u8]| {
        coordinator.handle_datagram(NOW, &leg(CN), datagram);
        let mut answer = Vec::new();
        coordinator.poll_transmit(&mut answer).expect("an answer");
        answer
    };

    let role = MemberRole::Relay;
    let hello = NodeHello { epoch: Epoch(7), began: 0, name: name("rs.example"), role };
    let begun = Initiator {
        seed: [2; 32],
        responder: dc.public(),
        prologue: prologue_of_coordinator(),
        payload: hello.emit(),
    };
    let first = Handshake1 {
        role: RoleTag::Coordinator,
        id: [8; 16],
        side: Side::Higher,
        cookie: NO_COOKIE,
        noise: begun.message(&relay).expect("a usable key"),
    };
    let second = Handshake2::parse(&said(&first.emit())).expect("message 2");
    assert_eq!((second.id, second.side), ([8; 16], Side::Lower));
    let keys = begun.finish(&relay, &second.noise).expect("the prologue is the same");
    let answer = CoordinatorAnswer::parse(&keys.payload).expect("a Coordinator Answer");
    let mut session = Session::new(answer.session.expect("a member"), Side::Higher, &keys);

    let epoch = Epoch(7);
    let claimed = vec![Candidate::udp(at(CN))];
    let body = RegistrationRequest { epoch, claimed, paths: Vec::new(), token: None };
    let body = SignalBody::RegistrationRequest(body);
    let request = RequestId::of_node(3);
    let asked = session.say(&Signal { request, body });
    let response = session.hear(&said(&asked));
    assert_eq!(response.request, request);
    let SignalBody::RegistrationResponse(body) = response.body else {
        panic!("{response:?} is no Registration Response")
    };
    let public = relay.public();
    let key = derive(dc.private().expose(), &[b"ntm ticket key v1", public.as_bytes()]);
    assert_eq!(body.ticket_key, Some(Secret::new(key)));
    assert_eq!((body.lifetime, body.keep_alive, body.vips), (35, 10, Vips::default()));
    assert_eq!((body.observed, body.epoch_seen), (Candidate::udp(at(CN)), epoch));
}
