//! What a receiver must refuse.

use std::fmt::Debug;

use ntm_core::address::Vips;
use ntm_core::crypto::{Identity, Initiator, Responder, Secret};
use ntm_core::id::{PathId, PublicKey};
use ntm_core::tunnel::OpenError;
use ntm_core::wire::{
    Bind, BindAck, Control, Cookie, CoordinatorAnswer, Envelope, Handshake1, Handshake2, Header,
    NodeHello, Signal, Ticket, TunnelAnswer, TunnelHello, WireError,
};
use serde::{Deserialize, Serialize};

use super::Vector;
use super::capsule::Receiver;
use super::hex::{Bytes, Hex};

/// Something to be refused, the requirement that says so, and the reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefusedVector {
    name: String,
    pub(crate) requirement: String,
    #[serde(default)]
    reason: String,
    #[serde(flatten)]
    case: Case,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
enum Case {
    /// The bytes are no message of this kind.
    Parse { message: String, bytes: Hex },
    /// The text is no Path ID.
    PathIdText { text: String },
    /// The pair has no Path ID.
    PathIdPair { own: Vips, peer: Vips },
    /// The MAC is not of this key.
    BindMac { key: Bytes<32>, bytes: Hex },
    /// The MAC is not of this key.
    BindAckMac { key: Bytes<32>, bytes: Hex },
    /// The MAC is not of this key and path.
    TicketMac { ticket_key: Bytes<32>, path: PathId, bytes: Hex },
    /// Noise message 1 is not for this key and prologue.
    Noise1 { responder_private: Bytes<32>, prologue: Hex, bytes: Hex },
    /// Noise message 2 does not answer this message 1.
    Noise2 {
        initiator_private: Bytes<32>,
        initiator_seed: Bytes<32>,
        responder_public: Bytes<32>,
        prologue: Hex,
        payload_1: Hex,
        bytes: Hex,
    },
    /// The capsule does not open.
    Capsule { receiver: Box<Receiver>, bytes: Hex },
}

impl Vector for RefusedVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {
        self.reason = self.case.reason().to_owned();
    }

    fn read(&self) {}
}

impl Case {
    /// Why it is refused; panics if it is not.
    fn reason(&self) -> &'static str {
        match self {
            Self::Parse { message, bytes } => match parse(message, &bytes.0) {
                Err(WireError::Truncated) => "truncated",
                Err(WireError::Version) => "version",
                Err(WireError::Kind(_)) => "type",
                Err(WireError::Critical(_)) => "critical",
                Err(WireError::Missing(_)) => "missing",
                Err(WireError::Value(_)) => "value",
                Ok(read) => panic!("it was read as {read}"),
            },
            Self::PathIdText { text } => {
                assert!(text.parse::<PathId>().is_err());
                "value"
            }
            Self::PathIdPair { own, peer } => {
                assert_eq!(PathId::derive(&[0; 32], own, peer), None);
                "none"
            }
            Self::BindMac { key, bytes } => {
                assert!(Bind::parse(&bytes.0).is_ok(), "only the MAC is wrong");
                assert!(!Bind::is_genuine(&bytes.0, &Secret::new(key.0)));
                "forged"
            }
            Self::BindAckMac { key, bytes } => {
                assert!(BindAck::parse(&bytes.0).is_ok(), "only the MAC is wrong");
                assert!(!BindAck::is_genuine(&bytes.0, &Secret::new(key.0)));
                "forged"
            }
            Self::TicketMac { ticket_key, path, bytes } => {
                let ticket = Ticket::parse(&bytes.0).expect("only the MAC is wrong");
                assert!(!ticket.is_genuine(path, &Secret::new(ticket_key.0)));
                "forged"
            }
            Self::Noise1 { responder_private, prologue, bytes } => {
                let identity = Identity::from_private(Secret::new(responder_private.0));
                assert!(Responder::read(&identity, &prologue.0, [0; 32], &bytes.0).is_err());
                "forged"
            }
            Self::Noise2 {
                initiator_private,
                initiator_seed,
                responder_public,
                prologue,
                payload_1,
                bytes,
            } => {
                let identity = Identity::from_private(Secret::new(initiator_private.0));
                let begun = Initiator {
                    seed: initiator_seed.0,
                    responder: PublicKey::from_bytes(responder_public.0),
                    prologue: prologue.0.clone(),
                    payload: payload_1.0.clone(),
                };
                assert!(begun.finish(&identity, &bytes.0).is_err());
                "forged"
            }
            Self::Capsule { receiver, bytes } => match receiver.open(bytes) {
                Err(OpenError::NoKey) => "no_key",
                Err(OpenError::Forged) => "forged",
                Err(OpenError::Replayed) => "replayed",
                Err(OpenError::Address) => "address",
                Ok(_) => panic!("it was opened"),
            },
        }
    }
}

/// What bytes read as, shown.
pub(crate) fn parse(message: &str, bytes: &[u8]) -> Result<String, WireError> {
    fn shown(message: impl Debug) -> String {
        format!("{message:?}")
    }
    match message {
        "envelope" => Envelope::parse(bytes).map(shown),
        "header" => Header::parse(bytes).map(shown),
        "handshake_1" => Handshake1::parse(bytes).map(shown),
        "handshake_2" => Handshake2::parse(bytes).map(shown),
        "cookie" => Cookie::parse(bytes).map(shown),
        "tunnel_hello" => TunnelHello::parse(bytes).map(shown),
        "tunnel_answer" => TunnelAnswer::parse(bytes).map(shown),
        "node_hello" => NodeHello::parse(bytes).map(shown),
        "coordinator_answer" => CoordinatorAnswer::parse(bytes).map(shown),
        "ticket" => Ticket::parse(bytes).map(shown),
        "bind" => Bind::parse(bytes).map(shown),
        "bind_ack" => BindAck::parse(bytes).map(shown),
        "control" => Control::parse(bytes).map(shown),
        "signalling" => Signal::parse(bytes).map(shown),
        other => panic!("no message is called {other}"),
    }
}
