//! Networks of real kernels: namespaces, NAT, DHCP, link emulator, movement.
//!
//! Linux only; elsewhere this crate is empty, so that a workspace with it still
//! builds.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod clock;
pub mod dhcp;
mod error;
mod family;
pub mod host;
pub mod link;
pub mod nat;
#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells more than is asked")]
pub mod netlink;
mod netns;
pub mod process;
pub mod recorder;
pub mod sandbox;
mod segment;
mod tools;
pub mod topology;
pub mod traffic;

pub use clock::now;
pub use error::{Error, Result};
pub use family::Family;
pub use host::Host;
pub use link::{Conditions, Link};
pub use nat::{Nat, Router};
pub use netlink::Netlink;
pub use netns::Netns;
pub use process::Process;
pub use recorder::Recorder;
pub use segment::{Fabric, Segment};
pub use tools::Tools;
pub use topology::{Lab, Site};
