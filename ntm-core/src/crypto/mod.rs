//! Keys, handshakes and sealing. Everything comes from `aws-lc-rs`, everything
//! random from the seed given by the caller.

mod aead;
mod identity;
mod kdf;
mod noise;
mod resolver;
mod secret;

pub use aead::{DataKey, Suite, Suites, TAG};
pub(crate) use aead::{open_message, seal_message};
pub use identity::Identity;
pub(crate) use kdf::{derive_key, mac16, same};
pub use noise::{Established, HandshakeError, Initiator, Responder};
pub use secret::Secret;
