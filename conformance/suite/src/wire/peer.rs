use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ntm_core::address::Candidate;
use ntm_core::crypto::{Identity, Initiator};
use ntm_core::id::{Epoch, NodeName, PublicKey, Side};
use ntm_core::plugin::MemberRole;
use ntm_core::wire::{
    Cookie, CoordinatorAnswer, Handshake1, Handshake2, Kind, NO_COOKIE, NodeHello, Refusal,
    RegistrationRequest, RegistrationResponse, RequestId, RoleTag, Signal, SignalBody,
};

use super::session::{Heard, Session, random};
use super::{Member, Node};
use crate::outcome::Stop;
use crate::wait::PATIENCE;

/// Without an answer for so long a question is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// For so long it is listened whether more comes than was asked for.
pub(super) const LINGER: Duration = Duration::from_millis(300);

/// A member at an address of its own, which says what a check wants.
pub(super) struct Peer<'a> {
    node: &'a Node,
    member: &'a Member,
    socket: UdpSocket,
    session: Option<Session>,
    /// Answers that may still come, by their request.
    open: HashMap<RequestId, usize>,
    /// What came without having been asked for.
    unasked: Vec<String>,
    /// What the coordinator said under ids of its own.
    told: Vec<Signal>,
    pub(super) epoch: Epoch,
    /// Bytes of UDP payload so far, by direction.
    pub(super) sent: usize,
    pub(super) received: usize,
}

/// A Handshake 1, and what its answer is read with.
pub(super) struct Begun {
    id: [u8; 16],
    initiator: Initiator,
    identity: Identity,
    pub(super) datagram: Vec<u8>,
}

impl Begun {
    /// Towards `responder` with any payload.
    pub(super) fn new(identity: &Identity, responder: PublicKey, payload: Vec<u8>) -> Self {
        let prologue = [&b"ntm v1 node to coordinator"[..], &[2]].concat();
        let initiator = Initiator { seed: random(), responder, prologue, payload };
        let id = random();
        let noise = initiator.message(identity).unwrap_or_default();
        let (role, side) = (RoleTag::Coordinator, Side::Higher);
        let datagram = Handshake1 { role, id, side, cookie: NO_COOKIE, noise }.emit();
        Self { id, initiator, identity: identity.clone(), datagram }
    }

    /// The same with a cookie in its place (K-CK-3).
    fn with(&self, cookie: &Cookie) -> Vec<u8> {
        let mut datagram = self.datagram.clone();
        datagram[20..36].copy_from_slice(&cookie.cookie);
        datagram
    }

    /// What a Handshake 2 says, if it answers this.
    pub(super) fn read(&self, datagram: &[u8]) -> Option<Result<Session, Refusal>> {
        let answer = Handshake2::parse(datagram).ok()?;
        if answer.id != self.id || answer.role != RoleTag::Terminal || answer.side != Side::Lower {
            return None;
        }
        let keys = self.initiator.finish(&self.identity, &answer.noise).ok()?;
        let answer = CoordinatorAnswer::parse(&keys.payload).ok()?;
        Some(answer.session.map(|id| Session::new(id, &keys)))
    }
}

/// What a member says of itself in a Handshake 1.
pub(super) fn hello(name: &NodeName, role: MemberRole, epoch: Epoch) -> Vec<u8> {
    let began = since_1970().as_nanos() as u64;
    NodeHello { epoch, began, name: name.clone(), role }.emit()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl<'a> Peer<'a> {
    /// Somebody at an address that the node has not seen.
    pub(super) fn new(node: &'a Node, member: &'a Member) -> io::Result<Self> {
        let any: IpAddr = if node.address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(node.address)?;
        Ok(Self {
            node,
            member,
            socket,
            session: None,
            open: HashMap::new(),
            unasked: Vec::new(),
            told: Vec::new(),
            epoch: Epoch::starting(since_1970().as_secs()),
            sent: 0,
            received: 0,
        })
    }

    /// The same, with a session, registered, at a proved address.
    pub(super) fn registered(node: &'a Node, member: &'a Member) -> Result<Self, Stop> {
        let mut this = Self::new(node, member)?;
        this.shake()?;
        this.register_and_prove()?;
        Ok(this)
    }

    pub(super) fn begin(&self) -> Begun {
        let payload = hello(&self.member.name, MemberRole::Terminal, self.epoch);
        Begun::new(&self.member.identity, self.node.key, payload)
    }

    pub(super) fn send(&mut self, datagram: &[u8]) {
        self.sent += datagram.len();
        // As on any network: what is lost is said again.
        let _ = self.socket.send(datagram);
    }

    /// The next datagram, until then.
    pub(super) fn receive(&mut self, until: Instant) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.checked_duration_since(Instant::now()).filter(|it| !it.is_zero())?;
            self.socket.set_read_timeout(Some(left)).ok()?;
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    self.received += length;
                    buffer.truncate(length);
                    return Some(buffer);
                }
                // Nobody there yet: told by ICMP, and at once.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::thread::sleep(Duration::from_millis(20).min(left));
                }
                Err(_) => {}
            }
        }
    }

    /// The datagram that answers a Handshake 1, and what it says.
    pub(super) fn answer(
        &mut self,
        begun: &Begun,
    ) -> Result<(Vec<u8>, Result<Session, Refusal>), Stop> {
        let end = Instant::now() + PATIENCE;
        let mut message = begun.datagram.clone();
        while Instant::now() < end {
            self.send(&message);
            let again = Instant::now() + AGAIN;
            while let Some(datagram) = self.receive(again) {
                if let Some(said) = begun.read(&datagram) {
                    return Ok((datagram, said));
                }
                match Cookie::parse(&datagram) {
                    Ok(cookie) if cookie.id == begun.id => {
                        message = begun.with(&cookie);
                        break;
                    }
                    _ => self.hear(&datagram),
                }
            }
        }
        Err(Stop::broken("no Handshake 2 that opens with the node's key (4.2)"))
    }

    /// A new session.
    pub(super) fn shake(&mut self) -> Result<(), Stop> {
        let begun = self.begin();
        match self.answer(&begun)?.1 {
            Ok(session) => self.session = Some(session),
            Err(refusal) => {
                let name = &self.member.name;
                return Err(Stop::broken(format!("no session for the member {name}: {refusal}")));
            }
        }
        Ok(())
    }

    pub(super) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let epoch = self.epoch;
        self.session.as_mut().map(|it| it.seal(epoch, plain)).unwrap_or_default()
    }

    /// Sorts what came.
    fn hear(&mut self, datagram: &[u8]) {
        match self.session.as_mut().map(|session| session.open(datagram)) {
            Some(Heard::New(signal)) if signal.request.is_coordinators() => self.told.push(*signal),
            Some(Heard::New(signal)) => match self.open.get_mut(&signal.request) {
                Some(left) if *left > 0 => *left -= 1,
                _ => self.unasked.push("a request was answered once more".to_owned()),
            },
            Some(Heard::Again) => self.unasked.push("a counter came twice (W-HDR-2)".to_owned()),
            Some(Heard::Nothing) | None => match Kind::of(datagram) {
                Ok(kind) => self.unasked.push(format!("an answer of type {}", kind as u8)),
                Err(_) => self.unasked.push("an answer of no type".to_owned()),
            },
        }
    }

    /// Asks until there is an answer; with the datagram that asked last.
    pub(super) fn ask(&mut self, body: SignalBody) -> Result<(Vec<u8>, SignalBody), Stop> {
        self.ask_as(RequestId::of_node(u64::from_be_bytes(random())), body)
    }

    /// The same under this id.
    pub(super) fn ask_as(
        &mut self,
        request: RequestId,
        body: SignalBody,
    ) -> Result<(Vec<u8>, SignalBody), Stop> {
        let end = Instant::now() + PATIENCE;
        let plain = Signal { request, body }.emit();
        while Instant::now() < end {
            let question = self.seal(&plain);
            *self.open.entry(request).or_default() += 1;
            self.send(&question);
            let again = Instant::now() + AGAIN;
            while let Some(datagram) = self.receive(again) {
                let opened = self.session.as_mut().map(|session| session.peek(&datagram));
                let answer = opened.flatten().filter(|signal| signal.request == request);
                self.hear(&datagram);
                if let Some(answer) = answer {
                    return Ok((question, answer.body));
                }
            }
        }
        Err(Stop::broken(format!("no answer to a request of type {}", plain[0])))
    }

    pub(super) fn request(&self, epoch: Epoch) -> SignalBody {
        let own = self.socket.local_addr().map(Candidate::udp);
        let claimed = own.into_iter().collect();
        let paths = Vec::new();
        SignalBody::RegistrationRequest(RegistrationRequest { epoch, claimed, paths, token: None })
    }

    /// Registers, above whatever epoch the node has seen (P-EP-5).
    pub(super) fn register(&mut self) -> Result<RegistrationResponse, Stop> {
        for _ in 0..5 {
            let response = registration(self.ask(self.request(self.epoch))?.1)?;
            if response.epoch_seen <= self.epoch {
                return Ok(response);
            }
            self.epoch = self.epoch.above(response.epoch_seen);
        }
        Err(Stop::broken("no epoch is high enough for it (D-REG-2)"))
    }

    /// The same, and shows that it receives here (D-REG-3).
    pub(super) fn register_and_prove(&mut self) -> Result<RegistrationResponse, Stop> {
        let response = self.register()?;
        match self.ask(SignalBody::KeepAlive { token: response.challenge })?.1 {
            SignalBody::KeepAliveAck { .. } => Ok(response),
            other => Err(odd("a Keep-alive Ack", &other)),
        }
    }

    /// Copies of this request that are not answered yet.
    pub(super) fn left(&self, request: RequestId) -> usize {
        self.open.get(&request).copied().unwrap_or_default()
    }

    pub(super) fn goodbye(&mut self) {
        let request = RequestId::of_node(u64::from_be_bytes(random()));
        let datagram = self.seal(&Signal { request, body: SignalBody::Goodbye }.emit());
        self.send(&datagram);
        self.session = None;
    }

    /// The next thing that the coordinator says under an id of its own.
    pub(super) fn next_told(&mut self) -> Option<Signal> {
        let end = Instant::now() + PATIENCE;
        while self.told.is_empty() {
            let datagram = self.receive(end)?;
            self.hear(&datagram);
        }
        Some(self.told.remove(0))
    }

    /// Says something that has no answer of its own, or one that is awaited later.
    pub(super) fn say(&mut self, request: RequestId, body: SignalBody) {
        *self.open.entry(request).or_default() += 1;
        let datagram = self.seal(&Signal { request, body }.emit());
        self.send(&datagram);
    }

    /// Says these, and then asks something else: what comes before its answer, and
    /// soon after, and was not asked for.
    pub(super) fn unasked(&mut self, said: &[Vec<u8>]) -> Result<Vec<String>, Stop> {
        self.listen(LINGER);
        self.unasked.clear();
        for datagram in said {
            self.send(datagram);
            // No more at once than a receive buffer holds.
            std::thread::sleep(Duration::from_micros(500));
        }
        self.ask(SignalBody::KeepAlive { token: None })?;
        self.listen(LINGER);
        Ok(std::mem::take(&mut self.unasked))
    }

    pub(super) fn listen(&mut self, span: Duration) {
        let end = Instant::now() + span;
        while let Some(datagram) = self.receive(end) {
            self.hear(&datagram);
        }
    }
}

/// A Registration Response, or what came in its place.
pub(super) fn registration(body: SignalBody) -> Result<RegistrationResponse, Stop> {
    match body {
        SignalBody::RegistrationResponse(response) => Ok(response),
        other => Err(odd("a Registration Response", &other)),
    }
}

pub(super) fn odd(wanted: &str, got: &SignalBody) -> Stop {
    match got {
        SignalBody::Refusal(refusal) => {
            Stop::broken(format!("refusal {} in the place of {wanted}", *refusal as u8))
        }
        other => Stop::broken(format!("{other:?} in the place of {wanted}")),
    }
}
