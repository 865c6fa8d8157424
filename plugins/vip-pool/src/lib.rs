//! Virtual addresses from configured ranges.
//!
//! A node gets a *host number* that no other node has, and with it one address
//! of each configured range: number 258 in `198.18.0.0/16` and
//! `fd12:3456:789a::/48` is `198.18.1.2` and `fd12:3456:789a::102`. The number 0
//! (the network's own address, in IPv6 the anycast address of its routers) and
//! the last one (broadcast, all ones) are never handed out; number 1 is, since a
//! tunnel has no gateway. Where two ranges differ in size, the smaller one says
//! how many nodes there can be.
//!
//! Numbers go up and start again at the bottom after the top, so that a number
//! that was given back rests for as long as possible.
//!
//! To read on: [`Pool`], then `numbers` (which are taken), `range` (addresses
//! and numbers).
#![forbid(unsafe_code)]

mod numbers;
mod range;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ntm_core::address::{Prefix, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Fault, PluginError, Vip};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::numbers::Numbers;
use crate::range::Range;

/// What `[vip.config]` says. Without any range: `198.18.0.0/16` (RFC 2544,
/// which no host on the Internet has).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The range of IPv4 addresses, at least a `/30`.
    #[schemars(with = "Option<String>")]
    pub ipv4: Option<Prefix>,
    /// The range of IPv6 addresses, at least a `/126`; a range of one's own
    /// (RFC 4193) is `fd`, ten random digits and `::/48`.
    #[schemars(with = "Option<String>")]
    pub ipv6: Option<Prefix>,
}

/// An allocator over at most one range of each family.
#[derive(Debug)]
pub struct Pool {
    v4: Option<Range>,
    v6: Option<Range>,
    /// The highest number that every range has.
    last: u128,
    taken: Mutex<Numbers>,
}

impl Pool {
    /// An allocator that has handed out nothing yet.
    ///
    /// # Errors
    /// `Config`: a range is of the wrong family, too small, or not one that
    /// hosts have addresses of; the error names its key.
    pub fn new(config: Config) -> Result<Self, PluginError> {
        let ipv4 = match config {
            Config { ipv4: None, ipv6: None } => Prefix::new([198, 18, 0, 0].into(), 16),
            Config { ipv4, .. } => ipv4,
        };
        let v4 = ipv4.map(Range::v4).transpose()?;
        let v6 = config.ipv6.map(Range::v6).transpose()?;
        let last = [&v4, &v6].into_iter().flatten().map(Range::last).min().unwrap_or(0);
        Ok(Self { v4, v6, last, taken: Mutex::default() })
    }

    /// Marks leases as taken: all of them, or none if one is refused.
    ///
    /// # Errors
    /// `Config`: a lease is not an address that the ranges have.
    pub fn keep(&self, leases: &[Vips]) -> Result<(), PluginError> {
        let numbers = leases.iter().map(|lease| self.numbers(lease));
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        self.taken().restore(&numbers);
        Ok(())
    }

    /// Addresses that nobody has, without waiting.
    ///
    /// # Errors
    /// `Busy`: every number is taken.
    pub fn take(&self) -> Result<Vips, PluginError> {
        let mut taken = self.taken();
        let number = taken.next_free(self.last).ok_or_else(|| self.used_up())?;
        taken.take(self.v4.map(|_| number), self.v6.map(|_| number));
        Ok(Vips {
            v4: self.v4.and_then(|range| range.v4_address(number)),
            v6: self.v6.and_then(|range| range.v6_address(number)),
        })
    }

    /// Marks addresses as free; those that no range has are passed over.
    pub fn give_back(&self, vips: &Vips) {
        let v4 = vips.v4.and_then(|ip| self.v4?.number(ip.into()));
        let v6 = vips.v6.and_then(|ip| self.v6?.number(ip.into()));
        self.taken().free(v4, v6);
    }

    fn taken(&self) -> MutexGuard<'_, Numbers> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self, lease: &Vips) -> Result<(Option<u128>, Option<u128>), PluginError> {
        let v4 = lease.v4.map(|ip| number(ip.into(), self.v4, "ipv4")).transpose()?;
        let v6 = lease.v6.map(|ip| number(ip.into(), self.v6, "ipv6")).transpose()?;
        Ok((v4, v6))
    }

    fn used_up(&self) -> PluginError {
        let smallest = [(self.v4, "ipv4"), (self.v6, "ipv6")]
            .into_iter()
            .filter_map(|(range, key)| range.map(|range| (range, key)))
            .min_by_key(|(range, _)| range.last());
        let (prefix, key) = match smallest {
            Some((range, key)) => (range.prefix().to_string(), key),
            None => ("the ranges".into(), "ipv4"),
        };
        let message = format!("all {} addresses of {prefix} are taken", self.last);
        PluginError::new(Fault::Busy, message, "use a larger range, or remove nodes").at(key)
    }
}

/// The lease's number in the range that it has to be in.
fn number(ip: IpAddr, range: Option<Range>, key: &str) -> Result<u128, PluginError> {
    range.and_then(|range| range.number(ip)).ok_or_else(|| {
        let message = match range {
            Some(range) => {
                format!("a node has {ip}, which is no host's address in {}", range.prefix())
            }
            None => format!("a node has {ip}, and no range of that family is configured"),
        };
        let remedy = "bring the range back, or remove the node so that it gets a new address";
        PluginError::new(Fault::Config, message, remedy).at(key)
    })
}

#[async_trait]
impl Vip for Pool {
    fn ranges(&self) -> Vec<Prefix> {
        [self.v4, self.v6].into_iter().flatten().map(|range| range.prefix()).collect()
    }

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        self.keep(leases)
    }

    async fn allocate(&self, _: &NodeName, _: &PublicKey) -> Result<Vips, PluginError> {
        self.take()
    }

    async fn release(&self, vips: &Vips) {
        self.give_back(vips);
    }
}
