//! Whole nodes in virtual time: the real machines of `ntm-core`, with the real
//! tunnel tables, on a network that exists only here.
//!
//! ```text
//! World ─┬─ Host ── Terminal · Coordinator · Relay ── Table ── Carrier
//!        ├─ Network ── Link (delay, loss in bursts, rate, …) ── Nat (RFC 4787, NAT64)
//!        └─ events in the order of their time
//! ```
//!
//! A run follows from its seed. A day of protocol time takes about a second.
//!
//! Start with [`World`]: add hosts, [`World::run_for`], move them about, and look
//! at what applications received.

#![forbid(unsafe_code)]

pub mod explore;
mod host;
mod link;
mod nat;
mod net;
mod packet;
mod plugged;
pub mod scale;
mod schedule;
mod uplink;
mod vips;
mod world;

pub use host::{Host, HostId, QUIC_PORT, Received, Roles, Signalled};
pub use link::{Bursts, Link};
pub use nat::{Filtering, Mapping, Nat, NatId, embed};
pub use net::{Network, Observed};
pub use packet::{inner_packet, payload_of};
pub use plugged::{Answers, Road};
pub use uplink::Attachment;
pub use world::{Decide, Setup, World};
