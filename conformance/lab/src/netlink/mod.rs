//! Interfaces, addresses and routes of one network namespace, without calling
//! `ip`.

mod address;
mod link;
mod listen;
mod neighbour;
mod route;

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Runtime};

pub use address::Address;
pub use link::Interface;
pub(crate) use listen::{Listener, Stop};
pub use route::Route;

use crate::error::{Doing, Error, Result};

/// A handle on the interfaces, addresses and routes of one network namespace.
///
/// All calls block, for some 50 µs each, and may come from any thread that is
/// not itself inside an async runtime. Interfaces are called by their names.
pub struct Netlink {
    handle: rtnetlink::Handle,
    /// Drives the connection, only while a call waits for its answer.
    runtime: Mutex<Runtime>,
}

impl Netlink {
    /// For the namespace that the calling thread is in now, and for good.
    ///
    /// # Errors
    /// The kernel gives no netlink socket.
    pub fn here() -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .build()
            .doing(|| "start a runtime for netlink".to_owned())?;
        let inside = runtime.enter();
        let (connection, handle, _) =
            rtnetlink::new_connection().doing(|| "open a netlink socket".to_owned())?;
        drop(inside);
        runtime.spawn(connection);
        Ok(Self { handle, runtime: Mutex::new(runtime) })
    }

    /// Makes a request, of which the infinitive `what` says what it does, and
    /// waits for the answer.
    fn ask<T, F: Future<Output = Result<T, rtnetlink::Error>>>(
        &self,
        what: impl FnOnce() -> String,
        request: impl FnOnce(&rtnetlink::Handle) -> F,
    ) -> Result<T> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only now: some requests are on their way before anybody waits, and
        // the kernel refuses a second list while the first is being read.
        runtime.block_on(request(&self.handle)).map_err(|error| Error::netlink(what(), error))
    }
}

impl fmt::Debug for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}
