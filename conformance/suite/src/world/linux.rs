use std::sync::atomic::{AtomicU32, Ordering};

use ntm_lab::{Netlink, Netns, sandbox};

use crate::outcome::Stop;

/// A network namespace of the check's own.
#[derive(Debug)]
pub struct World(Netns);

static MADE: AtomicU32 = AtomicU32::new(0);

pub(crate) fn is_inside() -> bool {
    sandbox::is_inside()
}

impl World {
    /// An empty one; only inside a sandbox of the lab.
    pub(crate) fn new() -> Result<Self, String> {
        if !is_inside() {
            return Err("it takes a network namespace, and this program runs in none".into());
        }
        let name = format!("check{}", MADE.fetch_add(1, Ordering::Relaxed));
        Netns::new(&name).map(Self).map_err(|error| error.to_string())
    }

    /// Runs a closure in it, on a thread made for that.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        self.0.run(inside)
    }

    /// Changes interfaces, addresses and routes; may be called inside a runtime.
    ///
    /// # Errors
    /// The system refuses: the check cannot be tried here.
    pub fn change<T: Send>(
        &self,
        change: impl FnOnce(&Netlink) -> ntm_lab::Result<T> + Send,
    ) -> Result<T, Stop> {
        let changed = self.0.run(|| change(self.0.netlink()));
        changed.map_err(|error| Stop::not_tried(error.to_string()))
    }

    /// Its namespace, to put another beside it.
    pub fn netns(&self) -> &Netns {
        &self.0
    }
}
