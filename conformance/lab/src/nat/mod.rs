//! Routers, with or without network address translation.

mod emulator;
mod kernel;
mod router;

use std::fmt;

pub(crate) use kernel::block_udp;
pub(crate) use router::forward;
pub use router::{Router, Side};

use crate::family::Family;

/// How a router translates the addresses of those behind it. What comes from
/// outside passes only as an answer: from the address and port that was written
/// to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nat {
    /// As Linux masquerades: the port is kept where that is possible, so the
    /// same socket looks the same to everybody, and holes can be punched.
    Cone,
    /// As `Cone` for IPv4; IPv6 is routed as it is, behind the same filter (where
    /// the lab translates itself, for want of `nft`: without any). What lies behind
    /// such a router has global IPv6 addresses.
    ConeV4,
    /// A port drawn at random for each destination: what one of them sees is no
    /// use to another.
    Symmetric,
}

impl Nat {
    /// Whether it translates addresses of a family.
    pub fn translates(self, family: Family) -> bool {
        self != Self::ConeV4 || family == Family::V4
    }
}

/// Who translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The kernel, told by `nft`.
    Kernel,
    /// The lab itself, in the cable to the outside, where `nft` is missing.
    Emulator,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel NAT (nft)",
            Self::Emulator => "emulated NAT (nft is not installed)",
        })
    }
}
