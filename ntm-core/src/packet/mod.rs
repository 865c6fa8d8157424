//! Inner packets: what applications send through a tunnel.

mod checksum;
mod ecn;
mod ip;
mod too_big;

pub use ecn::{Ecn, decapsulate, encapsulate, mark};
pub use ip::{BadPacket, Flow};
pub use too_big::too_big;
