use std::collections::HashSet;

use aws_lc_rs::{hkdf, rand};
use ntm_core::crypto::{DataKey, Established, Secret, Suite};
use ntm_core::id::{Epoch, SessionId, Side};
use ntm_core::wire::{Envelope, HEADER, Header, Kind, Signal};

/// A node's end of a session with a coordinator, written after PROTOCOL.md (3.2, 7)
/// and not after the code: it neither repeats itself nor bears with what is wrong.
pub(super) struct Session {
    id: SessionId,
    send: DataKey,
    receive: DataKey,
    counter: u64,
    seen: HashSet<u64>,
}

/// What a datagram is in a session.
pub(super) enum Heard {
    /// A message.
    New(Box<Signal>),
    /// A genuine one under a counter that was used before.
    Again,
    /// Not of this session, or not readable.
    Nothing,
}

/// From the system's generator.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// K-DER-1.
fn key(raw: &Secret) -> DataKey {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(raw.expose())
        .expand(&[b"ntm ctl v1"], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are one block of SHA-256");
    DataKey::new(Suite::ChaCha20Poly1305, &Secret::new(key))
}

impl Session {
    pub(super) fn new(id: SessionId, keys: &Established) -> Self {
        let (send, receive) = (key(&keys.send), key(&keys.receive));
        Self { id, send, receive, counter: 0, seen: HashSet::new() }
    }

    pub(super) fn seal(&mut self, epoch: Epoch, plain: &[u8]) -> Vec<u8> {
        let envelope = Envelope::new(Kind::Signalling, Side::Higher, self.id.0);
        let header = Header::new(envelope, epoch, self.counter).emit();
        let mut text = plain.to_vec();
        let tag = self.send.seal(self.counter, &header, &mut text);
        self.counter += 1;
        [&header[..], &text, &tag].concat()
    }

    pub(super) fn open(&mut self, datagram: &[u8]) -> Heard {
        let Some(signal) = self.peek(datagram) else { return Heard::Nothing };
        let counter = Header::parse(datagram).map_or(0, |header| header.counter);
        if self.seen.insert(counter) { Heard::New(Box::new(signal)) } else { Heard::Again }
    }

    /// What it says, wherever its counter stands.
    pub(super) fn peek(&self, datagram: &[u8]) -> Option<Signal> {
        let header = Header::parse(datagram).ok()?;
        let Envelope { kind, lower, id, .. } = header.envelope;
        if kind != Kind::Signalling || !lower || id != self.id.0 {
            return None;
        }
        let mut sealed = datagram[HEADER..].to_vec();
        let plain = self.receive.open(header.counter, &datagram[..HEADER], &mut sealed)?;
        Signal::parse(plain).ok()
    }
}
