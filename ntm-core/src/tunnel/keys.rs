use std::fmt;
use std::sync::atomic::AtomicU64 as PlainU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(ntm_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(ntm_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use super::replay::Window;
use crate::crypto::{DataKey, Secret, Suite, TAG};

/// Failed openings after which a key is given up: 2^36, the limit at which an
/// attacker's chance to forge one packet is still negligible.
const MOST_FORGERIES: u64 = 1 << 36;

/// A key for sending, with its counter: born and gone together, so that a
/// counter can never restart under a key.
pub struct SendKey {
    key: DataKey,
    slot: u8,
    limit: u64,
    next: AtomicU64,
}

/// A key for receiving, with its replay window.
pub struct ReceiveKey {
    key: DataKey,
    slot: u8,
    window: Mutex<Window<1024>>,
    failed: PlainU64,
}

impl SendKey {
    /// A fresh key for the receiver's slot `slot`, with nothing sent yet.
    pub fn new(suite: Suite, key: &Secret, slot: u8) -> Self {
        let key = DataKey::new(suite, key);
        Self { key, slot, limit: suite.packet_limit(), next: AtomicU64::new(0) }
    }

    /// Takes `count` counters for this caller alone and returns the first.
    /// `None` once the key has sealed as much as it may. Numbers that are taken
    /// and not used are skipped.
    pub fn reserve(&self, count: u64) -> Option<u64> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        (first.saturating_add(count) <= self.limit).then_some(first)
    }

    /// How many counters have been taken.
    pub fn used(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Which of the receiver's keys this is.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    pub(super) fn seal(&self, counter: u64, header: &[u8], text: &mut [u8]) -> [u8; TAG] {
        if cfg!(ntm_null_cipher) {
            return [0; TAG];
        }
        self.key.seal(counter, header, text)
    }
}

impl ReceiveKey {
    /// A fresh key in our slot `slot`, with nothing received yet.
    pub fn new(suite: Suite, key: &Secret, slot: u8) -> Self {
        Self { key: DataKey::new(suite, key), slot, window: Mutex::default(), failed: 0.into() }
    }

    /// Which of our keys this is.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    pub(super) fn open<'a>(
        &self,
        counter: u64,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        use std::sync::atomic::Ordering::Relaxed;
        if cfg!(ntm_null_cipher) {
            let text = sealed.len().checked_sub(TAG)?;
            return Some(&mut sealed[..text]);
        }
        if self.failed.load(Relaxed) >= MOST_FORGERIES {
            return None;
        }
        let opened = self.key.open(counter, header, sealed);
        if opened.is_none() {
            self.failed.fetch_add(1, Relaxed);
        }
        opened
    }

    /// Which counters have been accepted, for this caller alone.
    pub(super) fn window(&self) -> MutexGuard<'_, Window<1024>> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_window_taken(&self) -> bool {
        self.window.try_lock().is_err()
    }
}

impl fmt::Debug for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendKey(slot {})", self.slot)
    }
}

impl fmt::Debug for ReceiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiveKey(slot {})", self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_never_overlap_and_end_at_the_limit() {
        let key = SendKey::new(Suite::Aes256Gcm, &Secret::new([1; 32]), 3);
        assert_eq!(key.reserve(10), Some(0));
        assert_eq!(key.reserve(5), Some(10));
        assert_eq!(key.reserve(1 << 28), None, "more than the key may seal");
        assert_eq!(key.reserve(1), None, "and nothing afterwards");
    }
}
