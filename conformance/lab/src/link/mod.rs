//! Cables: an interface of a host, plugged into one network or another.

mod conditions;
mod direction;
mod forward;
mod neighbours;
mod tap;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use ntm_core::Rng;

pub use conditions::Conditions;
pub use direction::Counters;

use crate::error::Result;
use crate::netns::Netns;
use crate::segment::{Fabric, Segment};
use forward::{Forwarder, INWARD, OUTWARD, Shared};

/// A cable from an interface of a host to wherever it is plugged in.
///
/// Both ends are TAP devices, one in the host's namespace and one as a port of
/// the segment's bridge; a thread carries the frames between them under the
/// [`Conditions`] given. The host sees a wire: carrier, no carrier, carrier. Its
/// addresses and routes are nobody's business here.
///
/// Nothing is reordered or damaged. One direction carries about 1.5 Gbit/s of
/// TCP where processors are free.
pub struct Link {
    host: Netns,
    interface: String,
    fabric: Fabric,
    port: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Something in the wire that looks at frames and may change or swallow them,
/// before delay and loss.
pub trait Middlebox: Send {
    /// A frame from the host; `false` swallows it.
    fn outward(&mut self, frame: &mut [u8]) -> bool;
    /// A frame to the host; `false` swallows it.
    fn inward(&mut self, frame: &mut [u8]) -> bool;
}

impl Link {
    /// Gives a host an interface with a cable that is not plugged in yet. The
    /// interface is up and has no carrier. The seed decides which packets are
    /// lost.
    ///
    /// # Errors
    /// The host has an interface of that name, or the system refuses.
    pub fn new(
        fabric: &Fabric,
        host: &Netns,
        interface: &str,
        conditions: Conditions,
        seed: u64,
    ) -> Result<Self> {
        Self::with(fabric, host, interface, conditions, seed, None)
    }

    /// As [`new`](Self::new), with something in the wire.
    ///
    /// # Errors
    /// As for `new`.
    pub fn with(
        fabric: &Fabric,
        host: &Netns,
        interface: &str,
        conditions: Conditions,
        seed: u64,
        middlebox: Option<Box<dyn Middlebox>>,
    ) -> Result<Self> {
        let port = fabric.port_name();
        let devices = [tap::open(host, interface)?, tap::open(fabric.netns(), &port)?];
        host.netlink().set_carrier(interface, false)?;
        host.netlink().set_up(interface)?;
        fabric.netns().netlink().set_up(&port)?;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let shared = Shared::new(conditions, Rng::from_seed(bytes))?;
        let forwarder = Forwarder { shared: shared.clone(), devices, middlebox };
        let thread = std::thread::spawn(|| forwarder.run());
        let (host, interface) = (host.clone(), interface.to_owned());
        Ok(Self { host, interface, fabric: fabric.clone(), port, shared, thread: Some(thread) })
    }

    /// The host's interface that the cable hangs from.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Plugs the cable into a segment: the host gets a carrier. When this
    /// returns, listeners in the host have been told.
    ///
    /// # Errors
    /// The system refuses.
    pub fn plug(&self, segment: &Segment) -> Result<()> {
        self.fabric.netns().netlink().set_bridge(&self.port, Some(segment.bridge()))?;
        self.shared.change(|state| state.plugged = true);
        self.host.netlink().set_carrier(&self.interface, true)
    }

    /// Pulls the plug: the host loses its carrier, and what is in flight is
    /// lost. When this returns, listeners in the host have been told.
    ///
    /// # Errors
    /// The system refuses.
    pub fn unplug(&self) -> Result<()> {
        self.shared.change(|state| {
            state.plugged = false;
            state.directions.iter_mut().for_each(direction::Direction::clear);
        });
        self.host.netlink().set_carrier(&self.interface, false)?;
        self.fabric.netns().netlink().set_bridge(&self.port, None)
    }

    /// A move: pulls the plug and plugs it in elsewhere at once.
    ///
    /// # Errors
    /// The system refuses.
    pub fn replug(&self, segment: &Segment) -> Result<()> {
        self.unplug()?;
        self.plug(segment)
    }

    /// The same conditions in both directions from now on. What is in flight
    /// arrives when it would have.
    pub fn set(&self, conditions: Conditions) {
        self.set_each(conditions, conditions);
    }

    /// Conditions from now on, from the host and to it.
    pub fn set_each(&self, outward: Conditions, inward: Conditions) {
        self.shared.change(|state| {
            state.directions[OUTWARD].conditions = outward;
            state.directions[INWARD].conditions = inward;
        });
    }

    /// What became of the frames from the host and to it.
    pub fn counters(&self) -> (Counters, Counters) {
        let state = self.shared.lock();
        (state.directions[OUTWARD].counters, state.directions[INWARD].counters)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.change(|state| state.ended = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({}:{})", self.host.name(), self.interface)
    }
}
