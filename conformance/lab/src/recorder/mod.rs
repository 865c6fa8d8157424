//! What the kernel tells about links, addresses and routes, and when.

mod history;
mod listen;

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ntm_core::Time;

pub use history::{Change, Event};

use crate::error::{Error, Result};
use crate::family::Family;
use crate::netns::Netns;
use history::History;
use listen::Listener;

/// Writes down every change of links, addresses and routes in a namespace with
/// the moment it was heard of, some 50 µs after it happened.
pub struct Recorder {
    name: String,
    shared: Arc<Shared>,
    stop: Arc<listen::Stop>,
    thread: Option<JoinHandle<()>>,
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

    /// When an interface first got a carrier at or after this moment.
    pub fn carrier_up_at(&self, interface: &str, after: Time) -> Option<Time> {
        self.shared.lock().carrier_at(interface, true, after)
    }

    /// When an interface first lost its carrier at or after this moment.
    pub fn carrier_down_at(&self, interface: &str, after: Time) -> Option<Time> {
        self.shared.lock().carrier_at(interface, false, after)
    }

    /// The first moment at or after this one at which the host could send to
    /// anywhere: an interface with a carrier, on it a usable (not tentative)
    /// address that is valid beyond its link, and a default route by it, all of
    /// one family.
    pub fn usable_source_at(&self, family: Family, after: Time) -> Option<Time> {
        self.shared.lock().usable_source_at(family, after)
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
        self.wait(what, limit, |history| history.usable_source_at(family, after))
    }

    /// Waits until an interface has got a carrier at or after this moment.
    ///
    /// # Errors
    /// It did not in time.
    pub fn wait_for_carrier(&self, interface: &str, after: Time, limit: Duration) -> Result<Time> {
        let what = || format!("a carrier on {interface} in {}", self.name);
        self.wait(what, limit, |history| history.carrier_at(interface, true, after))
    }

    fn wait(
        &self,
        what: impl FnOnce() -> String,
        limit: Duration,
        get: impl Fn(&History) -> Option<Time>,
    ) -> Result<Time> {
        let deadline = Instant::now() + limit;
        let mut history = self.shared.lock();
        loop {
            if let Some(time) = get(&history) {
                return Ok(time);
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
