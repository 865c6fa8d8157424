use std::net::IpAddr;
use std::sync::Arc;

use ntm_core::address::{Prefix, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{PluginError, Vip};
use serde_json::Value;

use crate::case::Case;
use crate::outcome::Stop;
use crate::wait::within;

/// One instance of the plugin under test.
pub(super) struct Allocator {
    pub(super) config: Value,
    pub(super) vip: Arc<dyn Vip>,
    pub(super) ranges: Vec<Prefix>,
}

/// An instance for each configuration that is to be tried, as a coordinator starts it
/// for the first time.
pub(super) async fn all(case: &Case) -> Result<Vec<Allocator>, Stop> {
    let mut all = Vec::new();
    for config in case.configs() {
        all.push(Allocator::start(case, &config, &[]).await?);
    }
    Ok(all)
}

/// Those whose ranges can be used up within a moment.
pub(super) async fn small(case: &Case) -> Result<Vec<Allocator>, Stop> {
    let mut small = all(case).await?;
    small.retain(Allocator::is_small);
    if small.is_empty() {
        return Err(Stop::not_tried(format!(
            "no configuration has ranges of {SMALL} hosts or fewer; add one to the claims"
        )));
    }
    Ok(small)
}

/// So many hosts are soon used up.
const SMALL: u128 = 1022;

impl Allocator {
    /// An instance that has not been told of leases yet.
    pub(super) fn unrestored(case: &Case, config: &Value) -> Result<Self, Stop> {
        let vip = case.vip_with(config)?;
        Ok(Self { config: config.clone(), ranges: vip.ranges(), vip })
    }

    /// An instance as a coordinator with these leases starts it.
    pub(super) async fn start(case: &Case, config: &Value, leases: &[Vips]) -> Result<Self, Stop> {
        let allocator = Self::unrestored(case, config)?;
        allocator.restore(leases).await?.map_err(|error| {
            let count = leases.len();
            Stop::broken(format!("{config}: {count} leases of its own are not restored: {error}"))
        })?;
        Ok(allocator)
    }

    /// Another instance of the same configuration, with these leases: a restart.
    pub(super) async fn again(&self, case: &Case, leases: &[Vips]) -> Result<Self, Stop> {
        Self::start(case, &self.config, leases).await
    }

    pub(super) async fn restore(&self, leases: &[Vips]) -> Result<Result<(), PluginError>, Stop> {
        within("an answer to `restore`", self.vip.restore(leases)).await
    }

    /// Asks for the addresses of the node with this number.
    pub(super) async fn ask(&self, number: u64) -> Result<Result<Vips, PluginError>, Stop> {
        let (name, key) = (name(number), key(number));
        within("an answer to `allocate`", self.vip.allocate(&name, &key)).await
    }

    /// Addresses for so many nodes, where there is room for them.
    pub(super) async fn several(&self, count: u64) -> Result<Vec<Vips>, Stop> {
        let mut leases = Vec::new();
        for number in 0..count {
            leases.push(self.ask(number).await?.map_err(|error| {
                let config = &self.config;
                Stop::broken(format!("{config}: with {number} leases, of many: {error}"))
            })?);
        }
        Ok(leases)
    }

    /// Leases until it gives no more; more than there can be are given no further.
    pub(super) async fn until_used_up(&self) -> Result<Vec<Vips>, Stop> {
        let mut leases = Vec::new();
        for number in 0..=self.capacity() as u64 {
            match self.ask(number).await? {
                Ok(lease) => leases.push(lease),
                Err(_used_up) => break,
            }
        }
        Ok(leases)
    }

    pub(super) async fn release(&self, vips: &Vips) -> Result<(), Stop> {
        within("an answer to `release`", self.vip.release(vips)).await
    }

    /// How many nodes the ranges have room for.
    pub(super) fn capacity(&self) -> u128 {
        self.ranges.iter().map(hosts).min().unwrap_or(0)
    }

    /// Whether all of it can be handed out within a moment.
    pub(super) fn is_small(&self) -> bool {
        self.capacity() <= SMALL
    }

    /// So many leases, or fewer where there is no room for them.
    pub(super) fn at_most(&self, count: u64) -> u64 {
        u64::try_from(self.capacity()).map_or(count, |capacity| capacity.min(count))
    }

    /// Whether it is neither the first nor the last address of a range.
    pub(super) fn is_host(&self, ip: IpAddr) -> bool {
        let number = match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => ip.into(),
        };
        self.ranges.iter().filter(|range| range.contains(ip)).any(|range| {
            let ones = 1_u128.checked_shl(host_bits(range)).unwrap_or(0).wrapping_sub(1);
            number & ones != 0 && number & ones != ones
        })
    }
}

/// A node that has no addresses.
pub(super) fn name(number: u64) -> NodeName {
    #[expect(clippy::unwrap_used, reason = "it is a name for any number")]
    format!("node{number}.example").parse().unwrap()
}

/// Its key.
pub(super) fn key(number: u64) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

/// Broken where an address is in two leases.
pub(super) fn all_apart(leases: &[Vips], what: impl Fn() -> String) -> Result<(), Stop> {
    let mut seen = std::collections::BTreeSet::new();
    for ip in leases.iter().flat_map(Vips::iter) {
        crate::ensure!(seen.insert(ip), "{}: {ip} is in two of {} leases", what(), leases.len());
    }
    Ok(())
}

fn host_bits(range: &Prefix) -> u32 {
    (if range.base().is_ipv4() { 32 } else { 128 }) - u32::from(range.length())
}

/// The addresses of a range that hosts may have.
fn hosts(range: &Prefix) -> u128 {
    1_u128.checked_shl(host_bits(range)).unwrap_or(u128::MAX).saturating_sub(2)
}
