use async_trait::async_trait;

use super::PluginError;
use crate::address::{Prefix, Vips};
use crate::id::{NodeName, PublicKey};

/// Chooses the virtual addresses of a node.
///
/// The coordinator calls [`Vip::restore`] once with every lease of its registry
/// and stores each new lease there before it tells anybody, so an allocator
/// needs no storage of its own.
///
/// # For implementers
///
/// - No two live leases share an address, also under concurrent calls. A
///   mistake here gives two nodes one Path ID, and the coordinator then refuses
///   the second.
/// - An address inside [`Vip::ranges`] that is neither the network's own nor a
///   broadcast address.
/// - Cancel safe: an allocation whose future is dropped may stay reserved until
///   the next start, but is never handed out twice.
#[async_trait]
pub trait Vip: Send + Sync {
    /// The ranges addresses come from, at most one of each family; terminals
    /// route them into their tunnel interface.
    fn ranges(&self) -> Vec<Prefix>;

    /// Takes over leases that exist already, including those in quarantine.
    ///
    /// # Errors
    /// A lease that lies outside the ranges, as after a change of configuration.
    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError>;

    /// Addresses for a node that has none.
    ///
    /// # Errors
    /// The ranges are used up.
    async fn allocate(&self, name: &NodeName, key: &PublicKey) -> Result<Vips, PluginError>;

    /// Takes back addresses whose quarantine is over.
    async fn release(&self, vips: &Vips);
}
