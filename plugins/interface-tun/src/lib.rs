//! Application packets through a TUN device: an interface of the system behind
//! which a program sits instead of a wire.
//!
//! Read [`Config`], then `tun` (the trait), `lane` (what the worker calls) and
//! the folder or file of the system: it opens the device, gives it addresses
//! and moves packets. Linux has all of it, super-packets with it (virtio-net header,
//! TSO, USO). On macOS packets pass one by one, and addresses are set by the system's
//! own `ifconfig` and `route`; it has never run there. Other systems have no such
//! device here.

#![cfg(any(target_os = "linux", target_os = "macos"))]
#![deny(unsafe_code)]

mod config;
#[cfg(any(target_os = "macos", test))]
mod ifconfig;
mod lane;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod settings;
mod tun;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

pub use crate::config::{Config, SuperPackets};
pub use crate::tun::Tun;
