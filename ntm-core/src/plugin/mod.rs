//! The six plugin kinds, one trait a file, each with an in-memory
//! implementation beside it for tests and simulation.
//!
//! Mechanism lives in the plugin, policy in the core: a watcher reports that
//! addresses changed, the terminal decides whether that is a move; a traversal
//! plugin names candidate paths, the core checks them. Whatever a plugin
//! answers wrongly costs at most a path: the tunnel goes on under the same
//! Path ID over another one.
//!
//! Traits that are not touched per packet are `async_trait`; packets cross the
//! boundary in batches through [`Lane`] alone.
//!
//! # What holds for every kind
//!
//! - Opening is the plugin's own constructor, with its own configuration. It may
//!   block, and fails with a [`PluginError`] that a person can act on: whose
//!   doing it is ([`Fault`]), what to do, and the key of the configuration that is
//!   to blame. Before it returns, everything is open; after an error, nothing is.
//! - The methods are called on the runtime of the node's control task, which may
//!   have one thread. Those that are not `async` return at once; the others may
//!   await and must not block, or registration, movement and keep-alives of the
//!   whole node wait with them. What has to block goes to a thread of its own.
//! - A node drops a future that it has waited for too long, so every method is
//!   cancel safe unless its trait says otherwise.
//! - Lengths are bytes, spans are [`Duration`](std::time::Duration)s, and numbers
//!   with another unit say it in their name.
//! - A panic in a plugin is a bug of the plugin. In the node's program it ends the
//!   task or thread that called.

mod error;
mod interface;
mod lane;
pub mod memory;
mod registry;
mod transport;
mod traversal;
mod vip;
mod watcher;

pub use error::{Fault, PluginError};
pub use interface::{Interface, InterfaceSettings, Offload};
pub use lane::{Addr, Lane, RxSlot, Segments, TxPacket};
pub use registry::{
    MemberRole, MemberRoles, NoRole, NodeRecord, Record, RecordKey, Registry, Write,
};
pub use transport::Transport;
pub use traversal::{Begin, Plan, PlanRequest, RelayOption, Traversal};
pub use vip::Vip;
pub use watcher::{Change, LocalAddress, LocalInterface, Route, Snapshot, Watcher};
