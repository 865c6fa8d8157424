//! What crosses the plugin boundary: plain C data.
//!
//! The two packet types are shared by the Rust traits of `ntm-core` and by
//! shared objects, so a batch of packets goes from one side to the other
//! without a copy or a conversion. Nothing here allocates, nothing depends on
//! the Rust compiler's choice of layout, and every size is asserted.
//!
//! `include/ntm_plugin.h` says the same for C, with the rules that both sides
//! keep; `layout.txt` lists every field with its place and size, and tests hold
//! both to it. Inside a major version tables grow at their end alone, a field
//! never changes its place, and what is missing is null.
//!
//! Read `header` (what is read before anything is loaded), `table` (entry, host,
//! components), then a file for each kind of plugin; `value` has what several of
//! them hand over.

#![no_std]

mod addr;
mod header;
mod interface;
mod packet;
mod registry;
mod table;
mod transport;
mod traversal;
mod value;
mod vip;
mod watcher;

#[cfg(test)]
mod layout;

pub use addr::Addr;
pub use header::{
    ABI_MAJOR, ABI_MINOR, BIG_ENDIAN, HEADER_SIZE, HEADER_SYMBOL, Header, LITTLE_ENDIAN, MAGIC,
    kind, text,
};
pub use interface::{InterfaceTable, Settings, offload};
pub use packet::{RxSlot, Segments, TxPacket};
pub use registry::{RegistryTable, StoredWrite, write};
pub use table::{
    Common, Component, Create, ENTRY_SYMBOL, Entry, Host, Plugin, Put, PutText, level,
};
pub use transport::{Lanes, TransportTable};
pub use traversal::{
    Candidate, Location, Observed, Plan, PlanRequest, PlanSink, Relay, TraversalTable, begin,
};
pub use value::{Error, Handle, Prefix, Text, Vips, fault, lane, status};
pub use vip::VipTable;
pub use watcher::{LocalAddress, LocalInterface, PutInterface, Route, WatcherTable, change, flag};
