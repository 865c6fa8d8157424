//! Sessions with nodes, from the first handshake message to the last signal.

use std::collections::BTreeMap;
use std::time::Duration;

use super::members::{MOST_HALF_OPEN, Station};
use super::{Coordinator, CoordinatorEvent};
use crate::Time;
use crate::address::Leg;
use crate::client::prologue;
use crate::crypto::Responder;
use crate::id::{Epoch, SessionId, Side};
use crate::machine::{Admission, SignalSession};
use crate::wire::{
    Cookie, CoordinatorAnswer, Handshake1, Handshake2, Header, NodeHello, Refusal, RoleTag, Signal,
};

/// A session nobody has used for this long is over.
const IDLE: Duration = Duration::from_secs(900);

/// The coordinator's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Sessions {
    by_id: BTreeMap<SessionId, ServerSession>,
    /// Unconfirmed ones by the handshake message that began them.
    by_first: BTreeMap<Vec<u8>, SessionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ServerSession {
    station: Station,
    session: SignalSession,
    /// When the node began it, by its own account.
    began: (Epoch, u64),
    used: Time,
    /// Until the first message in the session: the handshake message that began
    /// it, and our answer, so that a repetition gets the same one.
    unconfirmed: Option<(Vec<u8>, Vec<u8>)>,
}

impl Sessions {
    fn answered(&self, first: &[u8]) -> Option<Vec<u8>> {
        let session = self.by_id.get(self.by_first.get(first)?)?;
        session.unconfirmed.as_ref().map(|(_, answer)| answer.clone())
    }

    fn insert(&mut self, id: SessionId, session: ServerSession) {
        if let Some((first, _)) = &session.unconfirmed {
            self.by_first.insert(first.clone(), id);
        }
        self.by_id.insert(id, session);
    }

    fn remove(&mut self, id: &SessionId) -> bool {
        match self.by_id.remove(id).map(|session| session.unconfirmed) {
            Some(Some((first, _))) => {
                self.by_first.remove(&first);
                false
            }
            Some(None) => true,
            None => false,
        }
    }

    /// Whether there is such a session.
    pub(super) fn knows(&self, id: &SessionId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The datagram that says this in a session.
    pub(super) fn seal(&mut self, id: &SessionId, signal: &Signal) -> Option<Vec<u8>> {
        self.by_id.get_mut(id)?.session.seal(Epoch::default(), signal)
    }

    /// Sessions that nobody uses any more.
    pub(super) fn idle(&self, now: Time) -> Vec<(SessionId, Station)> {
        let idle = self.by_id.iter().filter(|(_, session)| now.since(session.used) >= IDLE);
        idle.map(|(id, session)| (*id, session.station)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

impl Coordinator {
    /// A session is over.
    pub(super) fn end_session(&mut self, id: SessionId) {
        if self.sessions.remove(&id) {
            self.out.event(CoordinatorEvent::Session { id, open: false });
        }
    }

    /// A node's first message: answered if it is a member's, and without any
    /// other consequence until it speaks in the session. Nothing if it was
    /// neither read nor answered.
    pub(super) fn handle_handshake1(
        &mut self,
        now: Time,
        leg: &Leg,
        message: &Handshake1,
    ) -> Option<()> {
        if message.role != RoleTag::Coordinator || self.domain.is_none() {
            return None;
        }
        match self.gate.admit(now, leg.remote, &message.cookie) {
            Admission::Enter => {}
            Admission::Ask(cookie) => {
                let (id, role) = (message.id, RoleTag::Terminal);
                let answer = Cookie { role, id, cookie };
                self.out.send(leg.back(), "Cookie", answer.emit());
                return None;
            }
            Admission::Drop => return None,
        }
        let noise = match self.sessions.answered(&message.noise) {
            Some(again) => again,
            None => self.answer_first(now, message)?,
        };
        self.out.received(leg, "Handshake 1", message.noise.len());
        let (id, role) = (message.id, RoleTag::Terminal);
        let answer = Handshake2 { role, id, side: Side::Lower, noise };
        self.out.send(leg.back(), "Handshake 2", answer.emit());
        Some(())
    }

    fn answer_first(&mut self, now: Time, message: &Handshake1) -> Option<Vec<u8>> {
        let seed = self.rng.bytes();
        let responder =
            Responder::read(&self.node.identity, &prologue(), seed, &message.noise).ok()?;
        let hello = NodeHello::parse(&responder.payload).ok()?;
        let station = Station { key: responder.initiator, role: hello.role };
        let refusal = match self.members.get(&station.key) {
            None => Some(Refusal::NotMember),
            Some(record) if !record.roles.contains(station.role) => Some(Refusal::NotMember),
            Some(record) if record.name != hello.name => Some(Refusal::WrongName),
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            // Told, since the key is genuine; nothing is kept.
            let name = hello.name;
            self.out.event(CoordinatorEvent::Refused { name, refusal });
            let answer = CoordinatorAnswer { session: Err(refusal) };
            return responder.answer(&answer.emit()).ok().map(|(noise, _)| noise);
        }
        let began = (hello.epoch, hello.began);
        self.make_room_for(station, began)?;
        let id = SessionId(self.rng.bytes());
        let answer = CoordinatorAnswer { session: Ok(id) };
        let (noise, keys) = responder.answer(&answer.emit()).ok()?;
        self.members.station(station)?.half_open.push(id);
        let session = ServerSession {
            station,
            session: SignalSession::of_coordinator(id, &keys),
            began,
            used: now,
            unconfirmed: Some((message.noise.clone(), noise.clone())),
        };
        self.sessions.insert(id, session);
        Some(noise)
    }

    /// Lets the oldest of too many unconfirmed sessions go, as the node counts;
    /// `None` if what began then is older than all of them. So whoever repeats
    /// what he has recorded cannot push out what the node has just begun.
    fn make_room_for(&mut self, station: Station, began: (Epoch, u64)) -> Option<()> {
        let state = self.members.station(station)?;
        if state.half_open.len() < MOST_HALF_OPEN {
            return Some(());
        }
        let age = |id: &SessionId| self.sessions.by_id.get(id).map(|session| session.began);
        let oldest = state.half_open.iter().copied().min_by_key(age)?;
        if age(&oldest).is_some_and(|oldest| began < oldest) {
            return None;
        }
        state.half_open.retain(|half| *half != oldest);
        self.end_session(oldest);
        Some(())
    }

    /// Opens a signalling datagram. The first one in a session makes it the
    /// station's session; the one before it ends.
    pub(super) fn open(
        &mut self,
        now: Time,
        leg: &Leg,
        header: &Header,
        datagram: &[u8],
    ) -> Option<(Station, Signal)> {
        let id = SessionId(header.envelope.id);
        let session = self.sessions.by_id.get_mut(&id)?;
        let signal = session.session.open(header, datagram)?;
        session.used = now;
        let station = session.station;
        self.out.received(leg, signal.body.name(), datagram.len());
        if let Some(state) = self.members.station(station) {
            state.earn(leg.unpinned(), datagram.len());
        }
        if let Some((first, _)) = session.unconfirmed.take() {
            self.sessions.by_first.remove(&first);
            self.out.event(CoordinatorEvent::Session { id, open: true });
            let state = self.members.station(station)?;
            state.half_open.retain(|half| *half != id);
            if let Some(before) = state.session.replace(id) {
                self.end_session(before);
            }
        }
        Some((station, signal))
    }
}
