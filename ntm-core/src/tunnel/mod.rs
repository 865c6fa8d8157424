//! The tunnel table: what a Path ID leads to, and the sealing and opening of
//! capsules with it.
//!
//! One writer owns the [`Table`] and is told by the terminal machine what to
//! do ([`TableEvent`]). Packet workers hold a [`TableReader`] and look at immutable
//! snapshots through it, so a packet sees all of a tunnel's old entry or all of its
//! new one, never a mixture (paper, section 3: the rewriting of
//! the table needs strict exclusive control). The rewriting of a move is one
//! pointer swap; no packet waits for it.
//!
//! Read in this order: [`publish`] (the exclusion), `keys`, `replay`,
//! `endpoint`, `entry`, `table`, `capsule`, `hold`, `carrier`, `batch`, `fair`.

mod batch;
mod capsule;
mod carrier;
mod endpoint;
mod entry;
mod fair;
mod hash;
mod hold;
mod keys;
#[cfg(all(test, ntm_loom))]
mod loom;
mod mirror;
pub mod publish;
mod replay;
mod strays;
mod table;

pub use batch::{Batch, addressed};
pub use capsule::{CAPSULE_OVERHEAD, OpenError, Opened, Opener, seal};
pub use carrier::{Carrier, Dropped, Dscp, Inbound, Outbound, Seen};
pub(crate) use endpoint::AMPLIFICATION;
pub use endpoint::{Endpoint, Meter, Pointing, Proof};
pub use entry::{State, Traffic, Tunnel};
pub use fair::{Fair, FlowPlace};
pub use hash::KeyedHash;
pub use hold::{Held, Hold};
pub use keys::{ReceiveKey, SendKey};
pub use mirror::Mirror;
pub use replay::{Replay, Window};
pub(crate) use strays::Strays;
pub use table::{Direction, Table, TableEvent, TableReader, Tunnels};
