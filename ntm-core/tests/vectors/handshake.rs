//! Whole handshakes, and every key that follows from one.

use aws_lc_rs::hkdf;
use ntm_core::Rng;
use ntm_core::address::Vips;
use ntm_core::crypto::{Identity, Initiator, Responder, Secret};
use ntm_core::id::{NodeName, PathId};
use ntm_core::wire::TunnelAnswer;
use serde::{Deserialize, Serialize};

use super::Vector;
use super::hex::{Bytes, Hex};

/// A handshake from both private keys to all session keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandshakeVector {
    name: String,
    initiator: Party,
    responder: Party,
    between: Between,
    #[serde(default)]
    prologue: Hex,
    payload_1: Hex,
    payload_2: Hex,
    #[serde(default)]
    noise_1: Hex,
    #[serde(default)]
    noise_2: Hex,
    #[serde(default)]
    k1: Option<Bytes<32>>,
    #[serde(default)]
    k2: Option<Bytes<32>>,
    #[serde(default)]
    keys: Option<Keys>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Party {
    private: Bytes<32>,
    #[serde(default)]
    public: Option<Bytes<32>>,
    /// What our generator makes the ephemeral key from.
    seed: Bytes<32>,
    #[serde(default)]
    ephemeral_private: Option<Bytes<32>>,
    #[serde(default)]
    ephemeral_public: Option<Bytes<32>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ends", rename_all = "snake_case")]
enum Between {
    Terminals {
        initiator_name: NodeName,
        responder_name: NodeName,
        path: PathId,
        lower: Vips,
        higher: Vips,
    },
    NodeAndCoordinator,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keys {
    control_to_responder: Bytes<32>,
    control_to_initiator: Bytes<32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    data_to_responder: Option<Bytes<32>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    data_to_initiator: Option<Bytes<32>>,
}

/// HKDF-SHA-256 without salt, 32 bytes.
pub(crate) fn derive(secret: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are one block");
    key
}

/// What terminals agree on beforehand, as `docs/PROTOCOL.md` 4.3 draws it.
pub(crate) fn prologue_of_terminals(
    names: [&NodeName; 2],
    path: PathId,
    lower: &Vips,
    higher: &Vips,
) -> Vec<u8> {
    let mut out = b"ntm v1 terminal to terminal".to_vec();
    for name in names {
        out.push(u8::try_from(name.as_str().len()).expect("at most 253"));
        out.extend_from_slice(name.as_str().as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    for vips in [lower, higher] {
        out.extend_from_slice(&vips.v4.map_or([0; 4], |v4| v4.octets()));
        out.extend_from_slice(&vips.v6.map_or([0; 16], |v6| v6.octets()));
    }
    out
}

/// What a node and a coordinator agree on beforehand.
pub(crate) fn prologue_of_coordinator() -> Vec<u8> {
    b"ntm v1 node to coordinator\x02".to_vec()
}

impl Party {
    fn identity(&self) -> Identity {
        Identity::from_private(Secret::new(self.private.0))
    }

    fn complete(&mut self) {
        self.public = Some(Bytes(*self.identity().public().as_bytes()));
        let ephemeral = Rng::from_seed(self.seed.0).bytes();
        self.ephemeral_private = Some(Bytes(ephemeral));
        let public = Identity::from_private(Secret::new(ephemeral)).public();
        self.ephemeral_public = Some(Bytes(*public.as_bytes()));
    }
}

impl HandshakeVector {
    fn begin(&self) -> Initiator {
        Initiator {
            seed: self.initiator.seed.0,
            responder: self.responder.identity().public(),
            prologue: self.prologue.0.clone(),
            payload: self.payload_1.0.clone(),
        }
    }

    fn keys(&self, k1: &[u8; 32], k2: &[u8; 32]) -> Keys {
        match self.between {
            Between::NodeAndCoordinator => Keys {
                control_to_responder: Bytes(derive(k1, &[b"ntm ctl v1"])),
                control_to_initiator: Bytes(derive(k2, &[b"ntm ctl v1"])),
                data_to_responder: None,
                data_to_initiator: None,
            },
            Between::Terminals { .. } => {
                let answer = TunnelAnswer::parse(&self.payload_2.0).expect("a Tunnel Answer");
                let suite = &[answer.suite as u8];
                Keys {
                    control_to_responder: Bytes(derive(k1, &[b"ntm ctl v1", &[1]])),
                    control_to_initiator: Bytes(derive(k2, &[b"ntm ctl v1", &[2]])),
                    data_to_responder: Some(Bytes(derive(k1, &[b"ntm data v1", suite, &[1]]))),
                    data_to_initiator: Some(Bytes(derive(k2, &[b"ntm data v1", suite, &[2]]))),
                }
            }
        }
    }
}

impl Vector for HandshakeVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {
        self.initiator.complete();
        self.responder.complete();
        self.prologue = Hex(match &self.between {
            Between::NodeAndCoordinator => prologue_of_coordinator(),
            Between::Terminals { initiator_name, responder_name, path, lower, higher } => {
                prologue_of_terminals([initiator_name, responder_name], *path, lower, higher)
            }
        });
        let begun = self.begin();
        self.noise_1 = Hex(begun.message(&self.initiator.identity()).expect("a usable key"));
        let responder = self.responder.identity();
        let (noise_2, keys) =
            Responder::read(&responder, &self.prologue.0, self.responder.seed.0, &self.noise_1.0)
                .and_then(|read| read.answer(&self.payload_2.0))
                .expect("our own message");
        self.noise_2 = Hex(noise_2);
        let (k1, k2) = (*keys.receive.expose(), *keys.send.expose());
        (self.k1, self.k2) = (Some(Bytes(k1)), Some(Bytes(k2)));
        self.keys = Some(self.keys(&k1, &k2));
    }

    fn read(&self) {
        let (initiator, responder) = (self.initiator.identity(), self.responder.identity());
        let begins = |noise: &Hex, party: &Party| {
            assert_eq!(Some(&noise.0[..32]), party.ephemeral_public.as_ref().map(|k| &k.0[..]));
        };
        begins(&self.noise_1, &self.initiator);
        begins(&self.noise_2, &self.responder);
        let read = Responder::read(&responder, &self.prologue.0, [0; 32], &self.noise_1.0)
            .expect("message 1 authenticates");
        assert_eq!(read.initiator, initiator.public());
        assert_eq!(read.payload, self.payload_1.0);
        let keys =
            self.begin().finish(&initiator, &self.noise_2.0).expect("message 2 authenticates");
        assert_eq!(keys.payload, self.payload_2.0);
        assert_eq!(Some(Bytes(*keys.send.expose())), self.k1);
        assert_eq!(Some(Bytes(*keys.receive.expose())), self.k2);
    }
}
