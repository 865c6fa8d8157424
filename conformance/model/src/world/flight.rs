use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::wire::{Bind, Header, Kind};

use crate::host::Who;

/// A datagram under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Flight {
    pub(super) at: Time,
    pub(super) sender: Who,
    /// Of those that its sender has sent.
    pub(super) number: u32,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) name: &'static str,
    /// Its sender had received something from its destination.
    pub(super) answers: bool,
    pub(super) bytes: Arc<[u8]>,
}

impl std::fmt::Display for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.name, self.from.ip(), self.to.ip())
    }
}

/// From a host to the middle of the network. No two hosts are equally far, so
/// that nothing arrives in the same instant by accident.
pub(super) fn delay(who: Who) -> Duration {
    Duration::from_micros(match who {
        Who::Mn => 4_000,
        Who::Cn => 5_100,
        Who::Dc => 1_030,
        Who::Rs => 1_270,
    })
}

/// The low bits of the epoch that a datagram states.
pub(super) fn epoch_in(datagram: &[u8]) -> Option<(Kind, u16)> {
    let kind = Kind::of(datagram).ok()?;
    if kind == Kind::Bind {
        return Some((kind, Bind::parse(datagram).ok()?.epoch.low()));
    }
    let header = Header::parse(datagram).ok()?;
    Some((kind, header.epoch_low()))
}
