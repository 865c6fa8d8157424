//! Messages before they are sealed, and those that never are.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use ntm_core::address::{Candidate, Prefix, Vips};
use ntm_core::crypto::{Secret, Suite, Suites};
use ntm_core::id::{Epoch, NodeName, PathId, PublicKey, SessionId, Side};
use ntm_core::plugin::MemberRole;
use ntm_core::wire::{
    Bind, BindAck, BindStatus, Control, Cookie, CoordinatorAnswer, DirectionRequest, Envelope,
    Handshake1, Handshake2, Header, Kind, NodeHello, PathRef, PeerInfo, Punch, Reason, Refusal,
    RegistrationRequest, RegistrationResponse, RelayDirection, RelayGrant, RelayId, RequestId,
    RoleTag, RouteDirection, Signal, SignalBody, Target, Ticket, TunnelAnswer, TunnelHello,
    TunnelRequest, TunnelResponse, UnknownSession, WireError,
};
use serde::{Deserialize, Serialize};

use super::Vector;
use super::hex::{Bytes, Hex};

/// A message, its fields and its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MessageVector {
    name: String,
    #[serde(flatten)]
    message: Message,
    #[serde(default)]
    bytes: Hex,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "message", content = "fields", rename_all = "snake_case")]
enum Message {
    Envelope {
        r#type: u8,
        lower: bool,
        slot: u8,
        short: u16,
        id: Bytes<16>,
    },
    Header {
        r#type: u8,
        lower: bool,
        slot: u8,
        epoch_low: u16,
        id: Bytes<16>,
        counter: Bytes<8>,
    },
    Punch {
        path: PathId,
        lower: bool,
    },
    UnknownSession {
        id: Bytes<16>,
        lower: bool,
        seal: Bytes<16>,
    },
    #[serde(rename = "handshake_1")]
    Handshake1 {
        role: u8,
        id: Bytes<16>,
        lower: bool,
        cookie: Bytes<16>,
        noise: Hex,
    },
    #[serde(rename = "handshake_2")]
    Handshake2 {
        role: u8,
        id: Bytes<16>,
        lower: bool,
        noise: Hex,
    },
    Cookie {
        role: u8,
        id: Bytes<16>,
        cookie: Bytes<16>,
    },
    TunnelHello {
        epoch: Bytes<8>,
        began: Bytes<8>,
        slot: u8,
        suites: u8,
    },
    TunnelAnswer {
        epoch: Bytes<8>,
        slot: u8,
        suite: u8,
    },
    NodeHello {
        epoch: Bytes<8>,
        began: Bytes<8>,
        name: NodeName,
        role: MemberRole,
    },
    CoordinatorAnswer {
        session: Option<Bytes<16>>,
        refusal: Option<u8>,
    },
    TunnelRequest {
        epoch: Bytes<8>,
        challenge: Bytes<8>,
        old_gone: bool,
        candidates: Vec<Candidate>,
    },
    TunnelResponse {
        epoch: Bytes<8>,
        echo: Bytes<8>,
        challenge: Option<Bytes<8>>,
    },
    Challenge {
        epoch: Bytes<8>,
        token: Bytes<8>,
    },
    ChallengeResponse {
        epoch: Bytes<8>,
        token: Bytes<8>,
    },
    TunnelKeepAlive {},
    Close {},
    Report {},
    RegistrationRequest {
        request: Bytes<8>,
        epoch: Bytes<8>,
        claimed: Vec<Candidate>,
        paths: Vec<PathOf>,
        token: Option<Bytes<8>>,
    },
    RegistrationResponse {
        request: Bytes<8>,
        epoch_seen: Bytes<8>,
        vips: Vips,
        ranges: Vec<Prefix>,
        salt: Bytes<32>,
        observed: Candidate,
        challenge: Option<Bytes<8>>,
        lifetime: u32,
        keep_alive: u16,
        coordinators: Vec<Candidate>,
        unix: Bytes<8>,
        ticket_key: Option<Bytes<32>>,
    },
    DirectionRequest {
        request: Bytes<8>,
        name: Option<NodeName>,
        vip: Option<IpAddr>,
        path: Option<PathId>,
    },
    RouteDirection {
        request: Bytes<8>,
        path: PathId,
        begin: bool,
        unproved: bool,
        peer_asked: bool,
        reason: u8,
        own: Vips,
        peer_name: NodeName,
        peer_key: Bytes<32>,
        peer: Vips,
        peer_epoch: Bytes<8>,
        own_epoch: Bytes<8>,
        candidates: Vec<Candidate>,
        pacing_ms: u16,
        relays: Vec<Grant>,
    },
    Ack {
        request: Bytes<8>,
    },
    RelayDirection {
        request: Bytes<8>,
        path: PathId,
        serial: Bytes<8>,
        revoke: bool,
    },
    KeepAlive {
        request: Bytes<8>,
        token: Option<Bytes<8>>,
    },
    KeepAliveAck {
        request: Bytes<8>,
        observed: Candidate,
    },
    Goodbye {
        request: Bytes<8>,
    },
    Refusal {
        request: Bytes<8>,
        code: u8,
    },
    Revocation {
        request: Bytes<8>,
        key: Bytes<32>,
    },
    Ticket {
        ticket_key: Bytes<32>,
        path: PathId,
        relay_key: Bytes<32>,
        serial: Bytes<8>,
        not_after: Bytes<8>,
        rate: Bytes<8>,
        quota: Bytes<8>,
        lower_key: Bytes<32>,
        higher_key: Bytes<32>,
        #[serde(default)]
        end_keys: Option<EndKeys>,
    },
    Bind {
        key: Bytes<32>,
        path: PathId,
        lower: bool,
        ticket: Bytes<128>,
        epoch: Bytes<8>,
        nonce: Bytes<8>,
        token: Option<Bytes<8>>,
        carried: Hex,
    },
    BindAck {
        key: Bytes<32>,
        path: PathId,
        lower: bool,
        status: u8,
        epoch: Bytes<8>,
        nonce: Bytes<8>,
        challenge: Option<Bytes<8>>,
    },
    PathId {
        salt: Bytes<32>,
        own: Vips,
        peer: Vips,
        #[serde(default)]
        own_is_lower: bool,
        #[serde(default)]
        text: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PathOf {
    path: PathId,
    peer: IpAddr,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Grant {
    ticket: Bytes<128>,
    key: Bytes<32>,
    candidates: Vec<Candidate>,
}

/// What each end proves itself to the relay with: follows from the ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EndKeys {
    lower: Bytes<32>,
    higher: Bytes<32>,
}

impl MessageVector {
    /// Its first byte.
    pub(crate) fn first(&self) -> Option<u8> {
        self.bytes.0.first().copied()
    }
}

impl Vector for MessageVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {
        self.message.complete();
        self.bytes = Hex(self.message.through(None));
    }

    fn read(&self) {
        self.message.through(Some(&self.bytes.0));
    }
}

/// Writes `value`; where bytes are given, they must read as it.
fn both<T: PartialEq + Debug>(
    value: &T,
    written: Vec<u8>,
    read: impl Fn(&[u8]) -> Result<T, WireError>,
    bytes: Option<&[u8]>,
) -> Vec<u8> {
    if let Some(bytes) = bytes {
        assert_eq!(read(bytes).as_ref(), Ok(value));
    }
    written
}

impl Message {
    fn complete(&mut self) {
        match self {
            Self::Ticket { ticket_key, .. } => {
                let key = Secret::new(ticket_key.0);
                let of = |ticket: &Ticket, side| Bytes(*ticket.end_key(&key, side).expose());
                let bytes = self.through(None);
                let ticket = Ticket::parse(&bytes).expect("just written");
                let keys =
                    EndKeys { lower: of(&ticket, Side::Lower), higher: of(&ticket, Side::Higher) };
                if let Self::Ticket { end_keys, .. } = self {
                    *end_keys = Some(keys);
                }
            }
            Self::PathId { salt, own, peer, own_is_lower, text } => {
                let (path, side) = PathId::derive(&salt.0, own, peer).expect("the pair has one");
                *own_is_lower = side == Side::Lower;
                *text = path.to_string();
            }
            _ => {}
        }
    }

    /// Writes the message; where bytes are given, they must read as it.
    fn through(&self, bytes: Option<&[u8]>) -> Vec<u8> {
        if let Some((request, body)) = self.signal() {
            let signal = Signal { request: request_id(request), body };
            return both(&signal, signal.emit(), Signal::parse, bytes);
        }
        if let Some(control) = self.control() {
            return both(&control, control.emit(), Control::parse, bytes);
        }
        match self.clone() {
            Self::Envelope { r#type, lower, slot, short, id } => {
                let envelope = Envelope { kind: kind(r#type), lower, slot, short, id: id.0 };
                both(&envelope, envelope.emit().to_vec(), Envelope::parse, bytes)
            }
            Self::Header { r#type, lower, slot, epoch_low, id, counter } => {
                let short = epoch_low;
                let envelope = Envelope { kind: kind(r#type), lower, slot, short, id: id.0 };
                let header = Header { envelope, counter: counter.number() };
                both(&header, header.emit().to_vec(), Header::parse, bytes)
            }
            Self::Punch { path, lower } => {
                let punch = Punch { path, side: side(lower) };
                let envelope = Envelope::new(Kind::Punch, side(lower), *path.as_bytes());
                both(&envelope, punch.emit(), Envelope::parse, bytes)
            }
            Self::UnknownSession { id, lower, seal } => {
                let notice = UnknownSession { id: id.0, side: side(lower), seal: seal.0 };
                both(&notice, notice.emit(), UnknownSession::parse, bytes)
            }
            Self::Handshake1 { role, id, lower, cookie, noise } => {
                let (id, cookie, noise) = (id.0, cookie.0, noise.0);
                let message =
                    Handshake1 { role: role_tag(role), id, side: side(lower), cookie, noise };
                both(&message, message.emit(), Handshake1::parse, bytes)
            }
            Self::Handshake2 { role, id, lower, noise } => {
                let (role, id, side, noise) = (role_tag(role), id.0, side(lower), noise.0);
                let message = Handshake2 { role, id, side, noise };
                both(&message, message.emit(), Handshake2::parse, bytes)
            }
            Self::Cookie { role, id, cookie } => {
                let message = Cookie { role: role_tag(role), id: id.0, cookie: cookie.0 };
                both(&message, message.emit(), Cookie::parse, bytes)
            }
            Self::TunnelHello { epoch, began, slot, suites } => {
                let (epoch, began) = (Epoch(epoch.number()), began.number());
                let suites = Suites::from_bits(suites);
                let hello = TunnelHello { epoch, began, slot, suites };
                both(&hello, hello.emit(), TunnelHello::parse, bytes)
            }
            Self::TunnelAnswer { epoch, slot, suite } => {
                let suite = Suite::from_number(suite).expect("a suite");
                let answer = TunnelAnswer { epoch: Epoch(epoch.number()), slot, suite };
                both(&answer, answer.emit(), TunnelAnswer::parse, bytes)
            }
            Self::NodeHello { epoch, began, name, role } => {
                let (epoch, began) = (Epoch(epoch.number()), began.number());
                let hello = NodeHello { epoch, began, name, role };
                both(&hello, hello.emit(), NodeHello::parse, bytes)
            }
            Self::CoordinatorAnswer { session, refusal } => {
                let session = match (session, refusal) {
                    (Some(session), None) => Ok(SessionId(session.0)),
                    (None, Some(code)) => Err(refusal_of(code)),
                    (_, _) => panic!("either a session or a refusal"),
                };
                let answer = CoordinatorAnswer { session };
                both(&answer, answer.emit(), CoordinatorAnswer::parse, bytes)
            }
            Self::Ticket {
                ticket_key,
                path,
                relay_key,
                serial,
                not_after,
                rate,
                quota,
                lower_key,
                higher_key,
                end_keys: _,
            } => {
                let key = Secret::new(ticket_key.0);
                let hash = |key: Bytes<32>| PublicKey::from_bytes(key.0).hash();
                let ticket = Ticket {
                    relay: RelayId::of(&PublicKey::from_bytes(relay_key.0)),
                    serial: serial.number(),
                    not_after: not_after.number(),
                    rate: rate.number(),
                    quota: quota.number(),
                    lower: hash(lower_key),
                    higher: hash(higher_key),
                    mac: [0; 16],
                }
                .sealed(&path, &key);
                assert!(ticket.is_genuine(&path, &key));
                both(&ticket, ticket.emit().to_vec(), Ticket::parse, bytes)
            }
            Self::Bind { key, path, lower, ticket, epoch, nonce, token, carried } => {
                let key = Secret::new(key.0);
                let bind = Bind {
                    path,
                    side: side(lower),
                    ticket: Ticket::parse(&ticket.0).expect("128 bytes are a ticket"),
                    epoch: Epoch(epoch.number()),
                    nonce: nonce.0,
                    token: token.map(|token| token.0),
                    carried: carried.0,
                };
                assert!(bytes.is_none_or(|bytes| Bind::is_genuine(bytes, &key)));
                both(&bind, bind.emit(&key), Bind::parse, bytes)
            }
            Self::BindAck { key, path, lower, status, epoch, nonce, challenge } => {
                let key = Secret::new(key.0);
                let ack = BindAck {
                    path,
                    side: side(lower),
                    status: bind_status(status),
                    epoch: Epoch(epoch.number()),
                    nonce: nonce.0,
                    challenge: challenge.map(|challenge| challenge.0),
                };
                assert!(bytes.is_none_or(|bytes| BindAck::is_genuine(bytes, &key)));
                both(&ack, ack.emit(&key), BindAck::parse, bytes)
            }
            Self::PathId { salt, own, peer, text, .. } => {
                let (path, _) = PathId::derive(&salt.0, &own, &peer).expect("the pair has one");
                let back = PathId::derive(&salt.0, &peer, &own).expect("so has the other end");
                assert_eq!(back.0, path, "the other end computes the same");
                if bytes.is_some() {
                    assert_eq!(text.parse(), Ok(path));
                    assert_eq!(text.to_uppercase().parse(), Ok(path));
                }
                path.as_bytes().to_vec()
            }
            other => unreachable!("{other:?} is a control or signalling message"),
        }
    }

    fn control(&self) -> Option<Control> {
        let epoch = |epoch: Bytes<8>| Epoch(epoch.number());
        Some(match self.clone() {
            Self::TunnelRequest { epoch: e, challenge, old_gone, candidates } => {
                let challenge = challenge.0;
                let request = TunnelRequest { epoch: epoch(e), challenge, old_gone, candidates };
                Control::TunnelRequest(request)
            }
            Self::TunnelResponse { epoch: e, echo, challenge } => {
                let challenge = challenge.map(|challenge| challenge.0);
                let response = TunnelResponse { epoch: epoch(e), echo: echo.0, challenge };
                Control::TunnelResponse(response)
            }
            Self::Challenge { epoch: e, token } => {
                Control::Challenge { epoch: epoch(e), token: token.0 }
            }
            Self::ChallengeResponse { epoch: e, token } => {
                Control::ChallengeResponse { epoch: epoch(e), token: token.0 }
            }
            Self::TunnelKeepAlive {} => Control::KeepAlive,
            Self::Close {} => Control::Close,
            Self::Report {} => Control::Report,
            _ => return None,
        })
    }

    fn signal(&self) -> Option<(Bytes<8>, SignalBody)> {
        Some(match self.clone() {
            Self::RegistrationRequest { request, epoch, claimed, paths, token } => {
                let paths = paths.iter().map(|p| PathRef { path: p.path, peer: p.peer }).collect();
                let (epoch, token) = (Epoch(epoch.number()), token.map(|token| token.0));
                let body = RegistrationRequest { epoch, claimed, paths, token };
                (request, SignalBody::RegistrationRequest(body))
            }
            Self::RegistrationResponse {
                request,
                epoch_seen,
                vips,
                ranges,
                salt,
                observed,
                challenge,
                lifetime,
                keep_alive,
                coordinators,
                unix,
                ticket_key,
            } => {
                let body = RegistrationResponse {
                    epoch_seen: Epoch(epoch_seen.number()),
                    vips,
                    ranges,
                    salt: salt.0,
                    observed,
                    challenge: challenge.map(|challenge| challenge.0),
                    lifetime,
                    keep_alive,
                    coordinators,
                    unix: unix.number(),
                    ticket_key: ticket_key.map(|key| Secret::new(key.0)),
                };
                (request, SignalBody::RegistrationResponse(body))
            }
            Self::DirectionRequest { request, name, vip, path } => {
                let target = match (name, vip) {
                    (Some(name), None) => Target::Name(name),
                    (None, Some(vip)) => Target::Vip(vip),
                    (_, _) => panic!("either a name or a VIP"),
                };
                (request, SignalBody::DirectionRequest(DirectionRequest { target, path }))
            }
            Self::RouteDirection {
                request,
                path,
                begin,
                unproved,
                peer_asked,
                reason,
                own,
                peer_name,
                peer_key,
                peer,
                peer_epoch,
                own_epoch,
                candidates,
                pacing_ms,
                relays,
            } => {
                let reason = [Reason::Start, Reason::Move].into_iter().find(|r| *r as u8 == reason);
                let grant = |grant: &Grant| RelayGrant {
                    ticket: Ticket::parse(&grant.ticket.0).expect("128 bytes are a ticket"),
                    key: Secret::new(grant.key.0),
                    candidates: grant.candidates.clone(),
                };
                let key = PublicKey::from_bytes(peer_key.0);
                let body = RouteDirection {
                    path,
                    begin,
                    unproved,
                    peer_asked,
                    reason: reason.expect("a reason"),
                    own,
                    own_epoch: Epoch(own_epoch.number()),
                    peer: PeerInfo { name: peer_name, key, vips: peer },
                    peer_epoch: Epoch(peer_epoch.number()),
                    candidates,
                    pacing: Duration::from_millis(pacing_ms.into()),
                    relays: relays.iter().map(grant).collect(),
                };
                (request, SignalBody::RouteDirection(body))
            }
            Self::Ack { request } => (request, SignalBody::Ack),
            Self::RelayDirection { request, path, serial, revoke } => {
                let body = RelayDirection { path, serial: serial.number(), revoke };
                (request, SignalBody::RelayDirection(body))
            }
            Self::KeepAlive { request, token } => {
                (request, SignalBody::KeepAlive { token: token.map(|token| token.0) })
            }
            Self::KeepAliveAck { request, observed } => {
                (request, SignalBody::KeepAliveAck { observed })
            }
            Self::Goodbye { request } => (request, SignalBody::Goodbye),
            Self::Refusal { request, code } => (request, SignalBody::Refusal(refusal_of(code))),
            Self::Revocation { request, key } => {
                (request, SignalBody::Revocation { key: PublicKey::from_bytes(key.0) })
            }
            _ => return None,
        })
    }
}

pub(crate) fn side(lower: bool) -> Side {
    if lower { Side::Lower } else { Side::Higher }
}

pub(crate) fn kind(number: u8) -> Kind {
    Kind::of(&[0x90 | number]).expect("a type")
}

fn role_tag(number: u8) -> RoleTag {
    let all = [RoleTag::Terminal, RoleTag::Coordinator, RoleTag::Relay];
    all.into_iter().find(|role| *role as u8 == number).expect("a role")
}

/// A request id keeps its number: the highest bit says who drew it.
fn request_id(number: Bytes<8>) -> RequestId {
    match number.number() {
        node if node >> 63 == 0 => RequestId::of_node(node),
        coordinator => RequestId::of_coordinator(coordinator),
    }
}

fn refusal_of(code: u8) -> Refusal {
    use Refusal::{
        Absent, Busy, Failure, Forbidden, NoPath, NotMember, Unknown, Unregistered, WrongName,
        WrongPath,
    };
    let all = [
        Unknown,
        Absent,
        Forbidden,
        WrongPath,
        Busy,
        NoPath,
        Failure,
        Unregistered,
        NotMember,
        WrongName,
    ];
    all.into_iter().find(|refusal| *refusal as u8 == code).expect("a refusal")
}

fn bind_status(number: u8) -> BindStatus {
    use BindStatus::{Address, Bound, Busy, Challenge, Expired, Quota, Stale};
    let all = [Bound, Challenge, Expired, Quota, Busy, Stale, Address];
    all.into_iter().find(|status| *status as u8 == number).expect("a status")
}
