//! What the kernel tells about links, addresses and routes, and when.

mod history;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ntm_core::Time;

pub use history::{Change, Event};

use crate::error::{Error, Result};
use crate::family::Family;
use crate::netlink::{Listener, Stop};
use crate::netns::Netns;
use history::History;

/// Writes down every change of links, addresses and routes in a namespace with
/// the moment it was heard of, some 50 µs after it happened.
pub struct Recorder {
    name: String,
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// What a host's kernel told of a move, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveSeen {
    /// The carrier was lost.
    pub carrier_down: Time,
    /// It was there again.
    pub carrier_up: Time,
    /// There was a usable source address with a default route.
    pub usable_source: Time,
}

#[derive(Default)]
struct Shared {
    history: Mutex<History>,
    grown: Condvar,
}

impl Recorder {
    /// Starts to record. Changes from the moment this returns are seen.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn start(netns: &Netns) -> Result<Self> {
        let listener = Listener::open(netns)?;
        let shared = Arc::<Shared>::default();
        // What was there before, of which no event will tell.
        shared.lock().begin(netns.netlink())?;
        let stop = listener.stop();
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                listener.run(|at, message| {
                    shared.lock().hear(at, message);
                    shared.grown.notify_all();
                });
            }
        });
        Ok(Self { name: netns.name().to_owned(), shared, stop, thread: Some(thread) })
    }

    /// All changes so far, in the order they were heard of.
    pub fn events(&self) -> Vec<Event> {
        self.shared.lock().events().to_vec()
    }

    /// When an interface first lost its carrier at or after this moment.
    pub fn carrier_down_at(&self, interface: &str, after: Time) -> Option<Time> {
        self.shared.lock().carrier_at(interface, false, after)
    }

    /// The first moment at or after this one at which the host could send to
    /// anywhere: an interface with a carrier, on it a usable (not tentative)
    /// address that is valid beyond its link, and a default route by it, all of
    /// one family. Right after a plug was pulled the old ones still count: see
    /// [`wait_for_move`](Self::wait_for_move).
    pub fn usable_source_at(&self, family: Family, after: Time) -> Option<Time> {
        self.shared.lock().usable_source_at(None, family.anywhere(), after)
    }

    /// Waits until [`usable_source_at`](Self::usable_source_at) has an answer.
    ///
    /// # Errors
    /// It had none in time.
    pub fn wait_for_usable_source(
        &self,
        family: Family,
        after: Time,
        limit: Duration,
    ) -> Result<Time> {
        let what = || format!("a usable {family} source address in {}", self.name);
        self.wait(what, limit, |history| history.usable_source_at(None, family.anywhere(), after))
    }

    /// Waits until an interface has got a carrier at or after this moment.
    ///
    /// # Errors
    /// It did not in time.
    pub fn wait_for_carrier(&self, interface: &str, after: Time, limit: Duration) -> Result<Time> {
        let what = || format!("a carrier on {interface} in {}", self.name);
        self.wait(what, limit, |history| history.carrier_at(interface, true, after))
    }

    /// Waits until the kernel has told the whole of a move that began at or after
    /// this moment: the carrier lost, the carrier back, and a usable source
    /// address with a route to `toward` ([anywhere](Family::anywhere): a default
    /// route), all on one interface.
    ///
    /// # Errors
    /// It had not in time.
    pub fn wait_for_move(
        &self,
        interface: &str,
        toward: IpAddr,
        left: Time,
        limit: Duration,
    ) -> Result<MoveSeen> {
        let what =
            || format!("a usable source address for {toward} on {interface} in {}", self.name);
        self.wait(what, limit, |history| {
            let carrier_down = history.carrier_at(interface, false, left)?;
            let carrier_up = history.carrier_at(interface, true, carrier_down)?;
            let usable_source = history.usable_source_at(Some(interface), toward, carrier_up)?;
            Some(MoveSeen { carrier_down, carrier_up, usable_source })
        })
    }

    fn wait<T>(
        &self,
        what: impl FnOnce() -> String,
        limit: Duration,
        get: impl Fn(&History) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut history = self.shared.lock();
        loop {
            if let Some(found) = get(&history) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout { what: what(), limit });
            }
            let grown = self.shared.grown.wait_timeout(history, left);
            history = grown.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.name).finish()
    }
}
