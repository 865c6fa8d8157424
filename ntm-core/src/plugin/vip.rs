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
/// - No two live leases share an address, also under concurrent calls. The
///   coordinator notices and refuses the second node, which then has no addresses
///   at all.
/// - An address inside [`Vip::ranges`] that is neither the network's own nor a
///   broadcast address. Others are not routed into the tunnel interface: nobody
///   reaches that node.
/// - The async methods may await but must not block; an allocation that takes
///   longer than 2 s comes too late, and the node is refused until it asks again.
/// - Cancel safe: an allocation whose future is dropped may stay reserved until
///   the next start, but is never handed out twice.
#[async_trait]
pub trait Vip: Send + Sync {
    /// The ranges addresses come from, at most one of each family; terminals
    /// route them into their tunnel interface. Always the same, also before
    /// [`Vip::restore`]. A terminal whose real network overlaps one ends, and says
    /// why.
    fn ranges(&self) -> Vec<Prefix>;

    /// Takes over leases that exist already, including those in quarantine: all
    /// of them, or none.
    ///
    /// # Errors
    /// A lease that lies outside the ranges, as after a change of configuration.
    /// The coordinator admits nobody then.
    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError>;

    /// Addresses for a node that has none, of every family that has a range.
    ///
    /// # Errors
    /// The ranges are used up. The coordinator refuses the node, logs the reason,
    /// and asks again when the node does.
    async fn allocate(&self, name: &NodeName, key: &PublicKey) -> Result<Vips, PluginError>;

    /// Takes back addresses whose quarantine is over, or whose lease could not be
    /// stored. Addresses that are not taken are passed over.
    async fn release(&self, vips: &Vips);
}
