//! Who plays with the machine under test: names, keys and addresses, and the
//! other ends of sessions, written from what `docs/PROTOCOL.md` says of their
//! keys.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::hkdf;
use ntm_core::address::{Candidate, Leg, TransportId, TransportKind, Vips};
use ntm_core::client::CoordinatorAddress;
use ntm_core::crypto::{DataKey, Established, Identity, Responder, Secret, Suite};
use ntm_core::id::{Epoch, NodeName, SessionId, Side};
use ntm_core::machine::{Node, TransportFacts};
use ntm_core::plugin::{LocalAddress, LocalInterface, Route, Snapshot};
use ntm_core::wire::{
    CoordinatorAnswer, Envelope, HEADER, Handshake1, Handshake2, Header, Kind, PORT, RoleTag,
};
use ntm_core::{Rng, Time};

/// The salt of the domain.
pub(super) const SALT: [u8; 32] = [0x5a; 32];
/// Towards a coordinator: version and roles.
pub(super) const TO_COORDINATOR: &[u8] = b"ntm v1 node to coordinator\x02";
/// When every play begins.
pub(super) const START: Time = Time::from_nanos(100_000_000_000);

/// A script lasts no longer.
const LONGEST: Duration = Duration::from_secs(1800);
/// Wake-ups that a machine may want in a script, and in each second of it.
const MOST_WAKE_UPS: u64 = 1000;
const MOST_A_SECOND: u64 = 2;

/// Somebody with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Coordinator = 1,
    Relay = 2,
    One = 3,
    Other = 4,
    Stranger = 5,
}

impl Who {
    pub(super) fn identity(self) -> Identity {
        Identity::from_private(Secret::new([self as u8; 32]))
    }

    pub(super) fn name(self) -> NodeName {
        let name = match self {
            Self::Coordinator => "dc.example",
            Self::Relay => "rs.example",
            Self::One => "one.example",
            Self::Other => "other.example",
            Self::Stranger => "stranger.example",
        };
        name.parse().expect("a name")
    }

    pub(super) fn addr(self) -> SocketAddr {
        SocketAddr::new([203, 0, 113, self as u8].into(), PORT)
    }

    pub(super) fn leg(self) -> Leg {
        Leg::to(TransportId(0), self.addr())
    }

    pub(super) fn vips(self) -> Vips {
        vips(self as u8)
    }

    pub(super) fn node(self) -> Node {
        let udp = TransportFacts { kind: TransportKind::UDP, port: PORT, ipv4: true, ipv6: true };
        Node {
            identity: self.identity(),
            name: self.name(),
            unix_at_zero: 1_700_000_000,
            transports: vec![udp],
        }
    }
}

pub(super) fn vips(last: u8) -> Vips {
    Vips {
        v4: Some([198, 18, 0, last].into()),
        v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())),
    }
}

/// Where a datagram comes from: the cast's own places first, then others.
pub(super) fn leg(number: u8) -> Leg {
    let who = [Who::Coordinator, Who::Relay, Who::One, Who::Other];
    match who.get(usize::from(number)) {
        Some(who) => who.leg(),
        None => elsewhere(number),
    }
}

/// A place where nobody of the cast is.
pub(super) fn elsewhere(number: u8) -> Leg {
    let ip: IpAddr = match number >> 6 {
        0 | 1 => [192, 0, 2, number & 0xf].into(),
        2 => Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, u16::from(number & 0xf)).into(),
        _ => [10, 0, 0, number & 0xf].into(),
    };
    Leg::to(TransportId(0), (ip, 6666).into())
}

pub(super) fn coordinators() -> Vec<CoordinatorAddress> {
    let addresses = vec![Candidate::udp(Who::Coordinator.addr())];
    vec![CoordinatorAddress { key: Who::Coordinator.identity().public(), addresses }]
}

/// A computer with this address.
pub(super) fn snapshot(ip: IpAddr, generation: u64) -> Snapshot {
    let prefix = if ip.is_ipv6() { 64 } else { 24 };
    let address = LocalAddress { ip, prefix, usable: true, preferred: true };
    Snapshot {
        interfaces: vec![LocalInterface {
            index: 2,
            name: "eth0".to_owned(),
            running: true,
            generation,
            loopback: false,
            addresses: vec![address],
        }],
    }
}

/// How that computer reaches somebody.
pub(super) fn route(source: IpAddr, to: IpAddr) -> (IpAddr, Option<Route>) {
    let route = Route { source, ifindex: 2, mtu: 1500 };
    (to, (source.is_ipv6() == to.is_ipv6()).then_some(route))
}

/// HKDF-SHA-256 without salt.
fn derive(secret: &Secret, purpose: &[&[u8]]) -> Secret {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret.expose())
        .expand(purpose, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("one block");
    Secret::new(key)
}

/// The other end of a session with the machine under test.
#[derive(Clone, Debug)]
pub(super) struct Line {
    kind: Kind,
    id: [u8; 16],
    side: Side,
    /// The receiver's number for our key.
    slot: u8,
    send: Secret,
    receive: Secret,
    counter: u64,
    pub(super) epoch: Epoch,
}

impl Line {
    /// With a node, as its coordinator (`Side::Lower`), or with a coordinator.
    pub(super) fn signalling(id: SessionId, side: Side, keys: &Established) -> Self {
        let control = |secret| derive(secret, &[b"ntm ctl v1"]);
        let (send, receive) = (control(&keys.send), control(&keys.receive));
        let (kind, id, counter) = (Kind::Signalling, id.0, 0);
        Self { kind, id, side, slot: 0, send, receive, counter, epoch: Epoch(0) }
    }

    /// With the other end of a tunnel, which chose `slot`.
    pub(super) fn tunnel(
        id: [u8; 16],
        side: Side,
        slot: u8,
        initiator: bool,
        keys: &Established,
    ) -> Self {
        let control = |secret, way| derive(secret, &[b"ntm ctl v1", &[way]]);
        let (ours, theirs) = if initiator { (1, 2) } else { (2, 1) };
        let (send, receive) = (control(&keys.send, ours), control(&keys.receive, theirs));
        Self { kind: Kind::Control, id, side, slot, send, receive, counter: 0, epoch: Epoch(1) }
    }

    /// A genuine datagram, whatever it says.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let envelope = Envelope { slot: self.slot, ..Envelope::new(self.kind, self.side, self.id) };
        let header = Header::new(envelope, self.epoch, self.counter).emit();
        let mut text = plain.to_vec();
        let key = DataKey::new(Suite::ChaCha20Poly1305, &self.send);
        let tag = key.seal(self.counter, &header, &mut text);
        self.counter += 1;
        [&header[..], &text, &tag].concat()
    }

    /// What the machine said to us.
    pub(super) fn open(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let header = Header::parse(datagram).ok()?;
        if (header.envelope.kind, header.envelope.id) != (self.kind, self.id) {
            return None;
        }
        let (head, sealed) = datagram.split_at(HEADER);
        let mut sealed = sealed.to_vec();
        let key = DataKey::new(Suite::ChaCha20Poly1305, &self.receive);
        key.open(header.counter, head, &mut sealed).map(|plain| plain.to_vec())
    }
}

/// Answers a node's first message as its coordinator would.
pub(super) fn accept(datagram: &[u8], session: SessionId) -> Option<(Vec<u8>, Line)> {
    let first = Handshake1::parse(datagram).ok()?;
    let identity = Who::Coordinator.identity();
    let responder = Responder::read(&identity, TO_COORDINATOR, [9; 32], &first.noise).ok()?;
    let answer = CoordinatorAnswer { session: Ok(session) }.emit();
    let (noise, keys) = responder.answer(&answer).ok()?;
    let (role, id, side) = (RoleTag::Terminal, first.id, Side::Lower);
    let line = Line::signalling(session, Side::Lower, &keys);
    Some((Handshake2 { role, id, side, noise }.emit(), line))
}

/// Something with deadlines.
pub(super) trait Clockwork {
    fn deadline(&self) -> Option<(Time, &'static str)>;
    fn wake(&mut self, now: Time);
}

/// Lets time pass, and counts the wake-ups that it took.
pub(super) fn pass(
    machine: &mut impl Clockwork,
    now: &mut Time,
    span: Duration,
    woken: &mut usize,
) {
    let end = (*now + span).min(START + LONGEST);
    while let Some((at, why)) = machine.deadline().filter(|(at, _)| *at <= end) {
        *now = at.max(*now);
        machine.wake(*now);
        assert_ahead(machine.deadline(), *now);
        *woken += 1;
        let most = MOST_A_SECOND * now.since(START).as_secs();
        assert!(*woken as u64 <= MOST_WAKE_UPS + most, "wakes up all the time: {why}");
    }
    *now = end.max(*now);
}

/// After a timeout has been handled, the next one lies ahead.
fn assert_ahead(deadline: Option<(Time, &'static str)>, now: Time) {
    if let Some((at, why)) = deadline {
        assert!(at > now, "{why} was due at {at} and still is at {now}");
    }
}

/// Bytes that came from places and went to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(BTreeMap<SocketAddr, (usize, usize)>);

impl Ledger {
    pub(super) fn came(&mut self, from: &Leg, bytes: usize) {
        self.0.entry(from.remote).or_default().0 += bytes;
    }

    pub(super) fn went(&mut self, to: &Leg, bytes: usize) {
        self.0.entry(to.remote).or_default().1 += bytes;
    }

    /// Nobody whom the protocol has no reason to believe got more than
    /// `factor` times what came from there.
    pub(super) fn check(&self, factor: usize, believed: impl Fn(SocketAddr) -> bool) {
        for (place, (came, went)) in self.0.iter().filter(|(place, _)| !believed(**place)) {
            assert!(*went <= factor * came, "{went} bytes to {place} for {came}");
        }
    }
}

/// How much a machine keeps, roughly.
pub(super) fn size(machine: &impl std::fmt::Debug) -> usize {
    format!("{machine:?}").len()
}

/// A machine keeps no more than `most` bytes more than before.
pub(super) fn assert_bounded(machine: &impl std::fmt::Debug, before: usize, most: usize) {
    let after = size(machine);
    assert!(after <= before + most, "grew from {before} to {after}");
}

/// A generator for a machine.
pub(super) fn rng(of: Who) -> Rng {
    Rng::from_seed([of as u8 + 100; 32])
}
