use std::collections::BTreeSet;
use std::time::Duration;

use ntm_core::Time;

/// Segments under way at once.
const WINDOW: u32 = 32;
/// Without progress for this long, what is unacknowledged is sent again.
const PATIENCE: Duration = Duration::from_millis(200);
/// A packet may be held for 2 s and then be under way for as long as the slowest
/// link of a run takes.
const OLDEST: Duration = Duration::from_secs(5);

/// One end of a toy stream: numbered segments each way, acknowledged and sent
/// again, so that after everything all bytes must have come, in order.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Segments that the application has written.
    written: u32,
    acknowledged: u32,
    progress: Time,
    /// Segments that have been read, all in order.
    pub read: u32,
    /// Segments that wait for those before them.
    early: BTreeSet<u32>,
    /// Numbers of packets, each used once.
    serial: u64,
    seen: BTreeSet<u64>,
}

/// What the bytes of a segment are.
fn content(segment: u32) -> [u8; 32] {
    let word = segment.wrapping_mul(0x9e37_79b9).to_be_bytes();
    std::array::from_fn(|at| word[at % 4] ^ at as u8)
}

const LENGTH: usize = 8 + 8 + 4 + 4 + 32;

impl Stream {
    /// The packets to send now; a new segment if `write` and the window allows.
    pub fn send(&mut self, now: Time, write: bool) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        if write && self.written - self.acknowledged < WINDOW {
            self.written += 1;
            segments.push(self.written - 1);
        }
        if self.is_done() {
            self.progress = now;
        } else if now.since(self.progress) >= PATIENCE {
            self.progress = now;
            segments = (self.acknowledged..self.written).collect();
        }
        if segments.is_empty() {
            // An acknowledgement alone.
            segments.push(u32::MAX);
        }
        segments.into_iter().map(|segment| self.packet(now, segment)).collect()
    }

    fn packet(&mut self, now: Time, segment: u32) -> Vec<u8> {
        self.serial += 1;
        let mut packet = Vec::with_capacity(LENGTH);
        packet.extend_from_slice(&self.serial.to_be_bytes());
        packet.extend_from_slice(&now.nanos().to_be_bytes());
        packet.extend_from_slice(&self.read.to_be_bytes());
        packet.extend_from_slice(&segment.to_be_bytes());
        packet.extend_from_slice(&content(segment));
        packet
    }

    /// A packet of the other end arrives.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive(&mut self, now: Time, packet: &[u8]) -> Result<(), String> {
        let packet: &[u8; LENGTH] =
            packet.try_into().map_err(|_| format!("a packet of {} bytes", packet.len()))?;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| packet[at + n]));
        let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|n| packet[at + n]));
        let (serial, sent, acknowledged, segment) = (long(0), long(8), word(16), word(20));
        if !self.seen.insert(serial) {
            return Err(format!("packet {serial} was delivered twice"));
        }
        let age = now.since(Time::from_nanos(sent));
        if age > OLDEST {
            return Err(format!("packet {serial} was delivered after {age:?}"));
        }
        if segment != u32::MAX && packet[24..] != content(segment) {
            return Err(format!("segment {segment} has other bytes"));
        }
        if segment != u32::MAX && segment >= self.read {
            self.early.insert(segment);
        }
        while self.early.remove(&self.read) {
            self.read += 1;
        }
        if acknowledged > self.written {
            return Err(format!("{acknowledged} acknowledged of {}", self.written));
        }
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.progress = now;
        }
        Ok(())
    }

    /// Whether everything written has been read.
    pub fn is_done(&self) -> bool {
        self.acknowledged == self.written
    }
}
