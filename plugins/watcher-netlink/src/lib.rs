//! The watcher of Linux: addresses, links, routes and routing rules from
//! rtnetlink, known within about 0.1 ms of the change.
//!
//! Two sockets. The kernel tells its changes on one, which joins the groups of
//! links, addresses, routes, rules and next hops of both IP versions. They are
//! applied to a table of our own, keyed by interface *and* address, and what
//! changes the table (or any route) is worth a wake-up. The other asks: it
//! reads everything at the start and after lost events, and it asks for the
//! route to each destination. The kernel answers a request before the system
//! call returns, so nothing here waits but [`Watcher::next`].
//!
//! Nothing is debounced and nothing is believed for ever: when the kernel
//! reports lost events (ENOBUFS), `next` says [`Change::Resync`] and the next
//! snapshot is read anew.
//!
//! What it cannot see: routing rules on a firewall mark or a port that only the
//! real packets will carry, another network behind the same carrier (a Wi-Fi
//! roam that the driver hides), and the address selection policy table
//! (RFC 6724), whose changes the kernel does not announce. News of a lost
//! carrier the kernel itself may keep for up to a second, if it had other news
//! of carriers within the second before.
//!
//! An IPv6 source counts when the kernel also takes in what is sent to it, some
//! time after it has told of the address.
//!
//! Both sockets belong to the network namespace of the thread that calls
//! [`NetlinkWatcher::open`], wherever the watcher is used afterwards.
//!
//! Read `watcher.rs` first, then `table.rs` (what is known), `event.rs` (what
//! the kernel says), `groups.rs` and `query.rs` (the two sockets).
//!
//! [`Watcher::next`]: ntm_core::plugin::Watcher::next
//! [`Change::Resync`]: ntm_core::plugin::Change::Resync
#![forbid(unsafe_code)]

mod config;
#[cfg(target_os = "linux")]
mod early;
#[cfg(target_os = "linux")]
mod event;
#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
mod pending;
#[cfg(target_os = "linux")]
mod query;
#[cfg(target_os = "linux")]
mod table;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod watcher;

pub use config::Config;
#[cfg(not(target_os = "linux"))]
pub use unsupported::NetlinkWatcher;
#[cfg(target_os = "linux")]
pub use watcher::NetlinkWatcher;
