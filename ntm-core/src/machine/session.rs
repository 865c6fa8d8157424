use crate::crypto::{Established, Secret, derive_key, open_message, seal_message};
use crate::id::{Epoch, SessionId, Side};
use crate::tunnel::{Replay, Window};
use crate::wire::{Envelope, HEADER, Header, Kind, Signal};

/// A session between a node and its coordinator, at either end: two keys, a
/// counter and a 64-bit replay window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SignalSession {
    pub(crate) id: SessionId,
    at_coordinator: bool,
    send: Secret,
    receive: Secret,
    counter: u64,
    window: Window<1>,
}

/// Nobody sends as many signalling messages under one key.
const MOST_MESSAGES: u64 = 1 << 40;

impl SignalSession {
    pub(crate) fn of_node(id: SessionId, keys: &Established) -> Self {
        Self::new(id, false, keys)
    }

    pub(crate) fn of_coordinator(id: SessionId, keys: &Established) -> Self {
        Self::new(id, true, keys)
    }

    fn new(id: SessionId, at_coordinator: bool, keys: &Established) -> Self {
        let control = |secret: &Secret| derive_key(secret.expose(), &[b"ntm ctl v1"]);
        Self {
            id,
            at_coordinator,
            send: control(&keys.send),
            receive: control(&keys.receive),
            counter: 0,
            window: Window::default(),
        }
    }

    /// The datagram that says this; `None` when the session is worn out.
    pub(crate) fn seal(&mut self, epoch: Epoch, signal: &Signal) -> Option<Vec<u8>> {
        if self.counter == MOST_MESSAGES {
            return None;
        }
        let side = if self.at_coordinator { Side::Lower } else { Side::Higher };
        let envelope = Envelope::new(Kind::Signalling, side, self.id.0);
        let mut datagram = Vec::with_capacity(256);
        Header::new(envelope, epoch, self.counter).emit_to(&mut datagram);
        datagram.extend_from_slice(&signal.emit());
        seal_message(&self.send, self.counter, HEADER, &mut datagram);
        self.counter += 1;
        Some(datagram)
    }

    /// What a datagram says, if it is the other end's, new and of this session.
    pub(crate) fn open(&mut self, header: &Header, datagram: &[u8]) -> Option<Signal> {
        if header.envelope.lower == self.at_coordinator {
            return None;
        }
        let plain = open_message(&self.receive, header.counter, HEADER, datagram)?;
        if self.window.accept(header.counter) == Replay::Refused {
            return None;
        }
        Signal::parse(&plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RequestId, SignalBody};

    fn pair() -> (SignalSession, SignalSession) {
        let (up, down) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let keys = |send, receive| Established { send, receive, payload: vec![] };
        let id = SessionId([9; 16]);
        (
            SignalSession::of_node(id, &keys(up, down)),
            SignalSession::of_coordinator(id, &keys(down, up)),
        )
    }

    fn open(session: &mut SignalSession, datagram: &[u8]) -> Option<Signal> {
        session.open(&Header::parse(datagram).unwrap(), datagram)
    }

    #[test]
    fn a_message_is_taken_once_and_only_from_the_other_end() {
        let (mut node, mut coordinator) = pair();
        let goodbye = Signal { request: RequestId::of_node(1), body: SignalBody::Goodbye };
        let datagram = node.seal(Epoch(5), &goodbye).unwrap();
        assert_eq!(open(&mut node, &datagram), None, "sent back");
        assert_eq!(open(&mut coordinator, &datagram), Some(goodbye));
        assert_eq!(open(&mut coordinator, &datagram), None, "replayed");
    }

    #[test]
    fn every_bit_is_authenticated() {
        let (mut node, mut coordinator) = pair();
        let ack = Signal { request: RequestId::of_node(1), body: SignalBody::Ack };
        let datagram = node.seal(Epoch(5), &ack).unwrap();
        for at in 0..datagram.len() * 8 {
            let mut damaged = datagram.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            if let Ok(header) = Header::parse(&damaged) {
                assert_eq!(coordinator.open(&header, &damaged), None, "bit {at}");
            }
        }
        assert_eq!(open(&mut coordinator, &datagram), Some(ack));
    }
}
