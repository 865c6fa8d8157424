//! Randomness as an argument.

use std::hash::{Hash, Hasher};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A seeded generator (ChaCha20). In production the seed is 32 bytes from the
/// operating system, taken once at start; in a simulation it is the run's seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// A generator whose whole output follows from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Overwrites `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A random number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A generator of its own for one part, so that what the part draws does
    /// not depend on what its neighbours draw.
    pub fn split(&mut self) -> Self {
        Self::from_seed(self.bytes())
    }

    /// `span`, longer or shorter by up to a tenth.
    pub fn jitter(&mut self, span: std::time::Duration) -> std::time::Duration {
        let permille = 900 + self.number() % 201;
        span.mul_f64(permille as f64 / 1000.0)
    }
}

impl Hash for Rng {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.get_seed().hash(state);
        self.0.get_word_pos().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_seed_decides_everything() {
        let mut one = Rng::from_seed([7; 32]);
        let mut two = one.clone();
        assert_eq!(one.bytes::<40>(), two.bytes::<40>());
        assert_eq!(one, two);
        assert_ne!(one.split().bytes::<16>(), one.split().bytes::<16>());
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut rng = Rng::from_seed([1; 32]);
        let spans: Vec<_> = (0..1000).map(|_| rng.jitter(Duration::from_secs(10))).collect();
        assert!(spans.iter().all(|s| (9..=11).contains(&s.as_secs())));
        assert!(spans.iter().any(|s| *s < Duration::from_secs(10)));
        assert!(spans.iter().any(|s| *s > Duration::from_secs(10)));
    }
}
