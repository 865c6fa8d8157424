//! Datagrams straight in UDP.
//!
//! One wildcard, unconnected socket for each lane, for the life of the process:
//! the kernel chooses the source address anew at every send, so a node that
//! moves needs nothing here. A connected socket, or one bound to an address,
//! would go on sending the old source into the new network without an error.
//!
//! Sockets are opened by `socket2` and set up by `quinn-udp`: segmentation
//! offload (GSO) on the way out, coalescing (GRO) on the way in, ECN bits and the
//! local address both ways, no fragmentation of outer packets. Linux is given a
//! whole batch in one system call; elsewhere `quinn-udp` sends one by one.
//!
//! Read [`Config`], then `udp` (opening and closing), `lane` (what the worker
//! calls), `message` and `send` (a batch on its way out), `recv` (errors that are
//! none), `bound` (one tuned socket); `os` holds what differs between systems.

#![deny(unsafe_code)]

mod bound;
mod config;
mod error;
mod lane;
mod message;
mod os;
mod recv;
mod send;
mod udp;

pub use config::Config;
pub use udp::Udp;
