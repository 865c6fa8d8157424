//! A relay, its forwarding table, the ends that bind there, its coordinator and
//! strangers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use ntm_core::address::{Candidate, Leg, Vips};
use ntm_core::crypto::Secret;
use ntm_core::id::{Epoch, PathId, SessionId, Side};
use ntm_core::relay::{ForwardEvent, ForwardTable, Relay, RelayConfig, RelayEvent, Verdict};
use ntm_core::wire::{
    Bind, BindAck, Envelope, Handshake1, Kind, RegistrationResponse, RelayDirection, RelayId,
    RequestId, Signal, SignalBody, Ticket, Token,
};
use ntm_core::{Rng, Time};

use super::cast::{
    Clockwork, Line, START, Who, accept, assert_bounded, coordinators, elsewhere, leg, pass, rng,
    route, size, snapshot,
};
use super::input::{Input, Script};
use super::parsers::sample_signals;

const MOST_STEPS: usize = 64;
/// What tickets are sealed with.
const TICKET_KEY: Secret = Secret::new([0x66; 32]);
const SELF: Who = Who::Relay;
/// The coordinator's calendar when a play begins.
const UNIX: u64 = 1_700_000_100;

/// A relay, and what those it deals with know.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) relay: Relay,
    pub(super) now: Time,
    pub(super) first: Option<Vec<u8>>,
    dc: Option<Line>,
    request: Option<RequestId>,
    /// The challenge that each place was sent, by path and side.
    tokens: BTreeMap<(SocketAddr, PathId, bool), Token>,
    /// Bytes to and from places, and whether one has returned a challenge.
    places: BTreeMap<SocketAddr, Place>,
    events: Vec<ForwardEvent>,
    told: Vec<Vec<u8>>,
    woken: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    came: usize,
    went: usize,
    proved: bool,
}

impl Clockwork for Play {
    fn deadline(&self) -> Option<(Time, &'static str)> {
        self.relay.poll_timeout()
    }

    fn wake(&mut self, now: Time) {
        self.now = now;
        self.relay.handle_timeout(now);
        self.drain();
    }
}

/// A relay that its coordinator knows.
pub(super) fn registered() -> Play {
    static STAGE: OnceLock<Play> = OnceLock::new();
    STAGE
        .get_or_init(|| {
            let mut play = registering();
            let first = play.first.take().expect("it has begun");
            let (second, line) = accept(&first, SessionId([0xd; 16])).expect("an answer");
            play.dc = Some(line);
            play.tell(&Who::Coordinator.leg(), &second);
            let request = play.request.expect("it registers");
            let body = SignalBody::RegistrationResponse(response());
            play.signal(&Signal { request, body }.emit());
            assert!(play.relay.status().registered);
            play.told.clear();
            play.places.clear();
            play
        })
        .clone()
}

/// A relay that wants to register.
pub(super) fn registering() -> Play {
    let config = RelayConfig { allow_private: false, coordinators: coordinators() };
    let mut relay = Relay::new(START, SELF.node(), config, rng(SELF));
    let ip = SELF.addr().ip();
    let routes: Vec<_> = relay.destinations().into_iter().map(|to| route(ip, to)).collect();
    relay.handle_addresses(START, snapshot(ip, 1), &routes);
    let mut play = Play {
        relay,
        now: START,
        first: None,
        dc: None,
        request: None,
        tokens: BTreeMap::new(),
        places: BTreeMap::new(),
        events: Vec::new(),
        told: Vec::new(),
        woken: 0,
    };
    play.drain();
    play
}

fn response() -> RegistrationResponse {
    RegistrationResponse {
        epoch_seen: Epoch(0),
        vips: Vips::default(),
        ranges: Vec::new(),
        salt: [0; 32],
        observed: Candidate::udp(SELF.addr()),
        challenge: None,
        lifetime: 35,
        keep_alive: 10,
        coordinators: Vec::new(),
        unix: UNIX,
        ticket_key: Some(TICKET_KEY),
    }
}

impl Play {
    pub(super) fn tell(&mut self, from: &Leg, datagram: &[u8]) {
        self.places.entry(from.remote).or_default().came += datagram.len();
        self.relay.handle_datagram(self.now, from, datagram);
        self.told.push(datagram.to_vec());
        self.drain();
    }

    fn signal(&mut self, plain: &[u8]) {
        if let Some(datagram) = self.dc.as_mut().map(|line| line.seal(plain)) {
            self.tell(&Who::Coordinator.leg(), &datagram);
        }
    }

    fn pass(&mut self, span: Duration) {
        let (mut now, mut woken) = (self.now, self.woken);
        pass(self, &mut now, span, &mut woken);
        (self.now, self.woken) = (now, woken);
    }

    fn drain(&mut self) {
        let mut buffer = Vec::new();
        while let Some(event) = self.relay.poll_event() {
            if let RelayEvent::Forward(event) = event {
                self.events.push(event);
            }
        }
        while let Some(to) = self.relay.poll_transmit(&mut buffer) {
            self.places.entry(to.remote).or_default().went += buffer.len();
            if let Ok(first) = Handshake1::parse(&buffer) {
                self.first = Some(first.emit());
            } else if let Ok(ack) = BindAck::parse(&buffer) {
                let side = ack.side == Side::Lower;
                if let Some(token) = ack.challenge {
                    self.tokens.insert((to.remote, ack.path, side), token);
                }
            } else if let Some(plain) = self.dc.as_ref().and_then(|line| line.open(&buffer)) {
                let signal = Signal::parse(&plain).expect("a relay says what can be read");
                self.request = Some(signal.request);
            }
        }
    }

    /// Nobody but the coordinator and those who have shown that they receive get
    /// more than three times what they sent.
    fn check(&self) {
        for (to, place) in &self.places {
            let believed = place.proved || *to == Who::Coordinator.addr();
            assert!(
                believed || place.went <= 3 * place.came,
                "{} bytes to {to} for {}",
                place.went,
                place.came
            );
        }
    }
}

/// A ticket for one of three paths; a later serial for a renewed one.
fn ticket(path: PathId, serial: u8, what: u8) -> Ticket {
    let ticket = Ticket {
        relay: RelayId::of(&SELF.identity().public()),
        serial: serial.into(),
        not_after: if what & 1 == 0 { UNIX + 600 } else { UNIX - 1 },
        rate: if what & 2 == 0 { 0 } else { 1000 },
        quota: if what & 4 == 0 { 0 } else { 5000 },
        lower: Who::One.identity().public().hash(),
        higher: Who::Other.identity().public().hash(),
        mac: [0; 16],
    };
    ticket.sealed(&path, &TICKET_KEY)
}

/// A script: an end binds, a datagram for the other end arrives, strangers say
/// anything or repeat what was said, the coordinator lies, time passes.
pub fn relay(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = registered();
    let before = size(&play.relay);
    let mut table = ForwardTable::new(&mut Rng::from_seed([0; 32]));
    let reader = table.reader();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % 8 {
            0..=2 => bind(&mut play, &mut input),
            3 => {
                let (from, path) = (leg(input.u8()), PathId::from_bytes([input.u8() % 3; 16]));
                let (side, len) = (side(input.u8()), usize::from(input.u16() % 1500));
                let envelope = Envelope::new(Kind::Capsule, side, *path.as_bytes());
                play.places.entry(from.remote).or_default().came += len;
                let verdict = reader.take().verdict(play.now, &from, &envelope, len);
                match verdict {
                    Verdict::To(to) => play.places.entry(to.remote).or_default().went += len,
                    Verdict::Exhausted => play.relay.handle_exhausted(path),
                    Verdict::NotRelayed | Verdict::Drop => {}
                }
            }
            4 => {
                let (from, nth) = (elsewhere(input.u8()), usize::from(input.u8()));
                let Some(told) = play.told.get(nth % play.told.len().max(1)) else { continue };
                let datagram = input.edited(told.clone());
                play.tell(&from, &datagram);
            }
            5 => {
                let from = leg(input.u8());
                play.tell(&from, input.bytes());
            }
            6 => {
                let (what, plain) = (input.u8(), input.bytes());
                let answer = play.request.filter(|_| what & 1 != 0).and_then(|request| {
                    Signal::parse(plain).ok().map(|signal| Signal { request, ..signal }.emit())
                });
                play.signal(answer.as_deref().unwrap_or(plain));
            }
            _ => play.pass(input.span()),
        }
        for event in play.events.drain(..) {
            table.apply(play.now, &event);
        }
        assert_eq!(reader.take().len(), play.relay.status().pairs, "the table is what it says");
        play.check();
    }
    assert_bounded(&play.relay, before, 64 << 10);
}

fn side(what: u8) -> Side {
    if what & 1 == 0 { Side::Lower } else { Side::Higher }
}

/// A genuine Bind by one of the ends.
fn bind(play: &mut Play, input: &mut Input<'_>) {
    let (from, path) = (leg(input.u8()), PathId::from_bytes([input.u8() % 3; 16]));
    let (what, epoch) = (input.u8(), Epoch(u64::from(input.u8() % 4)));
    let side = side(what);
    let ticket = ticket(path, input.u8() % 3, input.u8());
    let challenge = play.tokens.get(&(from.remote, path, side == Side::Lower)).copied();
    let token = challenge.filter(|_| what & 2 != 0);
    let carried = vec![0x91; usize::from(input.u8()) * 8];
    let nonce = [what; 8];
    let key = ticket.end_key(&TICKET_KEY, side);
    let bind = Bind { path, side, ticket, epoch, nonce, token, carried };
    if token.is_some() {
        play.places.entry(from.remote).or_default().proved = true;
    }
    play.tell(&from, &bind.emit(&key));
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    // From, path, what, epoch, serial, limits, carried.
    let one = [0, 2, 1, 0, 1, 1, 0, 0];
    let other = [0, 3, 1, 1, 1, 1, 0, 9];
    let proof = [0, 2, 1, 2, 1, 1, 0, 0];
    let there = [3, 3, 1, 1, 0, 200];
    let signal = |body| Signal { request: RequestId::of_coordinator(1), body }.emit();
    let revoke = RelayDirection { path: PathId::from_bytes([1; 16]), serial: 2, revoke: true };
    let talk = || Script::default().put(&one).put(&other).put(&proof).put(&there);
    let mut seeds = vec![
        talk().put(&[0, 7, 1, 2, 2, 1, 0, 0]).put(&there).put(&[7, 0xff]).done(),
        talk().put(&[4, 9, 0, 0, 4, 9, 1, 1, 0, 60, 2]).put(&there).done(),
        talk().put(&[6, 0]).bytes(&signal(SignalBody::RelayDirection(revoke))).put(&one).done(),
        Script::default().put(&[0, 2, 1, 0, 1, 1, 6, 0]).put(&other).put(&there).done(),
        Script::default().put(&[0, 2, 2, 0, 1, 1, 1, 200]).put(&[5, 9]).bytes(&[0x94; 20]).done(),
    ];
    let late = RegistrationResponse { unix: u64::MAX, ..response() };
    let bodies = sample_signals().into_iter().chain([SignalBody::RegistrationResponse(late)]);
    seeds.extend(bodies.map(|body| {
        let begin = Script::default().put(&[7, 0xb9, 7, 0x82, 6, 1]).bytes(&signal(body));
        begin.put(&[7, 0xb0]).put(&one).put(&[7, 0xff]).done()
    }));
    seeds
}
