//! Bytes read as a script, and scripts written as bytes.

use std::time::Duration;

/// Reads from the front; what is missing reads as zero, so that every input
/// means something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (front, rest) = self.0.split_at(N.min(self.0.len()));
        array[..front.len()].copy_from_slice(front);
        self.0 = rest;
        array
    }

    pub(super) fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A length (2 bytes), then as many bytes, or what is left.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u16()).min(self.0.len());
        let (front, rest) = self.0.split_at(len);
        self.0 = rest;
        front
    }

    /// One byte: from half a millisecond to four and a half minutes.
    pub(super) fn span(&mut self) -> Duration {
        let byte = self.u8();
        Duration::from_micros((u64::from(byte & 0xf) + 1) << (byte >> 4)) * 512
    }

    /// A message with a few of its bytes changed, or cut.
    pub(super) fn edited(&mut self, mut message: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.u8() % 4 {
            let (at, change) = (usize::from(self.u16()), self.u8());
            match message.len() {
                0 => {}
                len if change == 0 => message.truncate(at % len),
                len => message[at % len] ^= change,
            }
        }
        message
    }
}

/// Writes what [`Input`] reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Script(Vec<u8>);

impl Script {
    pub(super) fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put(&len.to_be_bytes()).put(bytes)
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}
