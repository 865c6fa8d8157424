//! A coordinator, against strangers and lying members.

use std::sync::OnceLock;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::address::{Candidate, Leg};
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::Initiator;
use ntm_core::id::{Epoch, PathId, Side};
use ntm_core::machine::{Effect, Outcome};
use ntm_core::plugin::memory::Direct;
use ntm_core::plugin::{MemberRole, MemberRoles, Record, Vip as _};
use ntm_core::wire::{
    CookieValue, CoordinatorAnswer, DirectionRequest, Handshake1, Handshake2, NO_COOKIE, NodeHello,
    PathRef, RegistrationRequest, RequestId, RoleTag, Signal, SignalBody, Target, Token,
};

use super::cast::{
    Clockwork, Ledger, Line, SALT, START, TO_COORDINATOR, Who, assert_bounded, elsewhere, leg,
    pass, rng, size, vips,
};
use super::input::{Input, Script};
use super::parsers::sample_signals;

const MOST_STEPS: usize = 64;
const MEMBERS: [Who; 3] = [Who::One, Who::Other, Who::Relay];

/// A coordinator, and what its members know.
#[derive(Clone, Debug)]
pub(super) struct Play {
    pub(super) coordinator: Coordinator,
    pub(super) now: Time,
    lines: [Option<Line>; 3],
    /// What the coordinator last asked of each, and what it wants returned.
    asked: [Option<RequestId>; 3],
    tokens: [Option<Token>; 3],
    told: Vec<Vec<u8>>,
    pub(super) sent: Vec<(Leg, Vec<u8>)>,
    leased: u8,
    pub(super) ledger: Ledger,
    woken: usize,
}

impl Clockwork for Play {
    fn deadline(&self) -> Option<(Time, &'static str)> {
        self.coordinator.poll_timeout()
    }

    fn wake(&mut self, now: Time) {
        self.now = now;
        self.coordinator.handle_timeout(now);
        self.drain();
    }
}

/// A coordinator that knows its members by name only, or where each of them is.
pub(super) fn stage(registered: bool) -> Play {
    static STAGES: OnceLock<[Play; 2]> = OnceLock::new();
    let [fresh, full] = STAGES.get_or_init(|| {
        let fresh = Play::new();
        let mut full = fresh.clone();
        (0..MEMBERS.len()).for_each(|who| full.join(who));
        [fresh, full]
    });
    if registered { full.clone() } else { fresh.clone() }
}

fn role(who: Who) -> MemberRole {
    if who == Who::Relay { MemberRole::Relay } else { MemberRole::Terminal }
}

impl Play {
    fn new() -> Self {
        let member =
            |who: Who| Member { name: who.name(), key: who.identity().public(), roles: roles(who) };
        let config = CoordinatorConfig {
            public: vec![Candidate::udp(Who::Coordinator.addr())],
            members: MEMBERS.map(member).to_vec(),
            quota: RelayQuota { rate: 1_000_000, bytes: 1 << 40 },
            clocks: Clocks::default(),
        };
        let node = Who::Coordinator.node();
        let mut play = Self {
            coordinator: Coordinator::new(START, node, config, rng(Who::Coordinator)),
            now: START,
            lines: [None, None, None],
            asked: [None; 3],
            tokens: [None; 3],
            told: Vec::new(),
            sent: Vec::new(),
            leased: 0,
            ledger: Ledger::default(),
            woken: 0,
        };
        play.drain();
        play
    }

    /// A member begins a session and registers.
    fn join(&mut self, who: usize) {
        self.begin(who, [who as u8; 32], None);
        let member = MEMBERS[who];
        let request = RegistrationRequest {
            epoch: Epoch(1 << 32),
            claimed: vec![Candidate::udp(member.addr())],
            paths: Vec::new(),
            token: None,
        };
        let body = SignalBody::RegistrationRequest(request);
        self.say(who, &member.leg(), &Signal { request: RequestId::of_node(1), body }.emit());
        let token = self.tokens[who];
        assert!(token.is_some(), "it answers, and wants proof");
        let body = SignalBody::KeepAlive { token };
        self.say(who, &member.leg(), &Signal { request: RequestId::of_node(2), body }.emit());
        let status = self.coordinator.status();
        let known = status.members.iter().filter(|member| !member.present.is_empty()).count();
        assert_eq!(known, who + 1);
    }

    /// A member's first message, answered if the coordinator likes it.
    fn begin(&mut self, who: usize, seed: [u8; 32], payload: Option<&[u8]>) {
        let member = MEMBERS[who];
        let (name, epoch) = (member.name(), Epoch(1 << 32));
        let hello = NodeHello { epoch, began: 5, name, role: role(member) }.emit();
        let payload = payload.map_or(hello, <[u8]>::to_vec);
        let (first, initiator) = first_message(member, seed, payload, NO_COOKIE);
        self.tell(&member.leg(), &first);
        for (_, datagram) in std::mem::take(&mut self.sent) {
            let Ok(second) = Handshake2::parse(&datagram) else { continue };
            let keys = initiator.finish(&member.identity(), &second.noise).ok();
            let keys = keys.expect("the answer is to our question");
            let answer = CoordinatorAnswer::parse(&keys.payload).expect("it can be read");
            if let Ok(id) = answer.session {
                self.lines[who] = Some(Line::signalling(id, Side::Higher, &keys));
            }
        }
    }

    /// A member says something in its session.
    fn say(&mut self, who: usize, from: &Leg, plain: &[u8]) {
        if let Some(datagram) = self.lines[who].as_mut().map(|line| line.seal(plain)) {
            self.tell(from, &datagram);
        }
    }

    pub(super) fn tell(&mut self, from: &Leg, datagram: &[u8]) {
        self.sent.clear();
        self.ledger.came(from, datagram.len());
        self.coordinator.handle_datagram(self.now, from, datagram);
        self.told.push(datagram.to_vec());
        self.drain();
    }

    fn pass(&mut self, span: Duration) {
        let (mut now, mut woken) = (self.now, self.woken);
        pass(self, &mut now, span, &mut woken);
        (self.now, self.woken) = (now, woken);
    }

    fn drain(&mut self) {
        let mut buffer = Vec::new();
        while let Some((id, effect)) = self.coordinator.poll_effect() {
            let outcome = match effect {
                Effect::Load => {
                    let ranges = ntm_core::plugin::memory::Sequential::default().ranges();
                    Outcome::Loaded(Ok((vec![Record::Domain { salt: SALT }], ranges)))
                }
                Effect::Lease { .. } => {
                    // The cast's addresses are what the cast says they are.
                    let leased = [Who::One, Who::Other].map(|who| who as u8);
                    let last = leased.get(usize::from(self.leased)).copied();
                    self.leased += 1;
                    Outcome::Leased(Ok(vips(last.unwrap_or(100 + self.leased % 100))))
                }
                Effect::Plan(request) => Outcome::Planned(Ok(Direct::decide(&request))),
                Effect::Store(_) | Effect::Release(_) => Outcome::Stored(Ok(())),
                Effect::Routes(_) => panic!("not a coordinator's question"),
            };
            self.coordinator.handle_outcome(self.now, id, outcome);
        }
        while self.coordinator.poll_event().is_some() {}
        while let Some(to) = self.coordinator.poll_transmit(&mut buffer) {
            self.ledger.went(&to, buffer.len());
            self.hear(&buffer);
            self.sent.push((to, std::mem::take(&mut buffer)));
        }
    }

    /// What members learn from what is sent to them.
    fn hear(&mut self, datagram: &[u8]) {
        for (who, line) in self.lines.iter().enumerate() {
            let Some(plain) = line.as_ref().and_then(|line| line.open(datagram)) else { continue };
            let signal = Signal::parse(&plain).expect("a coordinator says what can be read");
            self.asked[who] = Some(signal.request).filter(|request| request.is_coordinators());
            if let SignalBody::RegistrationResponse(response) = &signal.body {
                self.tokens[who] = response.challenge.or(self.tokens[who]);
            }
        }
    }
}

fn roles(who: Who) -> MemberRoles {
    role(who).into()
}

/// The first message of somebody to the coordinator.
pub(super) fn first_message(
    who: Who,
    seed: [u8; 32],
    payload: Vec<u8>,
    cookie: CookieValue,
) -> (Vec<u8>, Initiator) {
    let responder = Who::Coordinator.identity().public();
    let initiator = Initiator { seed, responder, prologue: TO_COORDINATOR.to_vec(), payload };
    let noise = initiator.message(&who.identity()).expect("the key is good");
    let (role, id, side) = (RoleTag::Coordinator, [who as u8; 16], Side::Higher);
    (Handshake1 { role, id, side, cookie, noise }.emit(), initiator)
}

fn is_cast(place: std::net::SocketAddr) -> bool {
    MEMBERS.iter().any(|who| who.addr() == place)
}

/// A script for strangers: anything, and what the coordinator has received
/// before, perhaps changed, from anywhere.
pub fn coordinator(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = stage(input.u8() & 1 == 0);
    let before = size(&play.coordinator);
    let status = play.coordinator.status();
    let mut alone = true;
    play.ledger = Ledger::default();
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        match input.u8() % 4 {
            0 => {
                let (from, what) = (elsewhere(input.u8()), input.u8());
                let mut datagram = input.bytes().to_vec();
                if what & 1 != 0
                    && let Some(first) = datagram.first_mut()
                {
                    *first = 0x90 | *first & 0xf;
                }
                play.tell(&from, &datagram);
            }
            1 => {
                let (from, nth) = (elsewhere(input.u8()), usize::from(input.u8()));
                let Some(told) = play.told.get(nth % play.told.len().max(1)) else { continue };
                let datagram = input.edited(told.clone());
                play.tell(&from, &datagram);
            }
            2 => {
                let (from, seed) = (elsewhere(input.u8()), [input.u8(); 32]);
                let payload = input.bytes().to_vec();
                let (first, _) = first_message(Who::Stranger, seed, payload, input.array());
                play.tell(&from, &first);
            }
            _ => {
                alone = false;
                play.pass(input.span());
            }
        }
        play.told.truncate(8);
        play.ledger.check(1, is_cast);
    }
    if alone {
        assert_eq!(status, play.coordinator.status(), "a stranger has changed something");
    }
    assert_bounded(&play.coordinator, before, 16 << 10);
}

/// A script for members: what they say is sealed as it would be, and may be any
/// bytes at all.
pub fn lying_member(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut play = stage(true);
    let before = size(&play.coordinator);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let who = usize::from(input.u8()) % MEMBERS.len();
        match input.u8() % 8 {
            0 | 1 => {
                let from = leg(input.u8());
                play.say(who, &from, input.bytes());
            }
            2 | 3 => {
                let (from, what) = (leg(input.u8()), input.u8());
                let Ok(signal) = Signal::parse(input.bytes()) else { continue };
                let signal = plausible(signal, what, who, &play);
                play.say(who, &from, &signal.emit());
            }
            4 => {
                let seed = [input.u8(); 32];
                let payload = input.bytes();
                play.begin(who, seed, Some(payload).filter(|payload| !payload.is_empty()));
            }
            5 => {
                let Some(request) = play.asked[who] else { continue };
                let ack = Signal { request, body: SignalBody::Ack };
                play.say(who, &leg(input.u8()), &ack.emit());
            }
            _ => play.pass(input.span()),
        }
        play.told.clear();
        play.sent.clear();
    }
    assert_bounded(&play.coordinator, before, 256 << 10);
}

/// Puts in what the coordinator would have to believe.
fn plausible(mut signal: Signal, what: u8, who: usize, play: &Play) -> Signal {
    if what & 1 != 0
        && let Some(request) = play.asked[who]
    {
        signal.request = request;
    }
    let right = PathId::derive(&SALT, &Who::One.vips(), &Who::Other.vips());
    let right = right.expect("two nodes").0;
    match &mut signal.body {
        SignalBody::RegistrationRequest(request) => {
            if what & 2 != 0 {
                request.token = play.tokens[who].or(request.token);
            }
            if what & 4 != 0 {
                request.paths.iter_mut().for_each(|path| path.path = right);
            }
        }
        SignalBody::KeepAlive { token } if what & 2 != 0 => *token = play.tokens[who],
        SignalBody::DirectionRequest(request) if what & 4 != 0 => request.path = Some(right),
        SignalBody::RegistrationResponse(_)
        | SignalBody::RouteDirection(_)
        | SignalBody::Ack
        | SignalBody::RelayDirection(_)
        | SignalBody::KeepAlive { .. }
        | SignalBody::DirectionRequest(_)
        | SignalBody::KeepAliveAck { .. }
        | SignalBody::Goodbye
        | SignalBody::Refusal(_)
        | SignalBody::Revocation { .. } => {}
    }
    signal
}

pub(super) fn stranger_seeds() -> Vec<Vec<u8>> {
    let hello =
        NodeHello { epoch: Epoch(1), began: 5, name: Who::One.name(), role: MemberRole::Terminal };
    let first =
        |stage: u8| Script::default().put(&[stage, 2, 4, 1]).bytes(&hello.emit()).put(&NO_COOKIE);
    vec![
        first(0).put(&[3, 0xa0]).done(),
        first(1).put(&[2, 4, 1]).bytes(&[]).put(&NO_COOKIE).done(),
        Script::default().put(&[0, 1, 9, 0, 0, 1, 9, 1, 1, 0, 40, 1, 1, 8, 4, 0]).done(),
        Script::default().put(&[0, 0, 9, 1]).bytes(&[8; 70]).put(&[3, 0xff]).done(),
    ]
}

pub(super) fn member_seeds() -> Vec<Vec<u8>> {
    let request = RequestId::of_node(9);
    let plain = |body| Signal { request, body }.emit();
    let ask = SignalBody::DirectionRequest(DirectionRequest {
        target: Target::Name(Who::Other.name()),
        path: None,
    });
    let peer = std::net::IpAddr::from([198, 18, 0, Who::Other as u8]);
    let moved = SignalBody::RegistrationRequest(RegistrationRequest {
        epoch: Epoch(1 << 33),
        claimed: vec![Candidate::udp(Who::One.addr())],
        paths: vec![PathRef { path: PathId::from_bytes([0; 16]), peer }],
        token: None,
    });
    let ack = [1, 5, 3, 2, 5, 1, 0, 5, 2];
    let mut seeds: Vec<_> = [ask.clone(), moved.clone()]
        .into_iter()
        .chain(sample_signals())
        .enumerate()
        .map(|(nth, body)| {
            let begin = Script::default().put(&[0, 2, 2, 6]).bytes(&plain(body)).put(&ack);
            begin.put(&[nth as u8, 6, 0xa0]).done()
        })
        .collect();
    let both = Script::default().put(&[0, 0, 2]).bytes(&plain(ask)).put(&ack);
    seeds.push(both.put(&[0, 2, 7, 6]).bytes(&plain(moved)).put(&[0, 6, 0xf0]).done());
    seeds.push(Script::default().put(&[0, 4, 3]).bytes(&[]).put(&[0, 4, 4]).bytes(&[1; 9]).done());
    seeds
}
