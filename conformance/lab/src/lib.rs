//! Networks of real kernels: namespaces, NAT, DHCP, link emulator, movement.
//!
//! Linux only; elsewhere this crate is empty, so that a workspace with it still
//! builds.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod clock;
mod error;
pub mod netlink;
mod netns;
pub mod sandbox;

pub use clock::now;
pub use error::{Error, Result};
pub use netlink::Netlink;
pub use netns::Netns;
