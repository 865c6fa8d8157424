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
pub use interface::{Interface, InterfaceSettings};
pub use lane::{Addr, Lane, RxSlot, Segments, TxPacket};
pub use registry::{
    MemberRole, MemberRoles, NoRole, NodeRecord, Record, RecordKey, Registry, Write,
};
pub use transport::Transport;
pub use traversal::{Begin, Plan, PlanRequest, RelayOption, Traversal};
pub use vip::Vip;
pub use watcher::{Change, LocalAddress, LocalInterface, Route, Snapshot, Watcher};
