use aws_lc_rs::agreement::{PrivateKey, X25519};

use super::Secret;
use crate::Rng;
use crate::id::PublicKey;

/// A node's static key pair (X25519, RFC 7748).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    private: Secret,
    public: PublicKey,
}

impl Identity {
    /// A new one.
    pub fn generate(rng: &mut Rng) -> Self {
        Self::from_private(Secret::new(rng.bytes()))
    }

    /// The one with this private key; any 32 bytes are one.
    pub fn from_private(private: Secret) -> Self {
        let public = PublicKey::from_bytes(public_of(private.expose()));
        Self { private, public }
    }

    /// The half that others may know.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The half that nobody may know.
    pub fn private(&self) -> &Secret {
        &self.private
    }
}

/// The public key of a private one.
pub(super) fn public_of(private: &[u8; 32]) -> [u8; 32] {
    let key = PrivateKey::from_private_key(&X25519, private)
        .and_then(|key| key.compute_public_key().map_err(Into::into))
        .expect("any 32 bytes are an X25519 private key");
    let mut public = [0; 32];
    public.copy_from_slice(key.as_ref());
    public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_follows_rfc_7748_section_6_1() {
        let private = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ];
        let identity = Identity::from_private(Secret::new(private));
        assert_eq!(identity.public().as_bytes(), &public);
        assert!(!format!("{identity:?}").contains("119"), "the private half is not shown");
    }
}
