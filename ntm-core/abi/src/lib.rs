//! What crosses the plugin boundary: plain C data.
//!
//! The two packet types are shared by the Rust traits of `ntm-core` and by
//! shared objects, so a batch of packets goes from one side to the other
//! without a copy or a conversion. Nothing here allocates, nothing depends on
//! the Rust compiler's choice of layout, and every size is asserted.

#![no_std]

mod addr;
mod packet;

pub use addr::Addr;
pub use packet::{RxSlot, Segments, TxPacket};
