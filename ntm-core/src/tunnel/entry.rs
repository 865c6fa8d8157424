use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::endpoint::{Endpoint, Meter};
use super::keys::{ReceiveKey, SendKey};
use super::publish::{Reader, Taken};
use crate::Time;
use crate::address::Vips;
use crate::id::{Epoch, PathId, Side};

/// What a Path ID leads to: who the ends are, which never changes, and the
/// [`State`] of the moment.
#[derive(Debug)]
pub struct Tunnel {
    /// The Path ID.
    pub path: PathId,
    /// Which side we are on.
    pub side: Side,
    /// Our virtual addresses.
    pub own: Vips,
    /// The peer's virtual addresses.
    pub peer: Vips,
    /// How much is being sent.
    pub meter: Meter,
    pub(super) state: Reader<State>,
    pub(super) counters: Counters,
}

/// One entry of the tunnel table, whole: endpoint and keys always belong
/// together.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Where packets go; `None` while there is no path.
    pub endpoint: Option<Arc<Endpoint>>,
    /// What they are sealed with; `None` before the first handshake.
    pub send: Option<Arc<SendKey>>,
    /// What is accepted: the current key and those before it whose packets may
    /// still be on their way.
    pub receive: Vec<Arc<ReceiveKey>>,
    /// Our epoch, stamped on what we send.
    pub epoch: Epoch,
    /// The largest inner packet that fits, in bytes.
    pub limit: u16,
}

/// What workers count; read by the terminal to see whether a path lives.
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    first_received: AtomicU64,
    unanswered: AtomicU64,
}

/// A tunnel's traffic so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// Capsules sent.
    pub sent: u64,
    /// Their bytes, as inner packets.
    pub sent_bytes: u64,
    /// Capsules received and accepted.
    pub received: u64,
    /// Their bytes, as inner packets.
    pub received_bytes: u64,
    /// Counters taken from the present sending key.
    pub key_used: u64,
    /// When the first capsule was sent since one was accepted.
    pub unanswered: Option<Time>,
}

impl Tunnel {
    pub(super) fn new(
        path: PathId,
        side: Side,
        own: Vips,
        peer: Vips,
        state: Reader<State>,
    ) -> Self {
        let (meter, counters) = (Meter::default(), Counters::default());
        Self { path, side, own, peer, meter, state, counters }
    }

    /// The entry as it is now: take it once a batch and use it throughout.
    pub fn state(&self) -> Taken<State> {
        self.state.take()
    }

    /// Counts capsules sent.
    pub fn count_sent(&self, now: Time, packets: u64, bytes: u64) {
        self.meter.count(now, bytes);
        self.counters.sent.fetch_add(packets, Ordering::Relaxed);
        self.counters.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.counters.unanswered.load(Ordering::Relaxed) == 0 {
            self.counters.unanswered.store(now.nanos(), Ordering::Relaxed);
        }
    }

    /// Counts capsules accepted.
    pub fn count_received(&self, now: Time, packets: u64, bytes: u64) {
        self.counters.received.fetch_add(packets, Ordering::Relaxed);
        self.counters.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.counters.unanswered.load(Ordering::Relaxed) != 0 {
            self.counters.unanswered.store(0, Ordering::Relaxed);
        }
        if self.counters.first_received.load(Ordering::Relaxed) == 0 {
            self.counters.first_received.store(now.nanos(), Ordering::Relaxed);
        }
    }

    /// When the first capsule was accepted since [`Tunnel::watch_for_first`].
    pub fn first_received(&self) -> Option<Time> {
        stamp(&self.counters.first_received)
    }

    /// From now on the next capsule accepted is the first.
    pub fn watch_for_first(&self) {
        self.counters.first_received.store(0, Ordering::Relaxed);
    }

    /// The traffic so far.
    pub fn traffic(&self) -> Traffic {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            sent: load(&self.counters.sent),
            sent_bytes: load(&self.counters.sent_bytes),
            received: load(&self.counters.received),
            received_bytes: load(&self.counters.received_bytes),
            key_used: self.state().send.as_ref().map_or(0, |key| key.used()),
            unanswered: stamp(&self.counters.unanswered),
        }
    }
}

/// The time in there, or 0 for none.
fn stamp(nanos: &AtomicU64) -> Option<Time> {
    match nanos.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Time::from_nanos(nanos)),
    }
}
