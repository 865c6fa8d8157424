//! The node's end of a session with its coordinator: handshake, registration,
//! keep-alives. Terminals and relays have one each.

mod addresses;
mod handshake;
mod ways;

pub use addresses::CoordinatorAddress;
use addresses::Coordinators;
use handshake::Attempt;
pub(crate) use handshake::prologue;
use ways::Ways;

use std::net::IpAddr;
use std::time::Duration;

use crate::Time;
use crate::address::{Candidate, Leg, LocalPin, Nat64};
use crate::id::{Epoch, SessionId};
use crate::machine::{Backoff, Context, Hint, Node, Rtt, SignalSession, SignalTrace, Spoken};
use crate::plugin::MemberRole;
use crate::wire::{
    Cookie, Handshake2, Header, PathRef, Refusal, RegistrationRequest, RegistrationResponse,
    RequestId, Signal, SignalBody, Token, UnknownSession,
};

/// Copies of a registration for the family by which it has not been answered.
const MOST_ELSEWHERE: u32 = 5;
/// Unanswered messages after which the coordinator counts as unreachable.
const PATIENCE: u32 = 3;
/// After a refusal the coordinator is asked again: first after this long,
const RETRY: Duration = Duration::from_secs(5);
/// then twice as long each time, up to this.
const MOST_RETRY: Duration = Duration::from_secs(60);

/// The client's end of a session with the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    role: MemberRole,
    coordinators: Coordinators,
    /// The addresses that have a route now.
    reachable: Vec<IpAddr>,
    /// The ways to it that are open now.
    ways: Ways,
    /// The way the coordinator answered last.
    answered_by: Option<Leg>,
    session: Option<SignalSession>,
    attempt: Option<Attempt>,
    request: Option<Registration>,
    /// A registration that has been answered, but not by every family: the
    /// coordinator has to see us in each.
    elsewhere: Option<Registration>,
    /// When to ask again after a refusal,
    retry_at: Option<Time>,
    /// and how long the last such wait was; zero if none since we were registered.
    retry_wait: Duration,
    /// Those under way, one for each way at most: by each the coordinator wants proof.
    keep_alives: Vec<KeepAlive>,
    /// What was asked last by other links than those in use.
    asked_by_links: Option<RequestId>,
    registered: Option<Registered>,
    rtt: Rtt,
    /// Answers in a row to what had been sent more than once.
    unclear: u32,
    unreachable: bool,
    /// What we have said lately.
    spoken: Spoken,
}

/// A registration under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Registration {
    id: RequestId,
    body: RegistrationRequest,
    backoff: Backoff,
}

/// A keep-alive under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeepAlive {
    id: RequestId,
    token: Option<Token>,
    leg: Leg,
    backoff: Backoff,
}

/// What the coordinator agreed to last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Registered {
    epoch: Epoch,
    renew_at: Time,
    keep_alive_every: Option<Duration>,
    keep_alive_at: Option<Time>,
    /// What the coordinator saw, one of each family.
    observed: Vec<Candidate>,
}

/// What the owner has to act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientEvent {
    /// The coordinator has registered us under the epoch that we have.
    Registered(Box<RegistrationResponse>),
    /// It remembers a higher epoch of ours: jump above and register again.
    EpochBehind(Epoch),
    /// Register again: a NAT in between changed its mind, or the coordinator
    /// does not answer.
    RegistrationDue,
    /// Half of the lifetime is over: register again, with fresh keys.
    RenewalDue,
    /// The coordinator has not answered for a while. Said once.
    Unreachable,
    /// The coordinator does not want us.
    Refused(Refusal),
    /// It has answered a keep-alive that is not the client's own.
    Answered(RequestId),
    /// Anything else it said.
    Signal(Box<Signal>),
}

impl Client {
    pub(crate) fn new(role: MemberRole, coordinators: Vec<CoordinatorAddress>) -> Self {
        Self {
            role,
            coordinators: Coordinators::new(coordinators),
            reachable: Vec::new(),
            ways: Ways::default(),
            answered_by: None,
            session: None,
            attempt: None,
            request: None,
            elsewhere: None,
            retry_at: None,
            retry_wait: Duration::ZERO,
            keep_alives: Vec::new(),
            asked_by_links: None,
            registered: None,
            rtt: Rtt::default(),
            unclear: 0,
            unreachable: false,
            spoken: Spoken::default(),
        }
    }

    /// Where any of the coordinators may be reached, for asking the system for routes.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.coordinators.all().map(|candidate| candidate.addr.ip())
    }

    /// Takes note of which destinations have a route, and uses the first of each
    /// transport and family. Returns whether there is a way of a family now of which
    /// there was none: the coordinator has not seen us by it.
    pub(crate) fn set_reachable(
        &mut self,
        node: &Node,
        has_route: impl Fn(IpAddr) -> bool,
    ) -> bool {
        self.reachable = self.destinations().filter(|ip| has_route(*ip)).collect();
        let families = |ways: &Ways| [false, true].map(|ipv6| ways.has_family(ipv6));
        let before = families(&self.ways);
        self.choose_legs(node);
        families(&self.ways).into_iter().zip(before).any(|(now, before)| now && !before)
    }

    /// How a network of IPv6 alone reaches coordinators of IPv4, from now on.
    pub(crate) fn set_nat64(&mut self, nat64: Option<Nat64>) {
        self.coordinators.set_nat64(nat64);
    }

    fn choose_legs(&mut self, node: &Node) {
        let reached = |it: &Candidate| self.reachable.contains(&it.addr.ip());
        let native = self.coordinators.candidates().copied().filter(reached);
        let translated = self.coordinators.translated().filter(reached);
        self.ways = Ways::choose(node, native, translated);
    }

    /// Whether there is any way to the coordinator.
    pub(crate) fn has_way(&self) -> bool {
        !self.ways.is_empty()
    }

    /// Whether the coordinator knows us now, as far as we know.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered.is_some() && !self.unreachable
    }

    /// Whether an answer to a registration is awaited.
    pub(crate) fn is_registering(&self) -> bool {
        self.request.is_some()
    }

    /// The addresses that the coordinator saw.
    pub(crate) fn observed(&self) -> &[Candidate] {
        self.registered.as_ref().map_or(&[], |registered| &registered.observed)
    }

    /// The round trip to the coordinator, once it is known.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// Tells the coordinator where we are, replacing what may be under way.
    pub(crate) fn register<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        claimed: Vec<Candidate>,
        mut paths: Vec<PathRef>,
    ) {
        // What nobody has heard of yet is said as well.
        let unheard = self.request.take().map_or(Vec::new(), |request| request.body.paths);
        for path in unheard {
            if paths.len() < RegistrationRequest::MOST_PATHS && !paths.contains(&path) {
                paths.push(path);
            }
        }
        let body = RegistrationRequest { epoch: cx.epoch, claimed, paths, token: None };
        let backoff = Backoff::patient(cx.now, &self.rtt);
        let id = RequestId::of_node(cx.rng.number());
        self.request = Some(Registration { id, body, backoff });
        self.elsewhere = None;
        self.keep_alives.clear();
        self.retry_at = None;
        self.send_registration(cx);
    }

    /// The coordinator does not want us, or not now: it is asked again, since
    /// somebody may change that.
    fn refused<E>(&mut self, cx: &mut Context<'_, E>, refusal: Refusal) -> ClientEvent {
        self.request = None;
        self.retry_wait = (2 * self.retry_wait).clamp(RETRY, MOST_RETRY);
        self.retry_at = Some(cx.now + cx.rng.jitter(self.retry_wait));
        ClientEvent::Refused(refusal)
    }

    /// Starts a fresh session beside the present one, so that keys do not grow
    /// old; the next registration is sent in it.
    pub(crate) fn renew_session<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        if self.attempt.is_none() {
            self.begin_handshake(cx);
        }
    }

    /// Says something in the session; `false` if there is none, or no way.
    pub(crate) fn send<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        signal: &Signal,
    ) -> bool {
        match self.way_in_use() {
            Some(leg) => self.send_by(cx, leg, signal),
            None => false,
        }
    }

    /// The way the coordinator answered last, if it is still open; else the best.
    fn way_in_use(&self) -> Option<Leg> {
        let answered = self.answered_by.filter(|leg| self.ways.contains(leg));
        answered.or_else(|| self.ways.best())
    }

    /// The ways that this copy of a message goes by.
    fn ways_of_copy(&self, copy: u32) -> Vec<Leg> {
        self.ways.of_copy(copy, self.answered_by)
    }

    fn send_by<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: Leg,
        signal: &Signal,
    ) -> bool {
        let sealed = self.session.as_mut().and_then(|session| session.seal(cx.epoch, signal));
        match sealed {
            Some(datagram) => {
                self.spoken.note(cx.now, &datagram);
                cx.out.send(leg, signal.body.name(), datagram);
                true
            }
            None => false,
        }
    }

    /// Says farewell; the answer is not waited for.
    pub(crate) fn say_goodbye<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        let request = RequestId::of_node(cx.rng.number());
        let _sent = self.send(cx, &Signal { request, body: SignalBody::Goodbye });
        self.registered = None;
        self.request = None;
        self.elsewhere = None;
        self.retry_at = None;
        self.keep_alives.clear();
        self.attempt = None;
    }

    fn send_registration<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        let Some(request) = &mut self.request else { return };
        if self.session.is_none() {
            self.begin_handshake_unless_under_way(cx);
            return;
        }
        request.backoff.sent(cx.now, cx.rng);
        let copies = request.backoff.copies();
        let body = SignalBody::RegistrationRequest(request.body.clone());
        let signal = Signal { request: request.id, body };
        for leg in self.ways_of_copy(copies) {
            let _sent = self.send_by(cx, leg, &signal);
        }
        if copies == 2 {
            // The coordinator may have restarted and lost the session.
            self.begin_handshake_unless_under_way(cx);
        }
    }

    /// Somebody says that the coordinator knows no session with us: if it answers
    /// what we said, it has restarted.
    pub(crate) fn handle_unknown<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: &Leg,
        notice: &UnknownSession,
    ) -> Option<ClientEvent> {
        if self.attempt.is_some() || self.spoken.hint(cx.now, &notice.seal) != Hint::Ours {
            return None;
        }
        cx.out.received(leg, "Unknown Session", UnknownSession::LEN);
        self.begin_handshake(cx);
        Some(ClientEvent::RegistrationDue)
    }

    fn begin_handshake_unless_under_way<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        if self.attempt.is_none() {
            self.begin_handshake(cx);
        }
    }

    fn begin_handshake<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        if let Some(coordinator) = self.coordinators.current() {
            let mut attempt = Attempt::new(cx, coordinator, self.role, &self.rtt);
            attempt.send(cx, &self.ways_of_copy(1));
            self.attempt = Some(attempt);
        }
    }

    /// Whether a second handshake message or a cookie is for us.
    pub(crate) fn began(&self, handshake: &[u8; 16]) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.id() == handshake)
    }

    /// Our session with the coordinator.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id)
    }

    pub(crate) fn handle_cookie<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        cookie: &Cookie,
    ) {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| *attempt.id() == cookie.id) {
            let legs = self.ways.of_copy(attempt.copies(), self.answered_by);
            attempt.repeat_with(cx, cookie.cookie, &legs);
        }
    }

    pub(crate) fn handle_handshake2<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: &Leg,
        message: &Handshake2,
    ) -> Option<ClientEvent> {
        let attempt = self.attempt.as_ref().filter(|attempt| *attempt.id() == message.id)?;
        let (keys, answer) = attempt.finish(cx, message)?;
        cx.out.received(leg, "Handshake 2", message.noise.len());
        if let Some(rtt) = attempt.round_trip(cx.now) {
            self.rtt.sample(rtt);
        }
        self.attempt = None;
        self.answered_by = Some(leg.unpinned());
        let session = match answer {
            Ok(id) => SignalSession::of_node(id, &keys),
            Err(refusal) => return Some(self.refused(cx, refusal)),
        };
        self.session = Some(session);
        self.unreachable = false;
        match &mut self.request {
            Some(request) => {
                request.backoff = Backoff::patient(cx.now, &self.rtt);
                self.send_registration(cx);
            }
            // A renewed session is confirmed by the first message in it.
            None => self.begin_keep_alive(cx, leg.unpinned(), None),
        }
        None
    }

    /// Opens a signalling datagram of our session and deals with what concerns
    /// registration.
    pub(crate) fn handle_signalling<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: &Leg,
        header: &Header,
        datagram: &[u8],
    ) -> Option<ClientEvent> {
        let session = self.session.as_mut().filter(|session| session.id.0 == header.envelope.id)?;
        let signal = session.open(header, datagram)?;
        cx.out.received(leg, signal.body.name(), datagram.len());
        if self.asked_by_links == Some(signal.request) {
            // It says nothing of the ways in use.
            return Some(ClientEvent::Answered(signal.request));
        }
        let came_back = self.note_answer(leg, signal.request);
        self.unreachable = false;
        if let SignalBody::RegistrationResponse(response) = signal.body {
            return self.handle_response(cx, leg, signal.request, response);
        }
        if let SignalBody::KeepAliveAck { observed } = signal.body {
            let event = self.handle_keep_alive_ack(cx, signal.request, observed);
            // The coordinator is to know, too, that the better way works again.
            let due = came_back && self.request.is_none() && self.registered.is_some();
            return event.or(due.then_some(ClientEvent::RegistrationDue));
        }
        if let SignalBody::Refusal(refusal) = signal.body
            && self.request.as_ref().is_some_and(|request| request.id == signal.request)
        {
            return Some(self.refused(cx, refusal));
        }
        Some(ClientEvent::Signal(Box::new(signal)))
    }

    /// The coordinator has spoken by this way: it is the one in use, unless what came
    /// is a late copy by a worse one. Whether it is better than the one before.
    fn note_answer(&mut self, leg: &Leg, id: RequestId) -> bool {
        let open = self.request.as_ref().is_some_and(|request| request.id == id)
            || self.keep_alives.iter().any(|keep_alive| keep_alive.id == id);
        let before = self.answered_by.and_then(|leg| self.ways.rank(&leg));
        let now = self.ways.rank(leg);
        let better = matches!((now, before), (Some(now), Some(before)) if now < before);
        if open || now <= before || before.is_none() {
            self.answered_by = Some(leg.unpinned());
        }
        better
    }

    fn handle_response<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: &Leg,
        id: RequestId,
        response: RegistrationResponse,
    ) -> Option<ClientEvent> {
        if response.epoch_seen > cx.epoch {
            return Some(ClientEvent::EpochBehind(response.epoch_seen));
        }
        let answers_open_request = match self.request.take() {
            Some(mut request) if request.id == id => {
                self.answered(cx.now, &request.backoff);
                request.backoff = Backoff::patient(cx.now, &self.rtt);
                request.backoff.sent(cx.now, cx.rng);
                self.elsewhere = Some(request);
                true
            }
            other => {
                self.request = other;
                false
            }
        };
        // The copy that went by the other family is answered too: it adds what
        // the coordinator saw there.
        let epoch = cx.epoch;
        let same_epoch = |registered: &Registered| registered.epoch == epoch;
        if !answers_open_request && !self.registered.as_ref().is_some_and(same_epoch) {
            return None;
        }
        if let Some(token) = response.challenge {
            // To where the coordinator is known to be, wherever this came from.
            let known = Some(leg.unpinned()).filter(|leg| self.ways.contains(leg));
            if let Some(leg) = known.or_else(|| self.ways.best()) {
                self.begin_keep_alive(cx, leg, Some(token));
            }
        }
        let before = self.registered.take().filter(same_epoch);
        let mut observed = before.map_or(Vec::new(), |before| before.observed);
        observed.retain(|seen| !seen.is_same_way(&response.observed));
        observed.push(response.observed);
        let keep_alive_every =
            Some(Duration::from_secs(response.keep_alive.into())).filter(|every| !every.is_zero());
        let lifetime = Duration::from_secs(response.lifetime.max(2).into());
        self.registered = Some(Registered {
            epoch: cx.epoch,
            renew_at: cx.now + cx.rng.jitter(lifetime / 2),
            keep_alive_every,
            keep_alive_at: keep_alive_every.map(|every| cx.now + cx.rng.jitter(every)),
            observed,
        });
        if self.unseen_legs().is_empty() {
            self.elsewhere = None;
        }
        self.retry_wait = Duration::ZERO;
        self.coordinators.learn(&response.coordinators);
        answers_open_request.then(|| ClientEvent::Registered(Box::new(response)))
    }

    /// Something has been answered. To what was sent once the answer gives a round
    /// trip; if again and again it comes after a second copy, so that none does, the
    /// time since the first copy is taken for one: it is no less.
    fn answered(&mut self, now: Time, backoff: &Backoff) {
        self.unclear = if backoff.copies() == 1 { 0 } else { self.unclear + 1 };
        if self.unclear != 1 {
            self.rtt.sample(now.since(backoff.started()));
        }
    }

    /// The ways by which the coordinator has not seen us in this epoch.
    fn unseen_legs(&self) -> Vec<Leg> {
        let observed = self.observed();
        let seen = |ipv6| observed.iter().any(|seen| seen.addr.is_ipv6() == ipv6);
        let legs = self.ways_of_copy(1).into_iter();
        legs.filter(|leg| !seen(leg.remote.is_ipv6())).collect()
    }

    /// Repeats a registration by the families that have not been answered yet: a copy
    /// may have been lost, or there is no way to the coordinator there.
    fn send_elsewhere<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>) {
        let legs = self.unseen_legs();
        let Some(mut request) = self.elsewhere.take_if(|it| it.backoff.is_due(cx.now)) else {
            return;
        };
        if request.backoff.copies() < MOST_ELSEWHERE && !legs.is_empty() {
            request.backoff.sent(cx.now, cx.rng);
            let body = SignalBody::RegistrationRequest(request.body.clone());
            let signal = Signal { request: request.id, body };
            for leg in legs {
                let _sent = self.send_by(cx, leg, &signal);
            }
            self.elsewhere = Some(request);
        }
    }

    /// Asks by other links, each for an address of the coordinator's, whether it
    /// hears us: a keep-alive moves nothing there.
    pub(crate) fn ask_by<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        request: RequestId,
        links: &[(IpAddr, LocalPin)],
    ) {
        let signal = Signal { request, body: SignalBody::KeepAlive { token: None } };
        self.asked_by_links = Some(request);
        for leg in self.ways_of_copy(1) {
            if let Some((_, pin)) = links.iter().find(|(ip, _)| *ip == leg.remote.ip()) {
                let _sent = self.send_by(cx, leg.pinned(Some(*pin)), &signal);
            }
        }
    }

    fn begin_keep_alive<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        leg: Leg,
        token: Option<Token>,
    ) {
        let way = |leg: &Leg| (leg.transport, leg.remote.is_ipv6());
        let before = self.keep_alives.iter().position(|it| way(&it.leg) == way(&leg));
        // A proof that nobody has acknowledged is given with this one.
        let unheard = before.and_then(|at| self.keep_alives.remove(at).token);
        let id = RequestId::of_node(cx.rng.number());
        let backoff = Backoff::patient(cx.now, &self.rtt);
        let token = token.or(unheard);
        self.keep_alives.push(KeepAlive { id, token, leg, backoff });
        self.send_keep_alive(cx, self.keep_alives.len() - 1);
    }

    fn send_keep_alive<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>, at: usize) {
        let Some(keep_alive) = self.keep_alives.get_mut(at) else { return };
        keep_alive.backoff.sent(cx.now, cx.rng);
        let body = SignalBody::KeepAlive { token: keep_alive.token };
        let signal = Signal { request: keep_alive.id, body };
        let leg = keep_alive.leg;
        let _sent = self.send_by(cx, leg, &signal);
        // Do better ways work again?
        for better in self.ways.better_than(&leg) {
            let _sent = self.send_by(cx, better, &signal);
        }
    }

    fn handle_keep_alive_ack<E>(
        &mut self,
        cx: &mut Context<'_, E>,
        id: RequestId,
        observed: Candidate,
    ) -> Option<ClientEvent> {
        let at = self.keep_alives.iter().position(|keep_alive| keep_alive.id == id)?;
        let answered = self.keep_alives.remove(at);
        self.answered(cx.now, &answered.backoff);
        let registered = self.registered.as_mut()?;
        registered.keep_alive_at =
            registered.keep_alive_every.map(|every| cx.now + cx.rng.jitter(every));
        // Seen elsewhere than before: a NAT in between has changed its mapping.
        let rebound =
            registered.observed.iter().any(|seen| seen.is_same_way(&observed) && *seen != observed);
        rebound.then_some(ClientEvent::RegistrationDue)
    }

    /// Does what is due; call it until it returns `None`.
    pub(crate) fn handle_timeout<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
    ) -> Option<ClientEvent> {
        if self.ways.is_empty() {
            return None;
        }
        if let Some(attempt) = &mut self.attempt
            && attempt.is_due(cx.now)
        {
            if attempt.is_hopeless() {
                self.coordinators.next();
                self.choose_legs(cx.node);
                self.attempt = None;
                self.session = None;
                // It was the round trip to somebody who answered: whoever comes
                // next is not to be asked at its pace for hours.
                self.rtt = Rtt::default();
                self.begin_handshake(cx);
                return self.note_unreachable();
            }
            let legs = self.ways.of_copy(attempt.copies() + 1, self.answered_by);
            attempt.send(cx, &legs);
        }
        if self.retry_at.take_if(|at| *at <= cx.now).is_some() {
            return Some(ClientEvent::RegistrationDue);
        }
        if self.session.is_some()
            && self.request.as_ref().is_some_and(|request| request.backoff.is_due(cx.now))
        {
            self.send_registration(cx);
            let copies = self.request.as_ref().map_or(0, |request| request.backoff.copies());
            if copies > PATIENCE {
                return self.note_unreachable();
            }
        }
        self.send_elsewhere(cx);
        for at in 0..self.keep_alives.len() {
            let backoff = &self.keep_alives[at].backoff;
            if backoff.is_due(cx.now) && backoff.copies() >= PATIENCE {
                self.keep_alives.clear();
                // Or it does, and takes longer by now.
                self.rtt = Rtt::default();
                return Some(ClientEvent::RegistrationDue);
            }
            if backoff.is_due(cx.now) {
                self.send_keep_alive(cx, at);
            }
        }
        if let Some(registered) = &mut self.registered
            && self.request.is_none()
        {
            if registered.renew_at <= cx.now {
                registered.renew_at = cx.now + Duration::from_secs(30);
                return Some(ClientEvent::RenewalDue);
            }
            if registered.keep_alive_at.is_some_and(|at| at <= cx.now) {
                registered.keep_alive_at = None;
                if let Some(leg) = self.way_in_use() {
                    self.begin_keep_alive(cx, leg, None);
                }
            }
        }
        None
    }

    fn note_unreachable(&mut self) -> Option<ClientEvent> {
        (!std::mem::replace(&mut self.unreachable, true)).then_some(ClientEvent::Unreachable)
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.ways.is_empty() {
            return None;
        }
        let attempt = self.attempt.as_ref().map(Attempt::deadline);
        let request = self
            .request
            .as_ref()
            .filter(|_| self.session.is_some())
            .map(|request| request.backoff.next());
        let elsewhere = self.elsewhere.as_ref().map(|request| request.backoff.next());
        let keep_alive = self.keep_alives.iter().map(|keep_alive| keep_alive.backoff.next()).min();
        let registered = self.registered.as_ref().filter(|_| self.request.is_none());
        let renew = registered.map(|registered| registered.renew_at);
        let idle = registered.and_then(|registered| registered.keep_alive_at);
        let all = [attempt, request, elsewhere, keep_alive, renew, idle, self.retry_at];
        all.into_iter().flatten().min()
    }
}
