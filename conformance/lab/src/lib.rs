//! Networks of real kernels: namespaces, NAT, DHCP, link emulator, movement.
//!
//! A program calls [`sandbox::enter`] first thing in `main` and is then root in
//! a world of its own, with or without being root outside, in which it builds a
//! small Internet and moves about:
//!
//! | what | where |
//! | --- | --- |
//! | sites, hosts and moves: begin here | [`Lab`], [`Site`], [`Host`] |
//! | routers that translate, and that forget | [`nat`] |
//! | addresses from real DHCP, where it is installed | [`dhcp`] |
//! | cables with delay, loss and a plug to pull | [`link`] |
//! | what they are plugged into | [`Fabric`], [`Segment`] |
//! | a machine each | [`Netns`], with its [`netlink`] |
//! | programs in it, and what they say | [`Process`] |
//! | what its kernel tells, and when | [`recorder`] |
//! | downloads, probes, round trips | [`traffic`] |
//! | whole nodes, and what is measured on them | [`scenario`] |
//!
//! All moments are of [`now`]'s clock. All calls block, and none may come from
//! inside an async runtime. Nothing needs a program of somebody else's; those in
//! [`Tools`] make a network more real where they are installed, and what took
//! their place can be asked for.
//!
//! Linux only; elsewhere this crate is empty, so that a workspace with it still
//! builds. It needs `/dev/net/tun` and either root or user namespaces.
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
pub mod scenario;
mod segment;
mod tools;
pub mod topology;
pub mod traffic;
mod trials;

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
pub use topology::{Lab, Site, Wired};
