use std::time::Duration;

use crate::Time;
use crate::crypto::{Established, Secret, Suite, derive_key, open_message, seal_message};
use crate::id::{Epoch, PathId, Side};
use crate::tunnel::{Direction, Replay, TableEvent, Window};
use crate::wire::{Control, Envelope, HEADER, Header, Kind};

/// The initiator of a session renews it at this age.
const RENEW_INITIATOR: Duration = Duration::from_secs(120);
/// The responder only if the initiator has not.
const RENEW_RESPONDER: Duration = Duration::from_secs(150);
/// No key is used after this age.
pub(super) const HARD_STOP: Duration = Duration::from_secs(180);
/// Packets after which a session is renewed whatever its age.
const RENEW_PACKETS: u64 = 1 << 27;

/// A session between the two ends of a tunnel: what the machine keeps of it.
/// The data keys go to the tunnel table; the control keys, their counter and
/// replay window stay here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    /// Our number for the keys the peer seals with.
    pub(super) slot: u8,
    /// The peer's number for the keys we seal with.
    peer_slot: u8,
    /// Whether we began it.
    pub(super) initiator: bool,
    pub(super) established: Time,
    pub(super) suite: Suite,
    send: Secret,
    receive: Secret,
    data_send: Secret,
    data_receive: Secret,
    counter: u64,
    window: Window<16>,
}

/// Who chose what in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    pub(super) initiator: bool,
    pub(super) slot: u8,
    pub(super) peer_slot: u8,
    pub(super) suite: Suite,
}

impl Session {
    pub(super) fn new(now: Time, keys: &Established, terms: Terms) -> Self {
        let (to_responder, to_initiator): (&[u8], &[u8]) = (&[1], &[2]);
        let (ours, theirs) = if terms.initiator {
            (to_responder, to_initiator)
        } else {
            (to_initiator, to_responder)
        };
        let suite: &[u8] = &[terms.suite as u8];
        let control = |secret: &Secret, way| derive_key(secret.expose(), &[b"ntm ctl v1", way]);
        let data =
            |secret: &Secret, way| derive_key(secret.expose(), &[b"ntm data v1", suite, way]);
        Self {
            slot: terms.slot,
            peer_slot: terms.peer_slot,
            initiator: terms.initiator,
            established: now,
            suite: terms.suite,
            send: control(&keys.send, ours),
            receive: control(&keys.receive, theirs),
            data_send: data(&keys.send, ours),
            data_receive: data(&keys.receive, theirs),
            counter: 0,
            window: Window::default(),
        }
    }

    /// The control datagram that says this.
    pub(super) fn seal(
        &mut self,
        path: PathId,
        side: Side,
        epoch: Epoch,
        control: &Control,
    ) -> Vec<u8> {
        self.seal_padded(path, side, epoch, control, 0)
    }

    /// The control datagram that says this, with zeros after it where the message is
    /// shorter than `bytes`.
    pub(super) fn seal_padded(
        &mut self,
        path: PathId,
        side: Side,
        epoch: Epoch,
        control: &Control,
        bytes: usize,
    ) -> Vec<u8> {
        let mut envelope = Envelope::new(Kind::Control, side, *path.as_bytes());
        envelope.slot = self.peer_slot;
        let mut datagram = Vec::with_capacity(128);
        Header::new(envelope, epoch, self.counter).emit_to(&mut datagram);
        datagram.extend_from_slice(&control.emit());
        datagram.resize(datagram.len().max(HEADER + bytes), 0);
        seal_message(&self.send, self.counter, HEADER, &mut datagram);
        self.counter += 1;
        datagram
    }

    /// What a control datagram says, if it is the peer's, new and of this
    /// session; and whether it is newer than all before.
    pub(super) fn open(&mut self, header: &Header, datagram: &[u8]) -> Option<(Control, bool)> {
        let plain = open_message(&self.receive, header.counter, HEADER, datagram)?;
        let newest = match self.window.accept(header.counter) {
            Replay::Newest => true,
            Replay::Late => false,
            Replay::Refused => return None,
        };
        Control::parse(&plain).ok().map(|control| (control, newest))
    }

    /// Our data key for this direction, as the table is told.
    pub(super) fn install(&self, path: PathId, direction: Direction) -> TableEvent {
        let (slot, key) = match direction {
            Direction::Send => (self.peer_slot, self.data_send),
            Direction::Receive => (self.slot, self.data_receive),
        };
        TableEvent::Install { path, direction, slot, suite: self.suite, key }
    }

    /// Whether its keys may still be used.
    pub(super) fn is_live(&self, now: Time) -> bool {
        now.since(self.established) < HARD_STOP
    }

    /// When its keys end.
    pub(super) fn ends(&self) -> Time {
        self.established + HARD_STOP
    }

    /// When we should renew it, if it is in use.
    pub(super) fn renew_at(&self) -> Time {
        self.established + if self.initiator { RENEW_INITIATOR } else { RENEW_RESPONDER }
    }

    /// Whether it should be renewed, if it is in use.
    pub(super) fn wants_renewal(&self, now: Time, packets: u64) -> bool {
        now >= self.renew_at() || self.initiator && packets >= RENEW_PACKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: PathId = PathId::from_bytes([7; 16]);

    fn pair() -> (Session, Session) {
        let (there, back) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let keys = |send, receive| Established { send, receive, payload: vec![] };
        let terms = |initiator, slot, peer_slot| Terms {
            initiator,
            slot,
            peer_slot,
            suite: Suite::ChaCha20Poly1305,
        };
        (
            Session::new(Time::ZERO, &keys(there, back), terms(true, 3, 5)),
            Session::new(Time::ZERO, &keys(back, there), terms(false, 5, 3)),
        )
    }

    fn open(session: &mut Session, datagram: &[u8]) -> Option<(Control, bool)> {
        session.open(&Header::parse(datagram).unwrap(), datagram)
    }

    #[test]
    fn control_and_data_keys_meet_crosswise() {
        let (mut mn, mut cn) = pair();
        let datagram = mn.seal(PATH, Side::Lower, Epoch(1), &Control::KeepAlive);
        assert_eq!(Header::parse(&datagram).unwrap().envelope.slot, 5);
        assert_eq!(open(&mut cn, &datagram), Some((Control::KeepAlive, true)));
        assert_eq!(open(&mut cn, &datagram), None, "replayed");
        assert_eq!(open(&mut mn, &datagram), None, "sent back");
        let key = |event| match event {
            TableEvent::Install { slot, key, .. } => (slot, key),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            key(mn.install(PATH, Direction::Send)),
            key(cn.install(PATH, Direction::Receive))
        );
        assert_ne!(mn.send, mn.data_send);
    }

    #[test]
    fn the_responder_renews_only_if_the_initiator_does_not() {
        let (mn, cn) = pair();
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        assert!(mn.wants_renewal(at(120), 0) && !cn.wants_renewal(at(149), 0));
        assert!(mn.wants_renewal(at(1), 1 << 27) && !cn.wants_renewal(at(1), 1 << 27));
        assert!(mn.is_live(at(179)) && !mn.is_live(at(180)));
    }
}
