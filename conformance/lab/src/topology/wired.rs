use std::net::IpAddr;

use super::Site;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::netns::Netns;
use crate::segment::Fabric;

/// A machine that stays where it is: one interface, `eth0`, a veth.
/// [`Lab::wired`](super::Lab::wired) makes it.
#[derive(Debug)]
pub struct Wired {
    netns: Netns,
    addresses: Vec<IpAddr>,
}

impl Wired {
    pub(super) fn new(fabric: &Fabric, name: &str, site: &Site) -> Result<Self> {
        let netns = Netns::new(name)?;
        fabric.attach(&netns, INTERFACE, site.segment())?;
        let (addresses, routers) = site.plan(name, INTERFACE)?;
        for address in &addresses {
            netns.netlink().add_address(INTERFACE, *address)?;
        }
        for router in routers {
            netns.netlink().add_default_route(router, INTERFACE, 0)?;
        }
        Ok(Self { netns, addresses: addresses.iter().map(ipnet::IpNet::addr).collect() })
    }

    /// Its namespace, to run things in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its address of a family.
    ///
    /// # Errors
    /// The site has none of it.
    pub fn address(&self, family: Family) -> Result<IpAddr> {
        let mut own = self.addresses.iter().copied();
        own.find(|ip| Family::from(*ip) == family)
            .ok_or_else(|| Error::wrong(format!("{} has no {family} address", self.netns.name())))
    }
}

const INTERFACE: &str = "eth0";
