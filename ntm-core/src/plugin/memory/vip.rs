use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::address::{Prefix, Vips};
use crate::id::{NodeName, PublicKey};
use crate::plugin::{Fault, PluginError, Vip};

/// Hands out `198.18.0.1` and `fd00::1`, then the next, up to 254.
#[derive(Debug, Default)]
pub struct Sequential(Mutex<BTreeSet<u8>>);

fn vips(last: u8) -> Vips {
    Vips {
        v4: Some(Ipv4Addr::new(198, 18, 0, last)),
        v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())),
    }
}

impl Sequential {
    /// Addresses for a node that has none, without waiting.
    ///
    /// # Errors
    /// All 254 are taken.
    pub fn take(&self) -> Result<Vips, PluginError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (1..=254).find(|last| !taken.contains(last)).ok_or_else(|| {
            PluginError::new(Fault::Busy, "all 254 addresses are taken", "use a larger range")
        })?;
        taken.insert(free);
        Ok(vips(free))
    }

    /// Marks leases as taken.
    pub fn keep(&self, leases: &[Vips]) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(leases.iter().filter_map(|lease| lease.v4).map(|v4| v4.octets()[3]));
    }
}

#[async_trait]
impl Vip for Sequential {
    fn ranges(&self) -> Vec<Prefix> {
        let v4: IpAddr = Ipv4Addr::new(198, 18, 0, 0).into();
        let v6: IpAddr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0).into();
        Prefix::new(v4, 24).into_iter().chain(Prefix::new(v6, 120)).collect()
    }

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        self.keep(leases);
        Ok(())
    }

    async fn allocate(&self, _: &NodeName, _: &PublicKey) -> Result<Vips, PluginError> {
        self.take()
    }

    async fn release(&self, vips: &Vips) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(v4) = vips.v4 {
            taken.remove(&v4.octets()[3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_leases_are_not_handed_out_again() {
        let allocator = Sequential::default();
        allocator.keep(&[vips(1), vips(3)]);
        assert_eq!(allocator.take(), Ok(vips(2)));
        assert_eq!(allocator.take(), Ok(vips(4)));
    }

    #[test]
    fn the_end_of_the_range_is_an_error() {
        let allocator = Sequential::default();
        assert!((1..=254).all(|_| allocator.take().is_ok()));
        assert!(allocator.take().is_err());
    }
}
