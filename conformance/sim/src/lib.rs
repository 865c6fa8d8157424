//! Whole nodes in virtual time: the real machines of `ntm-core`, with the real
//! tunnel tables, on a network that exists only here.
//!
//! ```text
//! World ─┬─ Host ── Terminal · Coordinator · Relay ── Table ── Carrier
//!        ├─ Network ── links (delay, jitter, loss, duplication) ── Nat (RFC 4787)
//!        └─ events in the order of their time
//! ```
//!
//! A run follows from its seed. A day of protocol time takes about a second.
//!
//! Start with [`World`]: add hosts, [`World::run_for`], move them about, and look
//! at what applications received.

#![forbid(unsafe_code)]

mod host;
mod nat;
mod net;
mod packet;
mod world;

pub use host::{Attachment, Host, HostId, Received, Roles};
pub use nat::{Filtering, Mapping, Nat, NatId};
pub use net::{Link, Network, Observed};
pub use packet::{inner_packet, payload_of};
pub use world::{Decide, Setup, World};
