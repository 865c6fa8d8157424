//! The watcher over the crate if-watch: addresses that come and go, on Linux
//! and macOS.
//!
//! if-watch only wakes us. What is true then is read from the system, since the
//! set that if-watch keeps has no interfaces in it: of an address that two
//! interfaces have and one loses, it says that it is gone, and on a
//! point-to-point link it names the other end.
//!
//! A move without a change of addresses does not wake us, and the terminal
//! only notices once a path is silent. On Linux, version 3.2.2 says nothing of
//! - a default route that moves to another interface, the commonest move of a
//!   laptop or phone, nor of a changed preferred source, metric or policy rule;
//! - a carrier or link that is lost or found, as far as no IPv6 address goes
//!   with it: IPv4 addresses stay;
//! - the same address on a second interface, when it comes or when it goes from
//!   that one;
//! - an IPv6 address that passes or fails duplicate address detection, or is
//!   deprecated. So every address is said to be usable and preferred: to call
//!   one unusable and never to take it back would be worse;
//! - events that were lost because too many came at once.
//!
//! On macOS (from reading its source) it does not watch the primary service,
//! link states and a Wi-Fi that changes under the same address: there a routing
//! socket wakes us too (`macos.rs`). On Android it looks every 10 s. Choose `netlink`
//! on Linux, and elsewhere `poll` where moves without a change of addresses matter.
//!
//! After an error its stream gives the same error for ever. We take the first
//! as the end.
//!
//! Routes are asked for by connecting a UDP socket, which sends nothing. The
//! system does not name the interface, which is taken to be the first running
//! one that has the source address: the wrong one where packets leave by another
//! interface than the one that their source belongs to. Elsewhere than on Linux every route is
//! said to take the 1,500 bytes of Ethernet.
//!
//! Read `watcher.rs` first, then `system.rs` (interfaces) and `route.rs`; the last two
//! are the same as in `watcher-poll`.
#![forbid(unsafe_code)]

mod config;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(any(test, target_os = "macos"))]
mod message;
mod route;
mod system;
mod watcher;

pub use config::Config;
pub use watcher::IfwatchWatcher;
