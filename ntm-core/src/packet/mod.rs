//! Inner packets: what applications send through a tunnel.

pub mod checksum;
mod coalesce;
mod ecn;
mod flow;
mod fragment;
mod ip;
#[cfg(test)]
mod sample;
mod segment;
mod too_big;
mod transport;

pub use coalesce::Coalescer;
pub use ecn::{Ecn, decapsulate, encapsulate, mark};
pub use flow::hash_flow;
pub(crate) use fragment::Fragments;
pub use ip::{BadPacket, Flow};
pub use segment::SuperPacket;
pub use too_big::too_big;
pub use transport::Protocol;
