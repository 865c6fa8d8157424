//! One writer, many readers, whole values only.
//!
//! A [`Publisher`] cannot be cloned and publishes through `&mut self`: that a
//! value has one writer is checked by the compiler. A [`Reader`] takes the
//! value that is current when it looks and keeps it whole for as long as it
//! likes. Underneath is an `ArcSwap`; under `cfg(ntm_loom)` a mutex that the
//! model checker `loom` can see into takes its place, and the protocol built
//! on it is checked in every interleaving.

use std::fmt;
use std::sync::Arc;

#[cfg(not(ntm_loom))]
mod cell {
    use std::sync::Arc;

    use arc_swap::{ArcSwap, Guard};

    pub(super) struct Cell<T>(ArcSwap<T>);
    /// A value taken from a reader: dereferences to it.
    pub type Taken<T> = Guard<Arc<T>>;

    impl<T> Cell<T> {
        pub(super) fn new(value: Arc<T>) -> Self {
            Self(ArcSwap::new(value))
        }

        pub(super) fn load(&self) -> Taken<T> {
            self.0.load()
        }

        pub(super) fn store(&self, value: Arc<T>) {
            self.0.store(value);
        }
    }
}

#[cfg(ntm_loom)]
mod cell {
    use std::sync::{Arc, PoisonError};

    use loom::sync::Mutex;

    pub(super) struct Cell<T>(Mutex<Arc<T>>);
    /// A value taken from a reader: dereferences to it.
    pub type Taken<T> = Arc<T>;

    impl<T> Cell<T> {
        pub(super) fn new(value: Arc<T>) -> Self {
            Self(Mutex::new(value))
        }

        pub(super) fn load(&self) -> Taken<T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        pub(super) fn store(&self, value: Arc<T>) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }
    }
}

pub use cell::Taken;

/// The writing end.
pub struct Publisher<T> {
    cell: Arc<cell::Cell<T>>,
    current: Arc<T>,
}

/// A reading end; clones read the same value.
pub struct Reader<T>(Arc<cell::Cell<T>>);

impl<T> Publisher<T> {
    /// Publishes a first value.
    pub fn new(value: T) -> Self {
        let current = Arc::new(value);
        Self { cell: Arc::new(cell::Cell::new(current.clone())), current }
    }

    /// A reading end.
    pub fn reader(&self) -> Reader<T> {
        Reader(self.cell.clone())
    }

    /// The value that is published now.
    pub fn current(&self) -> &T {
        &self.current
    }

    /// Publishes another value: every reader that looks from now on sees it
    /// whole.
    pub fn publish(&mut self, value: T) {
        self.current = Arc::new(value);
        self.cell.store(self.current.clone());
    }
}

impl<T> Reader<T> {
    /// The current value, unchanged for as long as it is held.
    pub fn take(&self) -> Taken<T> {
        self.0.load()
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publisher").field(&self.current).finish()
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader(..)")
    }
}
