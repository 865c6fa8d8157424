//! Noise_IK_25519_ChaChaPoly_SHA256: who speaks, and fresh keys, in one round
//! trip.

use snow::{Builder, HandshakeState};

use super::resolver::Resolver;
use super::{Identity, Secret};
use crate::id::PublicKey;

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_SHA256";

/// Bytes that message 1 is longer than its payload: ephemeral key, sealed
/// static key, tag.
const FIRST_OVERHEAD: usize = 32 + 48 + 16;

/// Bytes that message 2 is longer than its payload: ephemeral key, tag.
const SECOND_OVERHEAD: usize = 32 + 16;

/// The other end's message cannot belong to a handshake with us: forged,
/// damaged, meant for another key, or of another protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the handshake message does not authenticate")]
pub struct HandshakeError;

/// A handshake under way at the end that began it: plain data from which both
/// of its messages follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Initiator {
    /// What the ephemeral key is made from.
    pub seed: [u8; 32],
    /// The other end's static key.
    pub responder: PublicKey,
    /// What both ends agree on beforehand.
    pub prologue: Vec<u8>,
    /// What message 1 carries, sealed for the other end.
    pub payload: Vec<u8>,
}

/// A handshake at the end that answers, after message 1 has been read.
pub struct Responder {
    state: HandshakeState,
    /// Who began.
    pub initiator: PublicKey,
    /// What message 1 carried.
    pub payload: Vec<u8>,
}

/// What a finished handshake leaves: one secret for each direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Established {
    /// For what we send.
    pub send: Secret,
    /// For what we receive.
    pub receive: Secret,
    /// What the other end's message carried.
    pub payload: Vec<u8>,
}

fn builder<'a>(identity: &'a Identity, prologue: &'a [u8], seed: [u8; 32]) -> Builder<'a> {
    let params = PATTERN.parse().expect("the pattern is a constant");
    Builder::with_resolver(params, Box::new(Resolver { seed }))
        .local_private_key(identity.private().expose())
        .and_then(|builder| builder.prologue(prologue))
        .expect("each is set once")
}

impl Initiator {
    fn state(&self, identity: &Identity) -> Result<(HandshakeState, Vec<u8>), HandshakeError> {
        let mut state = builder(identity, &self.prologue, self.seed)
            .remote_public_key(self.responder.as_bytes())
            .and_then(Builder::build_initiator)
            .map_err(|_| HandshakeError)?;
        let mut message = vec![0; self.payload.len() + FIRST_OVERHEAD];
        state.write_message(&self.payload, &mut message).map_err(|_| HandshakeError)?;
        Ok((state, message))
    }

    /// Message 1; the same at every call.
    ///
    /// # Errors
    /// The other end's key is not a point that can be agreed with.
    pub fn message(&self, identity: &Identity) -> Result<Vec<u8>, HandshakeError> {
        self.state(identity).map(|(_, message)| message)
    }

    /// Reads message 2.
    ///
    /// # Errors
    /// It is not the answer to this handshake.
    pub fn finish(
        &self,
        identity: &Identity,
        message: &[u8],
    ) -> Result<Established, HandshakeError> {
        let (mut state, _) = self.state(identity)?;
        let mut payload = vec![0; message.len()];
        let len = state.read_message(message, &mut payload).map_err(|_| HandshakeError)?;
        payload.truncate(len);
        let (send, receive) = state.dangerously_get_raw_split();
        Ok(Established { send: Secret::new(send), receive: Secret::new(receive), payload })
    }
}

impl Responder {
    /// Reads message 1, which authenticates its sender but may be a replay: it
    /// must change nothing until something sealed with the new keys arrives.
    ///
    /// # Errors
    /// It does not authenticate.
    pub fn read(
        identity: &Identity,
        prologue: &[u8],
        seed: [u8; 32],
        message: &[u8],
    ) -> Result<Self, HandshakeError> {
        let mut state =
            builder(identity, prologue, seed).build_responder().map_err(|_| HandshakeError)?;
        let mut payload = vec![0; message.len()];
        let len = state.read_message(message, &mut payload).map_err(|_| HandshakeError)?;
        payload.truncate(len);
        let initiator = state
            .get_remote_static()
            .and_then(|key| key.try_into().ok())
            .map(PublicKey::from_bytes)
            .ok_or(HandshakeError)?;
        Ok(Self { state, initiator, payload })
    }

    /// Message 2 with `payload`, and the keys.
    ///
    /// # Errors
    /// The initiator's key is not a point that can be agreed with.
    pub fn answer(mut self, payload: &[u8]) -> Result<(Vec<u8>, Established), HandshakeError> {
        let mut message = vec![0; payload.len() + SECOND_OVERHEAD];
        self.state.write_message(payload, &mut message).map_err(|_| HandshakeError)?;
        let (receive, send) = self.state.dangerously_get_raw_split();
        let keys = Established {
            send: Secret::new(send),
            receive: Secret::new(receive),
            payload: self.payload,
        };
        Ok((message, keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn pair() -> (Identity, Identity, Initiator) {
        let mut rng = Rng::from_seed([5; 32]);
        let (mn, cn) = (Identity::generate(&mut rng), Identity::generate(&mut rng));
        let initiator = Initiator {
            seed: rng.bytes(),
            responder: cn.public(),
            prologue: b"prologue".to_vec(),
            payload: b"from mn".to_vec(),
        };
        (mn, cn, initiator)
    }

    #[test]
    fn both_ends_get_the_same_keys_crosswise() {
        let (mn, cn, initiator) = pair();
        let first = initiator.message(&mn).unwrap();
        let responder = Responder::read(&cn, b"prologue", [9; 32], &first).unwrap();
        assert_eq!(responder.initiator, mn.public());
        assert_eq!(responder.payload, b"from mn");
        let (second, at_cn) = responder.answer(b"from cn").unwrap();
        let at_mn = initiator.finish(&mn, &second).unwrap();
        assert_eq!(at_mn.payload, b"from cn");
        assert_eq!((&at_mn.send, &at_mn.receive), (&at_cn.receive, &at_cn.send));
        assert_ne!(at_mn.send, at_mn.receive);
    }

    #[test]
    fn message_one_is_the_same_at_every_call() {
        let (mn, _, initiator) = pair();
        assert_eq!(initiator.message(&mn), initiator.message(&mn));
    }

    #[test]
    fn another_key_prologue_or_bit_does_not_authenticate() {
        let (mn, cn, initiator) = pair();
        let first = initiator.message(&mn).unwrap();
        assert!(Responder::read(&mn, b"prologue", [9; 32], &first).is_err());
        assert!(Responder::read(&cn, b"Prologue", [9; 32], &first).is_err());
        for at in 0..first.len() {
            let mut damaged = first.clone();
            damaged[at] ^= 0x40;
            assert!(Responder::read(&cn, b"prologue", [9; 32], &damaged).is_err(), "byte {at}");
        }
        let responder = Responder::read(&cn, b"prologue", [9; 32], &first).unwrap();
        let (second, _) = responder.answer(b"").unwrap();
        for at in 0..second.len() {
            let mut damaged = second.clone();
            damaged[at] ^= 1;
            assert!(initiator.finish(&mn, &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn short_messages_are_refused() {
        let (mn, cn, initiator) = pair();
        for len in 0..FIRST_OVERHEAD {
            assert!(Responder::read(&cn, b"prologue", [9; 32], &vec![1; len]).is_err());
            assert!(initiator.finish(&mn, &vec![1; len]).is_err());
        }
    }

    /// The primitives agree with an independent implementation of the suite.
    #[test]
    fn interoperates_with_the_pure_rust_primitives() {
        let (mn, cn, initiator) = pair();
        let mut other = Builder::new(PATTERN.parse().unwrap())
            .local_private_key(cn.private().expose())
            .unwrap()
            .prologue(b"prologue")
            .unwrap()
            .build_responder()
            .unwrap();
        let mut payload = [0; 256];
        let first = initiator.message(&mn).unwrap();
        let len = other.read_message(&first, &mut payload).unwrap();
        assert_eq!(&payload[..len], b"from mn");
        let mut second = [0; 256];
        let len = other.write_message(b"from cn", &mut second).unwrap();
        let keys = initiator.finish(&mn, &second[..len]).unwrap();
        assert_eq!(keys.payload, b"from cn");
        let (receive, send) = other.dangerously_get_raw_split();
        assert_eq!((keys.send.expose(), keys.receive.expose()), (&receive, &send));
    }
}
