//! A coordinator and nodes that say whatever a test wants, one datagram at a
//! time.

mod handshakes;
mod members;
mod reflection;
mod registry;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::address::{Candidate, TransportId, TransportKind};
use crate::client::prologue;
use crate::crypto::{Identity, Initiator};
use crate::id::{Epoch, PathId, PublicKey, SessionId, Side};
use crate::machine::{SignalSession, TransportFacts};
use crate::plugin::memory::Sequential;
use crate::plugin::{Begin, MemberRole, Plan, PlanRequest, Record, Vip as _, Write};
use crate::wire::{
    CoordinatorAnswer, Handshake2, NO_COOKIE, NodeHello, PathRef, RegistrationRequest,
    RegistrationResponse, RequestId, RoleTag,
};

/// A coordinator with everything around it that answers at once.
struct World {
    now: Time,
    rng: Rng,
    key: PublicKey,
    coordinator: Coordinator,
    vips: Sequential,
    /// Addresses that were given back to the allocator.
    released: Vec<Vips>,
    stored: Vec<Write>,
    /// Plugins do not answer: what they were asked.
    unanswered: Option<Vec<(EffectId, Effect)>>,
    /// What the coordinator has sent and nobody has looked at.
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

/// A node as the coordinator sees it: a key, an address, and a session once it
/// has one.
struct Peer {
    identity: Identity,
    name: NodeName,
    role: MemberRole,
    addr: SocketAddr,
    epoch: Epoch,
    session: Option<SignalSession>,
    requests: u64,
}

/// Every pair is directed to what was observed of it, and to all relays.
fn plan(request: &PlanRequest) -> Plan {
    let seen = |at: &crate::address::Location| at.observed.iter().map(|o| o.candidate).collect();
    Plan {
        to_initiator: seen(&request.initiator),
        to_responder: seen(&request.responder),
        begin: Begin::Initiator,
        relays: (0..request.relays.len()).collect(),
        pacing: Duration::from_millis(20),
    }
}

fn addr(last: u8) -> SocketAddr {
    ([203, 0, 113, last], 4330).into()
}

impl World {
    fn new() -> Self {
        Self::restored(Vec::new())
    }

    /// One that finds these records in its registry.
    fn restored(records: Vec<Record>) -> Self {
        let mut world = Self::starting();
        let (id, effect) = world.coordinator.poll_effect().unwrap();
        assert_eq!(effect, Effect::Load);
        let loaded = Outcome::Loaded(Ok((records, world.vips.ranges())));
        world.coordinator.handle_outcome(world.now, id, loaded);
        world.drain();
        world
    }

    /// One that has just asked for its registry's contents.
    fn starting() -> Self {
        let mut rng = Rng::from_seed([9; 32]);
        let identity = Identity::generate(&mut rng);
        let key = identity.public();
        let facts = TransportFacts { kind: TransportKind::UDP, port: 4330, ipv4: true, ipv6: true };
        let node = Node {
            identity,
            name: "dc.example".parse().unwrap(),
            unix_at_zero: 1_700_000_000,
            transports: vec![facts],
        };
        let config = CoordinatorConfig {
            public: vec![Candidate::udp(addr(1))],
            members: Vec::new(),
            quota: RelayQuota::default(),
            clocks: Clocks::default(),
        };
        let now = Time::ZERO + Duration::from_secs(100);
        let coordinator = Coordinator::new(now, node, config, rng.split());
        let vips = Sequential::default();
        Self {
            now,
            rng,
            key,
            coordinator,
            vips,
            released: Vec::new(),
            stored: Vec::new(),
            unanswered: None,
            sent: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some((id, effect)) = self.coordinator.poll_effect() {
            if let Some(unanswered) = &mut self.unanswered {
                unanswered.push((id, effect));
                continue;
            }
            let outcome = match effect {
                Effect::Store(writes) => {
                    self.stored.extend(writes);
                    Outcome::Stored(Ok(()))
                }
                Effect::Lease { .. } => Outcome::Leased(self.vips.take()),
                Effect::Release(vips) => {
                    self.released.push(vips);
                    Outcome::Stored(Ok(()))
                }
                Effect::Plan(request) => Outcome::Planned(Ok(plan(&request))),
                other => panic!("a coordinator asks for {other:?}"),
            };
            self.coordinator.handle_outcome(self.now, id, outcome);
        }
        let mut buffer = Vec::new();
        while let Some(leg) = self.coordinator.poll_transmit(&mut buffer) {
            self.sent.push((leg.remote, std::mem::take(&mut buffer)));
        }
    }

    /// Lets a datagram arrive; what is sent in consequence.
    fn arrives(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        self.drain();
        self.sent.clear();
        let leg = Leg::to(TransportId(0), from);
        self.coordinator.handle_datagram(self.now, &leg, datagram);
        self.drain();
        std::mem::take(&mut self.sent)
    }

    fn waits(&mut self, span: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
        let end = self.now + span;
        self.sent.clear();
        while let Some((at, _)) = self.coordinator.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.coordinator.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        std::mem::take(&mut self.sent)
    }

    /// Makes a node a member, with an address to speak from.
    fn member(&mut self, name: &str, role: MemberRole, last: u8) -> Peer {
        let identity = Identity::generate(&mut self.rng);
        let name: NodeName = name.parse().unwrap();
        let member = Member { name: name.clone(), key: identity.public(), roles: role.into() };
        self.coordinator.add_member(self.now, member).unwrap();
        self.drain();
        Peer {
            identity,
            name,
            role,
            addr: addr(last),
            epoch: Epoch::starting(1_700_000_000),
            session: None,
            requests: 0,
        }
    }

    /// A member that has registered and proved where it is.
    fn registered(&mut self, name: &str, role: MemberRole, last: u8) -> Peer {
        let mut peer = self.member(name, role, last);
        self.opens_session(&mut peer);
        let response = self.registers(&mut peer, Vec::new());
        let body = SignalBody::KeepAlive { token: response.challenge };
        self.says(&mut peer, body);
        peer
    }

    fn terminal(&mut self, name: &str, last: u8) -> Peer {
        self.registered(name, MemberRole::Terminal, last)
    }

    fn initiator(&mut self, peer: &Peer) -> Initiator {
        let (epoch, began, name) = (peer.epoch, self.now.nanos(), peer.name.clone());
        let hello = NodeHello { epoch, began, name, role: peer.role };
        Initiator {
            seed: self.rng.bytes(),
            responder: self.key,
            prologue: prologue(),
            payload: hello.emit(),
        }
    }

    fn first_message(&mut self, peer: &Peer) -> (Initiator, Vec<u8>) {
        let initiator = self.initiator(peer);
        let message = Handshake1 {
            role: RoleTag::Coordinator,
            id: self.rng.bytes(),
            side: Side::Higher,
            cookie: NO_COOKIE,
            noise: initiator.message(&peer.identity).unwrap(),
        };
        (initiator, message.emit())
    }

    /// The answer to a first message, read with what began it.
    fn answer(
        &self,
        peer: &Peer,
        initiator: &Initiator,
        sent: &[(SocketAddr, Vec<u8>)],
    ) -> Result<SignalSession, Refusal> {
        let second = Handshake2::parse(&sent[0].1).unwrap();
        let keys = initiator.finish(&peer.identity, &second.noise).unwrap();
        let answer = CoordinatorAnswer::parse(&keys.payload).unwrap();
        answer.session.map(|id| SignalSession::of_node(id, &keys))
    }

    fn opens_session(&mut self, peer: &mut Peer) {
        let (initiator, first) = self.first_message(peer);
        let sent = self.arrives(peer.addr, &first);
        peer.session = self.answer(peer, &initiator, &sent).ok();
    }

    /// The node says something; every datagram that follows.
    fn says(&mut self, peer: &mut Peer, body: SignalBody) -> Vec<(SocketAddr, Vec<u8>)> {
        let datagram = peer.seals(body);
        self.arrives(peer.addr, &datagram)
    }

    fn registers(&mut self, peer: &mut Peer, paths: Vec<PathRef>) -> RegistrationResponse {
        let sent = self.says(peer, peer.registration(paths));
        peer.hears(&sent)
            .into_iter()
            .find_map(|signal| match signal.body {
                SignalBody::RegistrationResponse(response) => Some(response),
                _ => None,
            })
            .expect("a registration is answered")
    }

    fn vips_of(&self, peer: &Peer) -> Vips {
        self.coordinator.members.get(&peer.identity.public()).unwrap().vips.unwrap()
    }

    fn vip_of(&self, peer: &Peer) -> IpAddr {
        self.vips_of(peer).iter().next().unwrap()
    }

    fn path(&self, one: &Peer, other: &Peer) -> PathId {
        let salt = self.coordinator.domain.as_ref().unwrap().salt;
        PathId::derive(&salt, &self.vips_of(one), &self.vips_of(other)).unwrap().0
    }
}

impl Peer {
    fn seals(&mut self, body: SignalBody) -> Vec<u8> {
        self.requests += 1;
        self.seals_as(RequestId::of_node(self.requests), body)
    }

    fn seals_as(&mut self, request: RequestId, body: SignalBody) -> Vec<u8> {
        let session = self.session.as_mut().expect("a session was opened");
        session.seal(self.epoch, &Signal { request, body }).unwrap()
    }

    fn registration(&self, paths: Vec<PathRef>) -> SignalBody {
        let claimed = vec![Candidate::udp(self.addr)];
        SignalBody::RegistrationRequest(RegistrationRequest {
            epoch: self.epoch,
            claimed,
            paths,
            token: None,
        })
    }

    /// What the node can read of these.
    fn hears(&mut self, sent: &[(SocketAddr, Vec<u8>)]) -> Vec<Signal> {
        let session = self.session.as_mut().expect("a session was opened");
        let to_us = sent.iter().filter(|(to, _)| *to == self.addr);
        to_us
            .filter_map(|(_, datagram)| {
                let header = Header::parse(datagram).ok()?;
                (SessionId(header.envelope.id) == session.id)
                    .then(|| session.open(&header, datagram))?
            })
            .collect()
    }

    /// The only thing the node is told: no.
    fn is_refused(&mut self, sent: &[(SocketAddr, Vec<u8>)]) -> Option<Refusal> {
        assert!(sent.iter().all(|(to, _)| *to == self.addr), "nobody else is bothered");
        match self.hears(sent).as_slice() {
            [Signal { body: SignalBody::Refusal(refusal), .. }] => Some(*refusal),
            _ => None,
        }
    }
}
