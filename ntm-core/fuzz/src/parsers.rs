//! Readers: what they accept can be written, and reads the same again.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ntm_core::address::{Candidate, Prefix, Vips};
use ntm_core::crypto::{Secret, Suite, Suites, TAG};
use ntm_core::id::{Epoch, PathId, PublicKey, SessionId, Side};
use ntm_core::plugin::MemberRole;
use ntm_core::wire::{
    Bind, BindAck, BindStatus, Control, Cookie, CoordinatorAnswer, DirectionRequest, Envelope,
    HEADER, Handshake1, Handshake2, Header, Kind, LARGEST, NO_COOKIE, NodeHello, PathRef, PeerInfo,
    Punch, Reason, Refusal, RegistrationRequest, RegistrationResponse, RelayDirection, RelayGrant,
    RelayId, RequestId, RoleTag, RouteDirection, Signal, SignalBody, TICKET, Target, Ticket,
    TunnelAnswer, TunnelHello, TunnelRequest, TunnelResponse, WireError,
};

use super::input::Input;

const KEY: Secret = Secret::new([7; 32]);

/// The longest plaintext of a signalling message.
const LONGEST: usize = LARGEST - HEADER - TAG;

/// Reads, writes and reads again.
fn again<T: PartialEq + Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, WireError>,
    emit: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let value = parse(bytes).ok()?;
    let emitted = emit(&value);
    assert_eq!(parse(&emitted).as_ref(), Ok(&value), "read again from {emitted:02x?}");
    Some(value)
}

/// What a stranger can send: everything that is read before anything is
/// authenticated.
pub fn datagrams(bytes: &[u8]) {
    again(bytes, Envelope::parse, |envelope| envelope.emit().to_vec());
    again(bytes, Header::parse, |header| header.emit().to_vec());
    again(bytes, Handshake1::parse, Handshake1::emit);
    again(bytes, Handshake2::parse, Handshake2::emit);
    again(bytes, Cookie::parse, Cookie::emit);
    if let Some(bind) = again(bytes, Bind::parse, |bind| bind.emit(&KEY)) {
        assert!(Bind::is_genuine(&bind.emit(&KEY), &KEY));
        assert!(bind.carried.len() + Bind::OVERHEAD <= bytes.len());
    }
    if let Some(ack) = again(bytes, BindAck::parse, |ack| ack.emit(&KEY)) {
        assert!(BindAck::is_genuine(&ack.emit(&KEY), &KEY));
    }
    // Nothing that anybody may send is genuine under a key that nobody has.
    assert!(!Bind::is_genuine(bytes, &Secret::new([8; 32])));
    assert!(!BindAck::is_genuine(bytes, &Secret::new([8; 32])));
}

/// What is read after it has been opened: messages in a tunnel's session and in
/// one with the coordinator, and what handshake messages carry.
pub fn messages(bytes: &[u8]) {
    again(bytes, Control::parse, Control::emit);
    again(bytes, TunnelHello::parse, TunnelHello::emit);
    again(bytes, TunnelAnswer::parse, TunnelAnswer::emit);
    again(bytes, NodeHello::parse, NodeHello::emit);
    again(bytes, CoordinatorAnswer::parse, CoordinatorAnswer::emit);
    // What is longer than anybody sends is read, but not written in full.
    if bytes.len() <= LONGEST {
        again(bytes, Signal::parse, Signal::emit);
    }
    if let Ok(signal) = Signal::parse(bytes) {
        let len = signal.emit().len();
        assert!(len <= LONGEST, "{} in {len} bytes", signal.body.name());
    }
}

/// Tickets: a path (16), which bit to change (2), a ticket.
pub fn ticket(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (path, bit) = (PathId::from_bytes(input.array()), usize::from(input.u16()));
    let rest = input.rest();
    let Ok(ticket) = Ticket::parse(rest) else {
        assert!(rest.len() < TICKET, "a whole ticket reads");
        return;
    };
    assert_eq!(ticket.emit(), rest[..TICKET], "every byte of a ticket means something");
    assert!(!ticket.is_genuine(&path, &KEY), "nobody can seal without the key");
    let sealed = ticket.sealed(&path, &KEY);
    assert!(sealed.is_genuine(&path, &KEY));
    let mut changed = sealed.emit();
    changed[bit / 8 % TICKET] ^= 1 << (bit % 8);
    let changed = Ticket::parse(&changed).expect("as long as before");
    assert!(!changed.is_genuine(&path, &KEY), "every bit is sealed");
    let other = PathId::from_bytes(path.as_bytes().map(|byte| byte ^ 1));
    assert!(!sealed.is_genuine(&other, &KEY), "the path is sealed");
    assert!(
        sealed.lower == sealed.higher
            || sealed.end_key(&KEY, Side::Lower) != sealed.end_key(&KEY, Side::Higher),
        "each end has a key of its own"
    );
}

fn candidate(last: u8) -> Candidate {
    Candidate::udp(SocketAddr::new([203, 0, 113, last].into(), 4330))
}

fn candidate6(last: u16) -> Candidate {
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
    Candidate::udp(SocketAddr::new(ip.into(), 4330))
}

fn vips(last: u8) -> Vips {
    Vips {
        v4: Some([198, 18, 0, last].into()),
        v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())),
    }
}

pub(super) fn sample_ticket() -> Ticket {
    Ticket {
        relay: RelayId([3; 16]),
        serial: 1_700_000_000 << 24,
        not_after: 1_700_000_600,
        rate: 1_000_000,
        quota: 0,
        lower: [1; 32],
        higher: [2; 32],
        mac: [9; 16],
    }
}

pub(super) fn datagram_seeds() -> Vec<Vec<u8>> {
    let (id, path) = ([5; 16], PathId::from_bytes([5; 16]));
    let bind = Bind {
        path,
        side: Side::Lower,
        ticket: sample_ticket(),
        epoch: Epoch(7),
        nonce: [1; 8],
        token: Some([2; 8]),
        carried: vec![1, 2, 3],
    };
    let ack = BindAck {
        path,
        side: Side::Higher,
        status: BindStatus::Challenge,
        epoch: Epoch(7),
        nonce: [1; 8],
        challenge: Some([4; 8]),
    };
    let handshake1 = Handshake1 {
        role: RoleTag::Coordinator,
        id,
        side: Side::Higher,
        cookie: NO_COOKIE,
        noise: vec![6; 140],
    };
    let (role, side) = (RoleTag::Terminal, Side::Lower);
    let envelope = Envelope::new(Kind::Capsule, Side::Higher, id);
    vec![
        bind.emit(&KEY),
        ack.emit(&KEY),
        handshake1.emit(),
        Handshake2 { role, id, side, noise: vec![6; 80] }.emit(),
        Cookie { role, id, cookie: [9; 16] }.emit(),
        Punch { path, side }.emit(),
        Header::new(envelope, Epoch(7), 1 << 40).emit().to_vec(),
    ]
}

/// One signal of each kind, and the largest of those with lists.
pub(super) fn sample_signals() -> Vec<SignalBody> {
    let path = PathId::from_bytes([5; 16]);
    let grant = |most: u16| RelayGrant {
        ticket: sample_ticket(),
        key: KEY,
        candidates: (0..most).map(candidate6).collect(),
    };
    let direction = RouteDirection {
        path,
        begin: true,
        unproved: true,
        peer_asked: false,
        reason: Reason::Start,
        own: vips(1),
        own_epoch: Epoch(5),
        peer: PeerInfo {
            name: "cn.example".parse().expect("a name"),
            key: PublicKey::from_bytes([4; 32]),
            vips: vips(2),
        },
        peer_epoch: Epoch(6),
        candidates: vec![candidate(2), candidate6(2)],
        pacing: Duration::from_millis(20),
        relays: vec![grant(1)],
    };
    let longest = [[b'a'; 63].as_slice(), &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]].join(&b'.');
    let longest = String::from_utf8(longest).expect("letters");
    let largest = RouteDirection {
        peer: PeerInfo { name: longest.parse().expect("a name"), ..direction.peer.clone() },
        candidates: (1..=8).map(candidate6).collect(),
        relays: vec![grant(4), grant(4)],
        ..direction.clone()
    };
    let request = RegistrationRequest {
        epoch: Epoch(7),
        claimed: vec![candidate(1), candidate6(1)],
        paths: vec![PathRef { path, peer: IpAddr::from([198, 18, 0, 2]) }],
        token: Some([3; 8]),
    };
    let peer = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let full = RegistrationRequest {
        claimed: (1..=16).map(candidate6).collect(),
        paths: vec![PathRef { path, peer }; 24],
        ..request.clone()
    };
    let prefix = |ip: [u8; 4], length| Prefix::new(ip.into(), length).expect("a prefix");
    let response = RegistrationResponse {
        epoch_seen: Epoch(7),
        vips: vips(1),
        ranges: vec![prefix([198, 18, 0, 0], 24)],
        salt: [1; 32],
        observed: candidate(9),
        challenge: Some([2; 8]),
        lifetime: 300,
        keep_alive: 25,
        coordinators: (1..=8).map(candidate6).collect(),
        unix: 1_700_000_000,
        ticket_key: Some(KEY),
    };
    let by_name = Target::Name("cn.example".parse().expect("a name"));
    vec![
        SignalBody::RegistrationRequest(request),
        SignalBody::RegistrationRequest(full),
        SignalBody::RegistrationResponse(response),
        SignalBody::DirectionRequest(DirectionRequest { target: by_name, path: Some(path) }),
        SignalBody::DirectionRequest(DirectionRequest { target: Target::Vip(peer), path: None }),
        SignalBody::RouteDirection(direction),
        SignalBody::RouteDirection(largest),
        SignalBody::Ack,
        SignalBody::RelayDirection(RelayDirection { path, serial: 8, revoke: true }),
        SignalBody::KeepAlive { token: Some([1; 8]) },
        SignalBody::KeepAliveAck { observed: candidate(3) },
        SignalBody::Goodbye,
        SignalBody::Refusal(Refusal::Busy),
        SignalBody::Revocation { key: PublicKey::from_bytes([4; 32]) },
    ]
}

/// One control message of each kind.
pub(super) fn sample_controls() -> Vec<Control> {
    let (epoch, token) = (Epoch(9), [1; 8]);
    vec![
        Control::TunnelRequest(TunnelRequest {
            epoch,
            challenge: token,
            old_gone: true,
            candidates: vec![candidate(1), candidate6(2)],
        }),
        Control::TunnelResponse(TunnelResponse { epoch, echo: token, challenge: Some([2; 8]) }),
        Control::Challenge { epoch, token },
        Control::ChallengeResponse { epoch, token },
        Control::KeepAlive,
        Control::Close,
        Control::Report,
    ]
}

pub(super) fn message_seeds() -> Vec<Vec<u8>> {
    let request = RequestId::of_node(77);
    let signals = sample_signals().into_iter().map(|body| Signal { request, body }.emit());
    let controls = sample_controls();
    let controls = controls.iter().map(Control::emit);
    let name = "mn.example".parse().expect("a name");
    let hellos = [
        TunnelHello { epoch: Epoch(1), began: 5, slot: 3, suites: Suites::ALL }.emit(),
        TunnelAnswer { epoch: Epoch(1), slot: 3, suite: Suite::Aes256Gcm }.emit(),
        NodeHello { epoch: Epoch(1), began: 5, name, role: MemberRole::Relay }.emit(),
        CoordinatorAnswer { session: Ok(SessionId([4; 16])) }.emit(),
        CoordinatorAnswer { session: Err(Refusal::NotMember) }.emit(),
    ];
    signals.chain(controls).chain(hellos).collect()
}

pub(super) fn ticket_seeds() -> Vec<Vec<u8>> {
    let whole = [&[5; 16][..], &[0, 9], &sample_ticket().emit()].concat();
    vec![whole[..60].to_vec(), whole]
}
