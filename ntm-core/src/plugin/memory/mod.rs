//! Each plugin kind in memory: real implementations without an operating
//! system behind them, for tests, simulation and as the shortest examples of
//! their traits.

mod interface;
mod queue;
mod registry;
mod transport;
mod traversal;
mod vip;
mod watcher;

pub use interface::{MemoryApplication, MemoryInterface};
pub use registry::MemoryRegistry;
pub use transport::{MemoryNet, MemoryTransport};
pub use traversal::Direct;
pub use vip::Sequential;
pub use watcher::{MemoryMachine, MemoryWatcher};
