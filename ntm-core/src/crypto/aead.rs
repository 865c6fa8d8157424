use aws_lc_rs::aead::{
    AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};

use super::Secret;

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// The cipher of a tunnel's data. ChaCha20-Poly1305 always works; AES-256-GCM
/// is several times faster where both CPUs have instructions for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// RFC 8439.
    ChaCha20Poly1305 = 1,
    /// NIST SP 800-38D.
    Aes256Gcm = 2,
}

/// The suites an end offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suites(u8);

impl Suites {
    /// Only what every node has.
    pub const BASIC: Self = Self(1 << Suite::ChaCha20Poly1305 as u8);

    /// What a CPU with instructions for AES does well.
    pub const ALL: Self = Self(Self::BASIC.0 | 1 << Suite::Aes256Gcm as u8);

    /// The offer with these bits; the basic suite is always part of it, and
    /// bits that are not known are ignored.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0 | Self::BASIC.0)
    }

    /// One bit a suite.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether this suite is offered.
    pub fn contains(self, suite: Suite) -> bool {
        self.0 & 1 << suite as u8 != 0
    }

    /// The best suite that both offer.
    pub fn best(self, other: Self) -> Suite {
        if self.contains(Suite::Aes256Gcm) && other.contains(Suite::Aes256Gcm) {
            Suite::Aes256Gcm
        } else {
            Suite::ChaCha20Poly1305
        }
    }
}

impl Suite {
    /// The suite with this number on the wire.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::ChaCha20Poly1305, Self::Aes256Gcm].into_iter().find(|suite| *suite as u8 == number)
    }

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes256Gcm => "aes-256-gcm",
        }
    }

    /// Packets after which a key must not be used any more: 2^28 for AES-GCM,
    /// 2^60 for ChaCha20-Poly1305.
    pub fn packet_limit(self) -> u64 {
        match self {
            Self::ChaCha20Poly1305 => 1 << 60,
            Self::Aes256Gcm => 1 << 28,
        }
    }
}

/// A key ready for many packets, of either suite.
#[derive(Debug)]
pub struct DataKey(LessSafeKey);

impl DataKey {
    /// Sets up `key` for `suite`.
    pub fn new(suite: Suite, key: &Secret) -> Self {
        let algorithm = match suite {
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key.expose()).expect("both suites take 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals `text` in place and returns the tag. A counter is used once.
    pub fn seal(&self, counter: u64, header: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(counter), Aad::from(header), text)
            .expect("a datagram is far below the cipher's limit");
        let mut bytes = [0; TAG];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Opens `sealed` (text and tag) in place and returns the text; `None` if
    /// it is not genuine. The bytes are garbage then.
    pub fn open<'a>(
        &self,
        counter: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce(counter), Aad::from(header), sealed).ok()
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Seals the bytes behind `header` bytes of `message` and appends the tag. For
/// control messages, whose key is set up each time (about 0.1 µs).
pub(crate) fn seal_message(key: &Secret, counter: u64, header: usize, message: &mut Vec<u8>) {
    let (head, text) = message.split_at_mut(header);
    let tag = DataKey::new(Suite::ChaCha20Poly1305, key).seal(counter, head, text);
    message.extend_from_slice(&tag);
}

/// The text behind `header` bytes of a sealed message, if it is genuine.
pub(crate) fn open_message(
    key: &Secret,
    counter: u64,
    header: usize,
    message: &[u8],
) -> Option<Vec<u8>> {
    let (head, sealed) = message.split_at_checked(header)?;
    let mut sealed = sealed.to_vec();
    let text = DataKey::new(Suite::ChaCha20Poly1305, key).open(counter, head, &mut sealed)?;
    let len = text.len();
    sealed.truncate(len);
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
            let key = DataKey::new(suite, &Secret::new([3; 32]));
            let mut sealed = b"inner packet".to_vec();
            let tag = key.seal(7, b"header", &mut sealed);
            assert_ne!(sealed, b"inner packet");
            sealed.extend_from_slice(&tag);
            assert_eq!(
                key.open(7, b"header", &mut sealed.clone()).as_deref(),
                Some(&b"inner packet"[..])
            );
            assert!(key.open(8, b"header", &mut sealed.clone()).is_none());
            assert!(key.open(7, b"Header", &mut sealed.clone()).is_none());
            let other = DataKey::new(suite, &Secret::new([4; 32]));
            assert!(other.open(7, b"header", &mut sealed.clone()).is_none());
            for len in 0..sealed.len() {
                assert!(key.open(7, b"header", &mut sealed[..len].to_vec()).is_none());
            }
        }
    }

    #[test]
    fn a_message_is_sealed_behind_its_header() {
        let key = Secret::new([3; 32]);
        let mut message = b"headtext".to_vec();
        seal_message(&key, 1, 4, &mut message);
        assert_eq!(&message[..4], b"head");
        assert_eq!(message.len(), 8 + TAG);
        assert_eq!(open_message(&key, 1, 4, &message).as_deref(), Some(&b"text"[..]));
        assert_eq!(open_message(&key, 2, 4, &message), None);
        assert_eq!(open_message(&key, 1, 99, &message), None);
    }

    #[test]
    fn the_best_common_suite_is_chosen() {
        assert_eq!(Suites::ALL.best(Suites::ALL), Suite::Aes256Gcm);
        assert_eq!(Suites::ALL.best(Suites::BASIC), Suite::ChaCha20Poly1305);
        assert_eq!(Suites::from_bits(0xff), Suites::ALL);
        assert_eq!(Suites::from_bits(0), Suites::BASIC);
        assert_eq!(Suite::from_number(2), Some(Suite::Aes256Gcm));
        assert_eq!(Suite::from_number(0), None);
    }
}
