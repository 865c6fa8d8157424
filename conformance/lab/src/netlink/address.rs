use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};

use super::Netlink;
use crate::error::{Error, Result};
use crate::family::Family;

/// For the kernel to take a new address into use.
const PATIENCE: Duration = Duration::from_secs(5);

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address itself with the length of its on-link prefix.
    pub net: IpNet,
    /// May be sent from: not tentative, and no duplicate of it has been found.
    pub usable: bool,
    /// Only valid on its link (`fe80::/10`, `169.254.0.0/16`).
    pub link_local: bool,
}

impl Netlink {
    /// The addresses of an interface, link-local ones included.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn addresses(&self, name: &str) -> Result<Vec<Address>> {
        let found = self.address_messages(name)?;
        Ok(found.iter().filter_map(Address::from_message).collect())
    }

    /// Gives an interface an address, at once usable: duplicates are not looked
    /// for. One that it has already stays.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn add_address(&self, name: &str, address: IpNet) -> Result<()> {
        let ip = address.addr();
        self.add_address_with(name, address, ip.is_ipv6().then_some(AddressFlags::Nodad))?;
        if self.interface(name)?.running {
            self.wait_until_taken_in(ip)?;
        }
        Ok(())
    }

    /// Waits until the kernel takes in packets to an address of this machine. It
    /// tells of an IPv6 address a moment before, and a neighbour that is asked in
    /// that moment answers in vain: the next attempt is a second later.
    fn wait_until_taken_in(&self, ip: IpAddr) -> Result<()> {
        let start = Instant::now();
        while !self.is_local(ip)? {
            if start.elapsed() > PATIENCE {
                return Err(Error::wrong(format!("packets to {ip} are not taken in")));
            }
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// As [`add_address`](Self::add_address), but an IPv6 address is tentative
    /// until no duplicate has been found, where the interface looks for them.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn add_tentative_address(&self, name: &str, address: IpNet) -> Result<()> {
        self.add_address_with(name, address, None)
    }

    fn add_address_with(
        &self,
        name: &str,
        address: IpNet,
        flags: Option<AddressFlags>,
    ) -> Result<()> {
        let index = self.index(name)?;
        self.ask(
            || format!("give {name} the address {address}"),
            |handle| {
                let mut add = handle.address().add(index, address.addr(), address.prefix_len());
                add.message_mut().attributes.extend(flags.map(AddressAttribute::Flags));
                add.replace().execute()
            },
        )
    }

    /// Takes all addresses from an interface but the link-local ones, which the
    /// kernel keeps for it.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn flush_addresses(&self, name: &str) -> Result<()> {
        Family::BOTH.into_iter().try_for_each(|family| self.flush_family(name, family))
    }

    /// As [`flush_addresses`](Self::flush_addresses), of one family.
    ///
    /// # Errors
    /// As for `flush_addresses`.
    pub fn flush_family(&self, name: &str, family: Family) -> Result<()> {
        for message in self.address_messages(name)? {
            let Some(address) = Address::from_message(&message) else { continue };
            if !address.link_local && Family::from(address.net.addr()) == family {
                let what = || format!("take {} from {name}", address.net);
                self.ask(what, |handle| handle.address().del(message).execute())?;
            }
        }
        Ok(())
    }

    fn address_messages(&self, name: &str) -> Result<Vec<AddressMessage>> {
        let index = self.index(name)?;
        self.ask(
            || format!("list the addresses of {name}"),
            |handle| handle.address().get().set_link_index_filter(index).execute().try_collect(),
        )
    }
}

impl Address {
    pub(crate) fn from_message(message: &AddressMessage) -> Option<Self> {
        // On a point-to-point link `Address` is the peer's and `Local` our own.
        let (mut address, mut local) = (None, None);
        let mut tentative = message.header.flags.contains(AddressHeaderFlags::Tentative)
            || message.header.flags.contains(AddressHeaderFlags::Dadfailed);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(ip) => address = Some(*ip),
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Flags(flags) => {
                    tentative = flags.contains(AddressFlags::Tentative)
                        || flags.contains(AddressFlags::Dadfailed);
                }
                _ => {}
            }
        }
        let ip = local.or(address)?;
        let net = IpNet::new(ip, message.header.prefix_len).ok()?;
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        Some(Self { net, usable: !tentative, link_local })
    }
}
