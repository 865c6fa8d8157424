//! A terminal, against strangers, a lying coordinator and a lying peer.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::address::{Candidate, Leg, Prefix, Vips};
use ntm_core::crypto::{Responder, Secret, Suite, Suites};
use ntm_core::id::{Epoch, PathId, SessionId, Side};
use ntm_core::machine::{Effect, Outcome};
use ntm_core::terminal::{Mode, Terminal, TerminalCommand, TerminalConfig};
use ntm_core::tunnel::Traffic;
use ntm_core::wire::{
    Bind, BindAck, BindStatus, Control, Cookie, Envelope, Handshake1, Handshake2, Kind, PeerInfo,
    Reason, RegistrationResponse, RelayGrant, RelayId, RequestId, RoleTag, RouteDirection, Signal,
    SignalBody, Target, Ticket, Token, TunnelAnswer, TunnelHello,
};

use super::cast::{
    Clockwork, Ledger, Line, SALT, START, Who, accept, assert_bounded, coordinators, leg, pass,
    rng, route, size, snapshot,
};
use super::input::{Input, Script};
use super::parsers::{sample_controls, sample_signals};

const MOST_STEPS: usize = 64;
/// A capsule with nothing but an IPv4 header and eight bytes in it.
const LEAST_CAPSULE: usize = 72;
/// The key that the relay's answers are sealed with.
const END_KEY: Secret = Secret::new([0x77; 32]);
/// Who the terminal is.
const SELF: Who = Who::One;
/// Whom it talks to.
const PEER: Who = Who::Other;

/// How far the terminal has come when a play begins.
const REGISTERING: usize = 0;
const REGISTERED: usize = 1;
const DIRECTED: usize = 2;
const LIVE: usize = 3;

/// A terminal, and what those it deals with know.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) terminal: Terminal,
    pub(super) now: Time,
    ip: IpAddr,
    generation: u64,
    pub(super) dc: Option<Line>,
    peer: Option<Line>,
    /// Its last first message, and to which coordinator or peer.
    pub(super) first: Option<Vec<u8>>,
    pub(super) first_to_peer: Option<Vec<u8>>,
    /// What it asked its coordinator last.
    request: Option<RequestId>,
    /// What it wants the peer to return.
    tokens: Vec<Token>,
    /// What it asked its relay last.
    bind: Option<Bind>,
    /// Everything that was ever sent to it.
    told: Vec<(Leg, Vec<u8>)>,
    pub(super) ledger: Ledger,
    woken: usize,
}

impl Clockwork for Play {
    fn deadline(&self) -> Option<(Time, &'static str)> {
        self.terminal.poll_timeout()
    }

    fn wake(&mut self, now: Time) {
        self.now = now;
        self.terminal.handle_timeout(now);
        self.drain();
    }
}

/// A terminal at each of the four stages.
pub(super) fn stage(number: usize) -> Play {
    static STAGES: OnceLock<[Play; 4]> = OnceLock::new();
    STAGES
        .get_or_init(|| {
            let registering = Play::new();
            let registered = registering.clone().registered();
            let directed = registered.clone().directed();
            let live = directed.clone().live();
            [registering, registered, directed, live]
        })
        .get(number % 4)
        .cloned()
        .expect("one of four")
}

impl Play {
    fn new() -> Self {
        let config = TerminalConfig {
            mode: Mode::Fast,
            suites: Suites::ALL,
            mtu: 1400,
            coordinators: coordinators(),
        };
        let terminal = Terminal::new(START, SELF.node(), config, rng(SELF));
        let ip = SELF.addr().ip();
        let mut play = Self {
            terminal,
            now: START,
            ip,
            generation: 1,
            dc: None,
            peer: None,
            first: None,
            first_to_peer: None,
            request: None,
            tokens: Vec::new(),
            bind: None,
            told: Vec::new(),
            ledger: Ledger::default(),
            woken: 0,
        };
        play.drain();
        play.look();
        assert!(play.first.is_some(), "it wants to register");
        play
    }

    fn registered(mut self) -> Self {
        let first = self.first.take().expect("it has begun");
        let (second, line) = accept(&first, SessionId([0xd; 16])).expect("it can be answered");
        self.dc = Some(line);
        self.tell(&Who::Coordinator.leg(), &second);
        let request = self.request.expect("it registers");
        let body = SignalBody::RegistrationResponse(response());
        self.signal(&Signal { request, body }.emit());
        assert!(self.terminal.status(self.now).registered);
        self
    }

    fn directed(mut self) -> Self {
        let request = RequestId::of_coordinator(1);
        let body = SignalBody::RouteDirection(direction());
        self.signal(&Signal { request, body }.emit());
        assert!(self.first_to_peer.is_some() && self.bind.is_some(), "it begins");
        self
    }

    fn live(mut self) -> Self {
        let first = self.first_to_peer.clone().expect("it has begun");
        let (second, line) = answer_as_peer(&first, None).expect("it can be answered");
        self.peer = Some(line);
        self.tell(&PEER.leg(), &second);
        let token = *self.tokens.last().expect("it asks whether we are there");
        let epoch = Epoch(1);
        self.control(&PEER.leg(), &Control::ChallengeResponse { epoch, token }.emit());
        let status = self.terminal.status(self.now);
        assert!(status.tunnels.iter().all(|tunnel| tunnel.proved) && !status.tunnels.is_empty());
        self
    }

    /// The watcher reports.
    fn look(&mut self) {
        let routes: Vec<_> =
            self.terminal.destinations().into_iter().map(|to| route(self.ip, to)).collect();
        self.terminal.handle_addresses(self.now, snapshot(self.ip, self.generation), &routes);
        self.drain();
    }

    pub(super) fn tell(&mut self, from: &Leg, datagram: &[u8]) {
        self.ledger.came(from, datagram.len());
        self.terminal.handle_datagram(self.now, from, datagram);
        self.told.push((*from, datagram.to_vec()));
        self.drain();
    }

    /// The coordinator says something.
    fn signal(&mut self, plain: &[u8]) {
        if let Some(datagram) = self.dc.as_mut().map(|line| line.seal(plain)) {
            self.tell(&Who::Coordinator.leg(), &datagram);
        }
    }

    /// The peer says something.
    fn control(&mut self, from: &Leg, plain: &[u8]) {
        if let Some(datagram) = self.peer.as_mut().map(|line| line.seal(plain)) {
            self.tell(from, &datagram);
        }
    }

    pub(super) fn pass(&mut self, span: Duration) {
        let (mut now, mut woken) = (self.now, self.woken);
        pass(self, &mut now, span, &mut woken);
        (self.now, self.woken) = (now, woken);
    }

    fn drain(&mut self) {
        let mut buffer = Vec::new();
        while let Some((id, effect)) = self.terminal.poll_effect() {
            let outcome = match effect {
                Effect::Load => Outcome::Loaded(Ok((Vec::new(), Vec::new()))),
                Effect::Routes(to) => {
                    Outcome::Routed(to.into_iter().map(|to| route(self.ip, to)).collect())
                }
                Effect::Store(_) | Effect::Release(_) => Outcome::Stored(Ok(())),
                Effect::Lease { .. } | Effect::Plan(_) => panic!("not a terminal's question"),
            };
            self.terminal.handle_outcome(self.now, id, outcome);
        }
        while self.terminal.poll_event().is_some() {}
        while let Some(to) = self.terminal.poll_transmit(&mut buffer) {
            self.ledger.went(&to, buffer.len());
            self.hear(&buffer);
        }
    }

    /// What those who receive it learn.
    fn hear(&mut self, datagram: &[u8]) {
        if let Ok(bind) = Bind::parse(datagram) {
            if !bind.carried.is_empty() {
                self.hear(&bind.carried);
            }
            self.bind = Some(bind);
        } else if let Ok(first) = Handshake1::parse(datagram) {
            let to_peer = first.role == RoleTag::Terminal;
            *(if to_peer { &mut self.first_to_peer } else { &mut self.first }) =
                Some(datagram.to_vec());
        } else if let Some(plain) = self.dc.as_ref().and_then(|line| line.open(datagram)) {
            let signal = Signal::parse(&plain).expect("a terminal says what can be read");
            self.request = Some(signal.request);
        } else if let Some(plain) = self.peer.as_ref().and_then(|line| line.open(datagram)) {
            match Control::parse(&plain).expect("a terminal says what can be read") {
                Control::TunnelRequest(request) => self.tokens.push(request.challenge),
                Control::TunnelResponse(response) => self.tokens.extend(response.challenge),
                Control::Challenge { token, .. } => self.tokens.push(token),
                Control::ChallengeResponse { .. }
                | Control::KeepAlive
                | Control::Report
                | Control::Close => {}
            }
            let beyond = self.tokens.len().saturating_sub(8);
            self.tokens.drain(..beyond);
        }
    }

    /// What happens to a terminal without anybody's ill will.
    fn live_on(&mut self, input: &mut Input<'_>) {
        match input.u8() % 8 {
            0 | 1 => self.pass(input.span()),
            2 => {
                let moved: [IpAddr; 3] = [
                    SELF.addr().ip(),
                    [203, 0, 113, 33].into(),
                    "2001:db8::33".parse().expect("an address"),
                ];
                self.ip = moved[usize::from(input.u8()) % 3];
                self.generation += 1;
                self.look();
            }
            3 => {
                let vip = [198, 18, 0, input.u8() % 8].into();
                self.terminal.handle_miss(self.now, vip);
            }
            4 => {
                let [sent, received] = input.array::<2>().map(u64::from);
                let (sent_bytes, received_bytes) = (100 * sent, 100 * received);
                let unanswered = (sent > received).then_some(self.now);
                let key_used = sent;
                let traffic =
                    Traffic { sent, sent_bytes, received, received_bytes, key_used, unanswered };
                self.terminal.handle_traffic(self.now, &path(), traffic);
            }
            5 => {
                let (from, epoch_low) = (leg(input.u8()), input.u16());
                self.ledger.came(&from, LEAST_CAPSULE);
                self.terminal.handle_seen(self.now, &path(), &from, epoch_low);
            }
            6 => self.terminal.handle_command(self.now, TerminalCommand::Ping(path())),
            _ => {
                let target = Target::Name(PEER.name());
                let command = match input.u8() % 4 {
                    0 => TerminalCommand::Leave,
                    1 => TerminalCommand::Trust(PEER.name()),
                    _ => TerminalCommand::Connect(target),
                };
                self.terminal.handle_command(self.now, command);
            }
        }
        self.drain();
    }
}

pub(super) fn path() -> PathId {
    PathId::derive(&SALT, &SELF.vips(), &PEER.vips()).expect("two nodes").0
}

fn side() -> Side {
    PathId::derive(&SALT, &SELF.vips(), &PEER.vips()).expect("two nodes").1
}

fn response() -> RegistrationResponse {
    let prefix = |ip: IpAddr, length| Prefix::new(ip, length).expect("a prefix");
    RegistrationResponse {
        epoch_seen: Epoch(0),
        vips: SELF.vips(),
        ranges: vec![
            prefix([198, 18, 0, 0].into(), 24),
            prefix("fd00::".parse().expect("an address"), 120),
        ],
        salt: SALT,
        observed: Candidate::udp(SELF.addr()),
        challenge: None,
        lifetime: 300,
        keep_alive: 25,
        coordinators: vec![Candidate::udp(Who::Coordinator.addr())],
        unix: 1_700_000_100,
        ticket_key: None,
    }
}

fn direction() -> RouteDirection {
    let ticket = Ticket {
        relay: RelayId::of(&Who::Relay.identity().public()),
        serial: 1,
        not_after: 1_700_000_700,
        rate: 0,
        quota: 0,
        lower: SELF.identity().public().hash(),
        higher: PEER.identity().public().hash(),
        mac: [0; 16],
    };
    let candidates = vec![Candidate::udp(Who::Relay.addr())];
    RouteDirection {
        path: path(),
        begin: true,
        unproved: false,
        peer_asked: false,
        reason: Reason::Start,
        own: SELF.vips(),
        own_epoch: Epoch(0),
        peer: PeerInfo { name: PEER.name(), key: PEER.identity().public(), vips: PEER.vips() },
        peer_epoch: Epoch(1),
        candidates: vec![Candidate::udp(PEER.addr())],
        pacing: Duration::from_millis(20),
        relays: vec![RelayGrant { ticket, key: END_KEY, candidates }],
    }
}

/// What the ends of a tunnel agree on before a handshake.
pub(super) fn prologue(first: Who, second: Who) -> Vec<u8> {
    let mut prologue = b"ntm v1 terminal to terminal".to_vec();
    for name in [first.name(), second.name()] {
        prologue.push(u8::try_from(name.as_str().len()).expect("a name is short"));
        prologue.extend_from_slice(name.as_str().as_bytes());
    }
    prologue.extend_from_slice(path().as_bytes());
    let (lower, higher) = if side() == Side::Lower { (SELF, PEER) } else { (PEER, SELF) };
    for Vips { v4, v6 } in [lower.vips(), higher.vips()] {
        prologue.extend_from_slice(&v4.map_or([0; 4], |v4| v4.octets()));
        prologue.extend_from_slice(&v6.map_or([0; 16], |v6| v6.octets()));
    }
    prologue
}

/// Answers the terminal's first message as the peer would, or with `payload`.
pub(super) fn answer_as_peer(datagram: &[u8], payload: Option<&[u8]>) -> Option<(Vec<u8>, Line)> {
    let first = Handshake1::parse(datagram).ok()?;
    let identity = PEER.identity();
    let responder =
        Responder::read(&identity, &prologue(SELF, PEER), [8; 32], &first.noise).ok()?;
    let hello = TunnelHello::parse(&responder.payload).ok()?;
    let answer = TunnelAnswer { epoch: Epoch(1), slot: 5, suite: Suite::ChaCha20Poly1305 }.emit();
    let (noise, keys) = responder.answer(payload.unwrap_or(&answer)).ok()?;
    let (role, id, side) = (RoleTag::Terminal, first.id, side().other());
    let line = Line::tunnel(id, side, hello.slot, false, &keys);
    Some((Handshake2 { role, id, side, noise }.emit(), line))
}

/// A script for strangers: anything, and what the terminal has received before,
/// perhaps changed, from anywhere. They get no more than they send, change
/// nothing that shows, and leave nothing behind that grows.
pub fn terminal(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = stage(input.u8().into());
    let before = size(&play.terminal);
    let shown = |play: &Play| play.terminal.status(START);
    let status = shown(&play);
    let mut alone = true;
    play.ledger = Ledger::default();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % 4 {
            0 => {
                let from = super::cast::elsewhere(input.u8());
                let mut datagram = input.bytes().to_vec();
                claim(&mut datagram, input.u8());
                play.tell(&from, &datagram);
            }
            1 => {
                let (from, nth) = (super::cast::elsewhere(input.u8()), usize::from(input.u8()));
                let Some((_, told)) = play.told.get(nth % play.told.len().max(1)) else { continue };
                let datagram = input.edited(told.clone());
                play.tell(&from, &datagram);
            }
            2 => {
                let from = super::cast::elsewhere(input.u8());
                let datagram = about_path(&mut input, &play);
                play.tell(&from, &datagram);
            }
            _ => {
                alone = false;
                play.live_on(&mut input);
            }
        }
        play.told.truncate(8);
        // A stranger's question gets no longer answer; a genuine capsule from
        // elsewhere is worth three times its length.
        play.ledger.check(if alone { 1 } else { 3 }, is_cast);
    }
    if alone {
        assert_eq!(status, shown(&play), "a stranger has changed something");
    }
    assert_bounded(&play.terminal, before, if alone { 16 << 10 } else { 96 << 10 });
}

/// Makes bytes look like a datagram about the tunnel.
fn claim(datagram: &mut [u8], what: u8) {
    if what & 1 != 0
        && let Some(first) = datagram.first_mut()
    {
        *first = 0x90 | *first & 0xf;
    }
    if what & 2 != 0
        && let Some(id) = datagram.get_mut(4..20)
    {
        id.copy_from_slice(path().as_bytes());
    }
}

/// What somebody who has overheard the Path ID can write.
fn about_path(input: &mut Input<'_>, play: &Play) -> Vec<u8> {
    let (role, id) = (RoleTag::Terminal, *path().as_bytes());
    let side = if input.u8() & 1 == 0 { Side::Lower } else { Side::Higher };
    match input.u8() % 4 {
        0 => Cookie { role, id, cookie: input.array() }.emit(),
        1 => {
            let overheard = play.first.as_ref().and_then(|first| Handshake1::parse(first).ok());
            let id = overheard.map_or(id, |first| first.id);
            Cookie { role, id, cookie: input.array() }.emit()
        }
        2 => {
            let noise = vec![input.u8(); 140];
            Handshake1 { role, id, side, cookie: input.array(), noise }.emit()
        }
        _ => {
            let mut datagram = Envelope::new(Kind::Control, side, id).emit().to_vec();
            datagram.extend_from_slice(input.bytes());
            datagram
        }
    }
}

fn is_cast(place: std::net::SocketAddr) -> bool {
    [Who::Coordinator, Who::Relay, PEER].iter().any(|who| who.addr() == place)
}

/// A script for the coordinator: what it says is sealed as it would be, and may
/// be any bytes at all.
pub fn lying_coordinator(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = stage([REGISTERED, LIVE, DIRECTED][usize::from(input.u8()) % 3]);
    let before = size(&play.terminal);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % 4 {
            0 => play.signal(input.bytes()),
            1 => {
                let what = input.u8();
                let plain = input.bytes();
                if let Ok(signal) = Signal::parse(plain) {
                    let signal = plausible(signal, what, &play);
                    play.signal(&signal.emit());
                }
            }
            2 => {
                let session = SessionId([input.u8() % 4; 16]);
                let answer = play.first.as_ref().and_then(|first| accept(first, session));
                if let Some((second, line)) = answer {
                    play.dc = Some(line);
                    play.tell(&Who::Coordinator.leg(), &second);
                }
            }
            _ => play.live_on(&mut input),
        }
        play.told.clear();
    }
    assert_bounded(&play.terminal, before, 512 << 10);
}

/// Makes a message the answer to the last question, and its Path ID right, so
/// that it gets further than the first check.
fn plausible(mut signal: Signal, what: u8, play: &Play) -> Signal {
    if what & 1 != 0
        && let Some(request) = play.request
    {
        signal.request = request;
    }
    match &mut signal.body {
        SignalBody::RouteDirection(direction) if what & 2 != 0 => {
            direction.own = SELF.vips();
            if let Some((path, _)) = PathId::derive(&SALT, &direction.own, &direction.peer.vips) {
                direction.path = path;
            }
        }
        SignalBody::RegistrationResponse(response) if what & 2 != 0 => {
            response.vips = SELF.vips();
            response.salt = SALT;
            response.epoch_seen = Epoch(0);
        }
        SignalBody::RegistrationRequest(_)
        | SignalBody::RegistrationResponse(_)
        | SignalBody::DirectionRequest(_)
        | SignalBody::RouteDirection(_)
        | SignalBody::Ack
        | SignalBody::RelayDirection(_)
        | SignalBody::KeepAlive { .. }
        | SignalBody::KeepAliveAck { .. }
        | SignalBody::Goodbye
        | SignalBody::Refusal(_)
        | SignalBody::Revocation { .. } => {}
    }
    signal
}

/// A script for the other end of a tunnel, and for its relay: what they say is
/// sealed as it would be.
pub fn lying_peer(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = stage(if input.u8() & 1 == 0 { LIVE } else { DIRECTED });
    let before = size(&play.terminal);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % 8 {
            0 => {
                let from = leg(input.u8());
                play.control(&from, input.bytes());
            }
            1 => {
                let (from, what) = (leg(input.u8()), input.u8());
                let Ok(control) = Control::parse(input.bytes()) else { continue };
                let control = returning(control, what, &play.tokens);
                play.control(&from, &control.emit());
            }
            2 => {
                let (from, payload) = (leg(input.u8()), input.bytes());
                let payload = Some(payload).filter(|payload| !payload.is_empty());
                let answer =
                    play.first_to_peer.as_ref().and_then(|first| answer_as_peer(first, payload));
                if let Some((second, line)) = answer {
                    play.peer = Some(line);
                    play.tell(&from, &second);
                }
            }
            3 => {
                let (from, seed, slot) = (leg(input.u8()), [input.u8(); 32], input.u8() % 16);
                begin_as_peer(&mut play, &from, seed, slot, Epoch(input.u64()));
            }
            4 => {
                let (from, status, what) = (leg(input.u8()), input.u8(), input.u8());
                answer_bind(&mut play, &from, status, what);
            }
            _ => play.live_on(&mut input),
        }
        play.told.clear();
    }
    assert_bounded(&play.terminal, before, 96 << 10);
}

/// Puts what the terminal asked for into the answer.
fn returning(mut control: Control, what: u8, tokens: &[Token]) -> Control {
    let back = usize::from(what >> 1) % tokens.len().max(1);
    let Some(right) = tokens.iter().rev().nth(back).filter(|_| what & 1 != 0) else {
        return control;
    };
    match &mut control {
        Control::TunnelResponse(response) => response.echo = *right,
        Control::ChallengeResponse { token, .. } => *token = *right,
        Control::TunnelRequest(_)
        | Control::Challenge { .. }
        | Control::KeepAlive
        | Control::Report
        | Control::Close => {}
    }
    control
}

/// The peer begins a handshake; if it is answered, that is the session from then
/// on.
fn begin_as_peer(play: &mut Play, from: &Leg, seed: [u8; 32], slot: u8, epoch: Epoch) {
    let hello = TunnelHello { epoch, began: 5, slot, suites: Suites::ALL };
    let initiator = ntm_core::crypto::Initiator {
        seed,
        responder: SELF.identity().public(),
        prologue: prologue(PEER, SELF),
        payload: hello.emit(),
    };
    let identity = PEER.identity();
    let noise = initiator.message(&identity).expect("the key is good");
    let (role, id, side) = (RoleTag::Terminal, *path().as_bytes(), side().other());
    let first = Handshake1 { role, id, side, cookie: [0; 16], noise }.emit();
    play.terminal.handle_datagram(play.now, from, &first);
    let mut buffer = Vec::new();
    while let Some(to) = play.terminal.poll_transmit(&mut buffer) {
        play.ledger.went(&to, buffer.len());
        let second = Handshake2::parse(&buffer).ok();
        let keys = second.and_then(|second| initiator.finish(&identity, &second.noise).ok());
        let answer = keys.as_ref().and_then(|keys| TunnelAnswer::parse(&keys.payload).ok());
        match (keys, answer) {
            (Some(keys), Some(answer)) => {
                play.peer = Some(Line::tunnel(id, side, answer.slot, true, &keys));
            }
            (_, _) => play.hear(&buffer),
        }
    }
    play.drain();
}

/// The relay answers the last Bind.
fn answer_bind(play: &mut Play, from: &Leg, status: u8, what: u8) {
    let Some(bind) = &play.bind else { return };
    let statuses = [
        BindStatus::Bound,
        BindStatus::Challenge,
        BindStatus::Expired,
        BindStatus::Quota,
        BindStatus::Busy,
        BindStatus::Stale,
        BindStatus::Address,
    ];
    let ack = BindAck {
        path: bind.path,
        side: bind.side,
        status: statuses[usize::from(status) % statuses.len()],
        epoch: if what & 1 == 0 { bind.epoch } else { Epoch(what.into()) },
        nonce: if what & 2 == 0 { bind.nonce } else { [what; 8] },
        challenge: (what & 4 != 0).then_some([what; 8]),
    };
    play.tell(from, &ack.emit(&END_KEY));
}

pub(super) fn registering() -> Play {
    stage(REGISTERING)
}

pub(super) fn directed() -> Play {
    stage(DIRECTED)
}

pub(super) fn live() -> Play {
    stage(LIVE)
}

pub(super) fn stranger_seeds() -> Vec<Vec<u8>> {
    let begin = |stage: usize| Script::default().put(&[stage as u8]);
    let second = [3, 0, 0xa0];
    vec![
        begin(LIVE).put(&[0, 1]).bytes(&[0x92; 60]).put(&[3]).done(),
        begin(LIVE).put(&[1, 1, 2, 0, 1, 1, 3, 1, 0, 30, 1]).put(&second).done(),
        begin(DIRECTED).put(&[2, 1, 0, 0]).put(&[7; 16]).put(&second).done(),
        begin(REGISTERING).put(&[2, 1, 0, 1]).put(&[7; 16]).put(&second).done(),
        begin(LIVE).put(&[2, 1, 1, 2, 9]).put(&[0; 16]).put(&[2, 1, 1, 3]).bytes(&[1; 40]).done(),
        begin(REGISTERED).put(&[3, 3, 4, 2, 1, 1, 2, 9]).put(&[0; 16]).put(&second).done(),
        begin(LIVE).put(&[3, 2, 1]).put(&second).put(&[3, 4, 9, 0, 3, 0, 0xf0]).done(),
    ]
}

pub(super) fn coordinator_seeds() -> Vec<Vec<u8>> {
    let request = RequestId::of_coordinator(3);
    let plain = |body| Signal { request, body }.emit();
    let bodies = [
        SignalBody::RegistrationResponse(response()),
        SignalBody::RouteDirection(direction()),
        SignalBody::RouteDirection(RouteDirection {
            begin: false,
            reason: Reason::Move,
            peer_epoch: Epoch(2),
            candidates: Vec::new(),
            ..direction()
        }),
        SignalBody::Revocation { key: PEER.identity().public() },
    ];
    let all = bodies.into_iter().chain(sample_signals()).map(plain);
    let mut seeds: Vec<_> = all
        .enumerate()
        .map(|(nth, plain)| {
            let begin = Script::default().put(&[nth as u8, 1, 2]).bytes(&plain);
            begin.put(&[3, 2, 1, 1, 3]).bytes(&plain).put(&[3, 0, 0xa0]).done()
        })
        .collect();
    seeds.push(Script::default().put(&[0, 3, 0, 0xff, 2, 1, 0]).bytes(&[5; 9]).done());
    seeds
}

pub(super) fn peer_seeds() -> Vec<Vec<u8>> {
    let controls = sample_controls();
    let mut seeds: Vec<_> = controls
        .iter()
        .enumerate()
        .map(|(nth, control)| {
            let (plain, from) = (control.emit(), nth as u8 * 5);
            let begin = Script::default().put(&[0, 0, from]).bytes(&plain);
            begin.put(&[1, from, 1]).bytes(&plain).put(&[5, 0, 0xa0]).done()
        })
        .collect();
    seeds.push(Script::default().put(&[1, 2, 3]).bytes(&[]).put(&[5, 0, 0xa0, 5, 2, 1]).done());
    let epoch = 9_u64.to_be_bytes();
    seeds.push(Script::default().put(&[0, 3, 3, 1, 7]).put(&epoch).put(&[1, 3, 1]).done());
    seeds.push(Script::default().put(&[0, 5, 2, 1, 4, 1, 0, 4, 4, 1, 0, 0, 5, 0, 0xa0]).done());
    seeds
}
