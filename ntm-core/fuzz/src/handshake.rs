//! How sessions begin: both messages, at each role, whatever is sealed in them;
//! and the gate that asks for cookies under load.

use std::sync::OnceLock;

use ntm_core::crypto::{Initiator, Responder, Suite, Suites};
use ntm_core::id::{Epoch, SessionId, Side};
use ntm_core::plugin::MemberRole;
use ntm_core::terminal::Terminal;
use ntm_core::wire::{
    Cookie, CoordinatorAnswer, Handshake1, Handshake2, NO_COOKIE, NodeHello, Refusal, RoleTag,
    TunnelAnswer, TunnelHello,
};

use super::cast::{START, TO_COORDINATOR, Who, assert_bounded, elsewhere, size};
use super::coordinator::{self, first_message};
use super::input::{Input, Script};
use super::{relay, terminal};

/// Handshakes a second that the gate lets in without a cookie.
const FREE_PER_SECOND: usize = 1000;

/// Which message to whom (1), a seed (1), and what is sealed in it; or bytes in
/// its place.
pub fn handshake(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.u8() % 8 {
        0 => first_to_coordinator(&mut input),
        1 => first_to_terminal(&mut input),
        2 => second_to_terminal(&mut input),
        3 => second_to_relay(&mut input),
        4 => second_of_peer(&mut input),
        5 => under_load(&mut input),
        6 => unsealed(&mut input),
        _ => open_anything(&mut input),
    }
}

/// A member or a stranger: an answer no longer than the question, and nothing
/// that shows.
fn first_to_coordinator(input: &mut Input<'_>) {
    let who = [Who::One, Who::Relay, Who::Stranger][usize::from(input.u8()) % 3];
    let mut play = coordinator::stage(input.u8() & 1 == 0);
    let (before, status) = (size(&play.coordinator), play.coordinator.status());
    for _ in 0..input.u8() % 8 {
        let (first, initiator) =
            first_message(who, [input.u8(); 32], input.bytes().to_vec(), input.array());
        play.tell(&elsewhere(9), &first);
        for (_, answer) in &play.sent {
            assert!(answer.len() <= first.len(), "no amplification");
            let second = Handshake2::parse(answer).expect("it is not under load");
            let keys = initiator.finish(&who.identity(), &second.noise);
            let keys = keys.expect("the answer is to our question");
            let answer = CoordinatorAnswer::parse(&keys.payload).expect("it can be read");
            assert!(who != Who::Stranger || answer.session.is_err(), "no member, no session");
        }
    }
    assert_eq!(play.coordinator.status(), status, "a first message changes nothing");
    assert_bounded(&play.coordinator, before, 16 << 10);
}

fn first_to_terminal(input: &mut Input<'_>) {
    let mut play = terminal::live();
    let (before, status) = (size(&play.terminal), play.terminal.status(START));
    let who = [Who::Other, Who::Stranger][usize::from(input.u8()) % 2];
    for _ in 0..input.u8() % 8 {
        let initiator = Initiator {
            seed: [input.u8(); 32],
            responder: Who::One.identity().public(),
            prologue: terminal::prologue(Who::Other, Who::One),
            payload: input.bytes().to_vec(),
        };
        let noise = initiator.message(&who.identity()).expect("the key is good");
        let (role, id) = (RoleTag::Terminal, *terminal::path().as_bytes());
        let side = if input.u8() & 1 == 0 { Side::Higher } else { Side::Lower };
        let first = Handshake1 { role, id, side, cookie: NO_COOKIE, noise }.emit();
        let answers = answers(&mut play.terminal, &first);
        assert!(answers.iter().map(Vec::len).sum::<usize>() <= first.len(), "no amplification");
        assert!(who == Who::Other || answers.is_empty(), "a stranger gets no answer");
        for answer in answers {
            let second = Handshake2::parse(&answer).expect("it is not under load");
            let keys = initiator.finish(&who.identity(), &second.noise);
            let payload = keys.expect("the answer is to our question").payload;
            assert!(TunnelAnswer::parse(&payload).is_ok());
        }
    }
    assert_eq!(play.terminal.status(START), status, "a first message changes nothing");
    assert_bounded(&play.terminal, before, 16 << 10);
}

fn answers(terminal: &mut Terminal, first: &[u8]) -> Vec<Vec<u8>> {
    terminal.handle_datagram(START, &elsewhere(9), first);
    let mut buffer = Vec::new();
    let mut answers = Vec::new();
    while terminal.poll_transmit(&mut buffer).is_some() {
        answers.push(std::mem::take(&mut buffer));
    }
    answers
}

/// What a coordinator might seal into its answer.
fn second_of_coordinator(first: &[u8], payload: &[u8]) -> Vec<u8> {
    let first = Handshake1::parse(first).expect("a first message");
    let identity = Who::Coordinator.identity();
    let responder = Responder::read(&identity, TO_COORDINATOR, [9; 32], &first.noise);
    let (noise, _) =
        responder.and_then(|responder| responder.answer(payload)).expect("it is for us");
    let (role, id, side) = (RoleTag::Terminal, first.id, Side::Lower);
    Handshake2 { role, id, side, noise }.emit()
}

fn second_to_terminal(input: &mut Input<'_>) {
    let mut play = terminal::registering();
    let first = play.first.clone().expect("it has begun");
    let before = size(&play.terminal);
    let second = second_of_coordinator(&first, input.bytes());
    let second = input.edited(second);
    play.tell(&Who::Coordinator.leg(), &second);
    play.pass(input.span());
    assert_bounded(&play.terminal, before, 16 << 10);
}

fn second_to_relay(input: &mut Input<'_>) {
    let mut play = relay::registering();
    let first = play.first.clone().expect("it has begun");
    let before = size(&play.relay);
    let second = second_of_coordinator(&first, input.bytes());
    let second = input.edited(second);
    play.tell(&Who::Coordinator.leg(), &second);
    assert_bounded(&play.relay, before, 16 << 10);
}

fn second_of_peer(input: &mut Input<'_>) {
    let mut play = terminal::directed();
    let first = play.first_to_peer.clone().expect("it has begun");
    let before = size(&play.terminal);
    let payload = input.bytes();
    let answer = terminal::answer_as_peer(&first, Some(payload));
    let second = input.edited(answer.expect("it is for us").0);
    play.tell(&elsewhere(input.u8()), &second);
    play.pass(input.span());
    assert_bounded(&play.terminal, before, 32 << 10);
}

/// The gate of a coordinator: only who returns the cookie from where it was sent
/// to gets in.
fn under_load(input: &mut Input<'_>) {
    static LOADED: OnceLock<coordinator::Play> = OnceLock::new();
    let mut play = LOADED
        .get_or_init(|| {
            let mut play = coordinator::stage(true);
            let (mut first, _) = first_message(Who::Stranger, [1; 32], Vec::new(), NO_COOKIE);
            first.truncate(132);
            for _ in 0..FREE_PER_SECOND {
                play.tell(&elsewhere(1), &first);
            }
            play
        })
        .clone();
    let hello =
        NodeHello { epoch: Epoch(1), began: 5, name: Who::One.name(), role: MemberRole::Terminal };
    let place = elsewhere(input.u8());
    let (first, _) = first_message(Who::One, [2; 32], hello.emit(), input.array());
    play.tell(&place, &first);
    let [(to, answer)] = &play.sent[..] else { panic!("asked for a cookie") };
    assert_eq!((to.remote, answer.len()), (place.remote, 36));
    let cookie = Cookie::parse(answer).expect("asked for a cookie").cookie;
    let other = elsewhere(input.u8());
    let (first, _) = first_message(Who::One, [2; 32], hello.emit(), cookie);
    play.tell(&other, &first);
    let enters = play.sent.iter().any(|(_, answer)| Handshake2::parse(answer).is_ok());
    assert_eq!(enters, other.remote == place.remote, "a cookie is good for one address");
}

/// Bytes where the sealed part should be.
fn unsealed(input: &mut Input<'_>) {
    let mut coordinator = coordinator::stage(true);
    let mut live = terminal::live();
    let mut relay = relay::registered();
    let sizes = (size(&coordinator.coordinator), size(&live.terminal), size(&relay.relay));
    let role = [RoleTag::Terminal, RoleTag::Coordinator, RoleTag::Relay];
    let role = role[usize::from(input.u8()) % 3];
    let (id, side) = (*terminal::path().as_bytes(), Side::Higher);
    let mut noise = input.rest().to_vec();
    let second = Handshake2 { role, id, side, noise: noise.clone() }.emit();
    noise.resize(noise.len().max(96), 0);
    let first = Handshake1 { role, id, side, cookie: NO_COOKIE, noise }.emit();
    for datagram in [first, second] {
        coordinator.tell(&elsewhere(3), &datagram);
        assert!(coordinator.sent.is_empty(), "nobody said that");
        assert!(answers(&mut live.terminal, &datagram).is_empty(), "nobody said that");
        relay.tell(&elsewhere(3), &datagram);
    }
    assert_bounded(&coordinator.coordinator, sizes.0, 64);
    assert_bounded(&live.terminal, sizes.1, 64);
    assert_bounded(&relay.relay, sizes.2, 64);
}

/// The handshake itself, at both ends, with a prologue of the input's choice.
fn open_anything(input: &mut Input<'_>) {
    let (one, other) = (Who::One.identity(), Who::Other.identity());
    let seed = [input.u8(); 32];
    let prologue = input.bytes().to_vec();
    let initiator = Initiator {
        seed,
        responder: other.public(),
        prologue: prologue.clone(),
        payload: input.bytes().to_vec(),
    };
    let answer = input.bytes();
    let message = initiator.message(&one).expect("the key is good");
    let edited = input.edited(message.clone());
    let responder = Responder::read(&other, &prologue, [2; 32], &edited);
    assert_eq!(responder.is_ok(), edited == message, "every bit is authenticated");
    let Ok(responder) = responder else { return };
    assert_eq!((responder.initiator, &responder.payload), (one.public(), &initiator.payload));
    let (second, theirs) = responder.answer(answer).expect("the key is good");
    let edited = input.edited(second.clone());
    let ours = initiator.finish(&one, &edited);
    assert_eq!(ours.is_ok(), edited == second, "every bit is authenticated");
    if let Ok(ours) = ours {
        assert_eq!((ours.send, ours.receive), (theirs.receive, theirs.send));
        assert_eq!(ours.payload, answer);
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let node = |role| {
        let hello = NodeHello { epoch: Epoch(1), began: 5, name: Who::One.name(), role };
        hello.emit()
    };
    let hello = TunnelHello { epoch: Epoch(9), began: 5, slot: 3, suites: Suites::ALL };
    let answer = TunnelAnswer { epoch: Epoch(9), slot: 3, suite: Suite::Aes256Gcm };
    let session = CoordinatorAnswer { session: Ok(SessionId([4; 16])) }.emit();
    let refusal = CoordinatorAnswer { session: Err(Refusal::WrongName) }.emit();
    let begin = |bytes: &[u8]| Script::default().put(bytes);
    vec![
        begin(&[0, 0, 0, 2, 7]).bytes(&node(MemberRole::Terminal)).put(&NO_COOKIE).put(&[7]).done(),
        begin(&[0, 0, 0, 1, 7]).bytes(&node(MemberRole::Relay)).put(&NO_COOKIE).done(),
        begin(&[0, 2, 1, 1, 7]).bytes(&node(MemberRole::Terminal)).put(&NO_COOKIE).done(),
        begin(&[1, 0, 2, 7]).bytes(&hello.emit()).put(&[1, 7]).bytes(&hello.emit()).done(),
        begin(&[1, 1, 1, 7]).bytes(&hello.emit()).done(),
        begin(&[2]).bytes(&session).put(&[0, 0xf0]).done(),
        begin(&[2]).bytes(&refusal).put(&[1, 0, 60, 1, 0xf0]).done(),
        begin(&[3]).bytes(&session).done(),
        begin(&[3]).bytes(&refusal).done(),
        begin(&[4]).bytes(&answer.emit()).put(&[0, 3, 0xf0]).done(),
        begin(&[5, 9]).put(&NO_COOKIE).put(&[9]).done(),
        begin(&[5, 9]).put(&[3; 16]).put(&[10]).done(),
        begin(&[6, 1]).put(&[8; 120]).done(),
        begin(&[7, 1]).bytes(b"prologue").bytes(b"hello").bytes(b"answer").done(),
        begin(&[7, 1]).bytes(b"").bytes(b"hello").bytes(b"").put(&[1, 0, 40, 1]).done(),
    ]
}
