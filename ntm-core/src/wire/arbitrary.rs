//! Any message, for property tests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::address::{Candidate, Prefix, TransportKind, Vips};
use crate::crypto::{Secret, Suite};
use crate::id::{Epoch, NodeName, PathId, PublicKey, Side};

pub(super) fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

pub(super) fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::ChaCha20Poly1305), Just(Suite::Aes256Gcm)]
}

pub(super) fn name() -> impl Strategy<Value = NodeName> {
    "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}".prop_map(|text| text.parse().unwrap())
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Lower), Just(Side::Higher)]
}

fn path() -> impl Strategy<Value = PathId> {
    any::<[u8; 16]>().prop_map(PathId::from_bytes)
}

fn token() -> impl Strategy<Value = Option<Token>> {
    option::of(any::<Token>().prop_filter("zeros mean none", |token| *token != [0; 8]))
}

fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_filter("nowhere", |ip| !ip.is_unspecified())
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (any::<u8>(), ip(), 1..=u16::MAX).prop_map(|(kind, ip, port)| Candidate {
        kind: TransportKind(kind),
        addr: SocketAddr::new(ip, port),
    })
}

fn vips() -> impl Strategy<Value = Vips> {
    any::<(Option<[u8; 4]>, Option<[u8; 16]>)>()
        .prop_map(|(v4, v6)| Vips { v4: v4.map(Into::into), v6: v6.map(Into::into) })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<IpAddr>(), 0..=32_u8).prop_map(|(ip, length)| Prefix::new(ip, length).unwrap())
}

pub(super) fn header() -> impl Strategy<Value = Header> {
    let kind = prop_oneof![Just(Kind::Capsule), Just(Kind::Control), Just(Kind::Signalling)];
    (kind, any::<(bool, u16, [u8; 16], u64)>(), 0..16_u8).prop_map(
        |(kind, (lower, short, id, counter), slot)| Header {
            envelope: Envelope { kind, lower, slot, short, id },
            counter,
        },
    )
}

fn role() -> impl Strategy<Value = RoleTag> {
    prop_oneof![Just(RoleTag::Terminal), Just(RoleTag::Coordinator), Just(RoleTag::Relay)]
}

pub(super) fn handshake1() -> impl Strategy<Value = Handshake1> {
    (role(), any::<([u8; 16], [u8; 16])>(), side(), vec(any::<u8>(), 96..300))
        .prop_map(|(role, (id, cookie), side, noise)| Handshake1 { role, id, side, cookie, noise })
}

pub(super) fn handshake2() -> impl Strategy<Value = Handshake2> {
    (role(), any::<[u8; 16]>(), side(), vec(any::<u8>(), 48..300))
        .prop_map(|(role, id, side, noise)| Handshake2 { role, id, side, noise })
}

pub(super) fn cookie() -> impl Strategy<Value = Cookie> {
    (role(), any::<([u8; 16], [u8; 16])>()).prop_map(|(role, (id, cookie))| Cookie {
        role,
        id,
        cookie,
    })
}

pub(super) fn ticket() -> impl Strategy<Value = Ticket> {
    any::<([u8; 16], [u64; 4], [u8; 32], [u8; 32], [u8; 16])>().prop_map(
        |(relay, [serial, not_after, rate, quota], lower, higher, mac)| Ticket {
            relay: RelayId(relay),
            serial,
            not_after,
            rate,
            quota,
            lower,
            higher,
            mac,
        },
    )
}

pub(super) fn bind() -> impl Strategy<Value = Bind> {
    (path(), side(), ticket(), epoch(), any::<Token>(), token(), vec(any::<u8>(), 0..200)).prop_map(
        |(path, side, ticket, epoch, nonce, token, carried)| Bind {
            path,
            side,
            ticket,
            epoch,
            nonce,
            token,
            carried,
        },
    )
}

pub(super) fn bind_ack() -> impl Strategy<Value = BindAck> {
    let status = prop_oneof![
        Just(BindStatus::Bound),
        Just(BindStatus::Challenge),
        Just(BindStatus::Expired),
        Just(BindStatus::Quota),
        Just(BindStatus::Busy),
        Just(BindStatus::Stale),
        Just(BindStatus::Address),
    ];
    (path(), side(), status, epoch(), any::<Token>(), token()).prop_map(
        |(path, side, status, epoch, nonce, challenge)| BindAck {
            path,
            side,
            status,
            epoch,
            nonce,
            challenge,
        },
    )
}

pub(super) fn tunnel_request() -> impl Strategy<Value = TunnelRequest> {
    (epoch(), any::<(Token, bool)>(), vec(candidate(), 0..=TunnelRequest::MOST_CANDIDATES))
        .prop_map(|(epoch, (challenge, old_gone), candidates)| TunnelRequest {
            epoch,
            challenge,
            old_gone,
            candidates,
        })
}

pub(super) fn tunnel_response() -> impl Strategy<Value = TunnelResponse> {
    (epoch(), any::<Token>(), token()).prop_map(|(epoch, echo, challenge)| TunnelResponse {
        epoch,
        echo,
        challenge,
    })
}

pub(super) fn control() -> impl Strategy<Value = Control> {
    let probe = || (epoch(), any::<Token>());
    prop_oneof![
        tunnel_request().prop_map(Control::TunnelRequest),
        tunnel_response().prop_map(Control::TunnelResponse),
        probe().prop_map(|(epoch, token)| Control::Challenge { epoch, token }),
        probe().prop_map(|(epoch, token)| Control::ChallengeResponse { epoch, token }),
        Just(Control::KeepAlive),
        Just(Control::Report),
        Just(Control::Close),
    ]
}

fn path_ref() -> impl Strategy<Value = PathRef> {
    (path(), any::<IpAddr>()).prop_map(|(path, peer)| PathRef { path, peer })
}

fn registration_request() -> impl Strategy<Value = RegistrationRequest> {
    (
        epoch(),
        vec(candidate(), 0..=RegistrationRequest::MOST_CLAIMED),
        // As many as always fit.
        vec(path_ref(), 0..=RegistrationRequest::MOST_PATHS - 3),
        option::of(any::<Token>()),
    )
        .prop_map(|(epoch, claimed, paths, token)| RegistrationRequest {
            epoch,
            claimed,
            paths,
            token,
        })
}

fn registration_response() -> impl Strategy<Value = RegistrationResponse> {
    (
        (epoch(), vips(), vec(prefix(), 0..=RegistrationResponse::MOST_RANGES)),
        (any::<[u8; 32]>(), candidate(), option::of(any::<Token>())),
        any::<(u32, u16, u64, Option<[u8; 32]>)>(),
        vec(candidate(), 0..=RegistrationResponse::MOST_COORDINATORS),
    )
        .prop_map(|(who, how, numbers, coordinators)| RegistrationResponse {
            epoch_seen: who.0,
            vips: who.1,
            ranges: who.2,
            salt: how.0,
            observed: how.1,
            challenge: how.2,
            lifetime: numbers.0,
            keep_alive: numbers.1,
            coordinators,
            unix: numbers.2,
            ticket_key: numbers.3.map(Secret::new),
        })
}

fn direction_request() -> impl Strategy<Value = DirectionRequest> {
    let target = prop_oneof![name().prop_map(Target::Name), any::<IpAddr>().prop_map(Target::Vip)];
    (target, option::of(path())).prop_map(|(target, path)| DirectionRequest { target, path })
}

fn relay_grant() -> impl Strategy<Value = RelayGrant> {
    (ticket(), any::<[u8; 32]>(), vec(candidate(), 0..=RelayGrant::MOST_CANDIDATES)).prop_map(
        |(ticket, key, candidates)| RelayGrant { ticket, key: Secret::new(key), candidates },
    )
}

fn route_direction() -> impl Strategy<Value = RouteDirection> {
    (
        (path(), any::<(bool, bool, bool)>()),
        prop_oneof![Just(Reason::Start), Just(Reason::Move)],
        (vips(), epoch(), name(), any::<[u8; 32]>(), vips(), epoch()),
        vec(candidate(), 0..=RouteDirection::MOST_CANDIDATES),
        any::<u16>(),
        vec(relay_grant(), 0..=RouteDirection::MOST_RELAYS),
    )
        .prop_map(|((path, flags), reason, ends, candidates, pacing, relays)| RouteDirection {
            path,
            begin: flags.0,
            unproved: flags.1,
            peer_asked: flags.2,
            reason,
            own: ends.0,
            own_epoch: ends.1,
            peer: PeerInfo { name: ends.2, key: PublicKey::from_bytes(ends.3), vips: ends.4 },
            peer_epoch: ends.5,
            candidates,
            pacing: Duration::from_millis(pacing.into()),
            relays,
        })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Unknown),
        Just(Refusal::Absent),
        Just(Refusal::Forbidden),
        Just(Refusal::WrongPath),
        Just(Refusal::Busy),
        Just(Refusal::NoPath),
        Just(Refusal::Failure),
        Just(Refusal::Unregistered),
    ]
}

pub(super) fn signal() -> impl Strategy<Value = Signal> {
    let body = prop_oneof![
        registration_request().prop_map(SignalBody::RegistrationRequest),
        registration_response().prop_map(SignalBody::RegistrationResponse),
        direction_request().prop_map(SignalBody::DirectionRequest),
        route_direction().prop_map(SignalBody::RouteDirection),
        Just(SignalBody::Ack),
        (path(), any::<(u64, bool)>()).prop_map(|(path, (serial, revoke))| {
            SignalBody::RelayDirection(RelayDirection { path, serial, revoke })
        }),
        option::of(any::<Token>()).prop_map(|token| SignalBody::KeepAlive { token }),
        candidate().prop_map(|observed| SignalBody::KeepAliveAck { observed }),
        Just(SignalBody::Goodbye),
        refusal().prop_map(SignalBody::Refusal),
        any::<[u8; 32]>()
            .prop_map(|key| SignalBody::Revocation { key: PublicKey::from_bytes(key) }),
    ];
    (any::<u64>(), any::<bool>(), body).prop_map(|(random, coordinators, body)| Signal {
        request: if coordinators {
            RequestId::of_coordinator(random)
        } else {
            RequestId::of_node(random)
        },
        body,
    })
}
