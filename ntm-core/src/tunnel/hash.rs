use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use crate::Rng;

/// Keyed hashing for look-ups by numbers that strangers choose.
#[derive(Clone, Copy, Debug)]
pub struct KeyedHash {
    keys: (u64, u64),
}

impl KeyedHash {
    /// With keys from this generator.
    pub fn new(rng: &mut Rng) -> Self {
        Self { keys: (rng.number(), rng.number()) }
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.keys.0, self.keys.1)
    }
}
