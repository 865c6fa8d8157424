//! The watcher of last resort: it asks the system every 250 ms and compares.
//! It works wherever there is `getifaddrs`, and sees addresses, links and
//! routes alike; what comes and goes between two looks, it never sees.
//!
//! One look lists the interfaces and asks for the routes that were last asked
//! for, besides the default route of each IP version. It costs some 50 µs.
//!
//! A route is asked for by connecting a UDP socket, which sends nothing: the
//! system picks the source address then. It does not name the interface, which
//! is taken to be the one that has this address; if several have it, the first
//! that is running.
//!
//! What the system does not tell here:
//! - [`generation`] is always 0: another network behind the same carrier shows
//!   only if a look fell into the time without carrier;
//! - on Linux an IPv4 address is never seen as deprecated; elsewhere every
//!   address is said to be usable and preferred, and every route to take the
//!   1,500 bytes of Ethernet;
//! - on Linux an IPv4 address with a label is found only if the label begins
//!   with the interface's name and a colon, as it should.
//!
//! `getifaddrs` speaks of the network namespace of the thread that polls, so a
//! program that has threads in several needs one runtime in each.
//!
//! Read `watcher.rs` first, then `system.rs` (interfaces) and `route.rs`.
//!
//! [`generation`]: ntm_core::plugin::LocalInterface::generation
#![forbid(unsafe_code)]

mod config;
mod flags;
mod route;
mod system;
mod watcher;

pub use config::Config;
pub use watcher::PollWatcher;
