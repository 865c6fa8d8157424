use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::{Error, Result};
use crate::family::Family;

/// A subnet: its router has the first address, the next ones are for visitors by
/// plan, and the rest is for DHCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet(IpNet);

impl Subnet {
    /// The router's address in it.
    pub(super) fn router(&self) -> IpNet {
        self.host(1)
    }

    /// The address of the visitor with this number, from 0 on, by plan.
    pub(super) fn visitor(&self, number: u32) -> Result<IpNet> {
        let first_lease = self.lease_start();
        if number + 2 >= first_lease {
            return Err(Error::wrong(format!("{} has no address left", self.0)));
        }
        Ok(self.host(number + 2))
    }

    /// The first and last address for DHCP; IPv4 only.
    pub(super) fn leases(&self) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let IpNet::V4(net) = self.0 else { return None };
        let last = u32::from(net.broadcast()) - 1;
        Some((v4(net, self.lease_start()), last.into()))
    }

    /// All of it.
    pub(super) fn net(&self) -> IpNet {
        self.0
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    pub(super) fn family(&self) -> Family {
        Family::from(self.0.addr())
    }

    /// Half of it is for visitors by plan.
    fn lease_start(&self) -> u32 {
        match self.0 {
            IpNet::V4(net) => 1 << (31 - net.prefix_len()),
            IpNet::V6(_) => 1 << 16,
        }
    }

    fn host(&self, number: u32) -> IpNet {
        let ip: IpAddr = match self.0 {
            IpNet::V4(net) => v4(net, number).into(),
            IpNet::V6(net) => Ipv6Addr::from(u128::from(net.network()) + u128::from(number)).into(),
        };
        IpNet::new_assert(ip, self.0.prefix_len())
    }
}

/// The subnets of the global site with this number.
pub(super) fn global(number: u32, families: &[Family]) -> Result<Vec<Subnet>> {
    // Blocks of 32 addresses out of the ranges for documentation (RFC 5737).
    const RANGES: [[u8; 3]; 2] = [[203, 0, 113], [198, 51, 100]];
    let Some([a, b, c]) = RANGES.get(number as usize / 8) else {
        return Err(Error::wrong("there are addresses for 16 global sites only"));
    };
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(*a, *b, *c, (number % 8 * 32) as u8), 27);
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, number as u16 + 1, 0, 0, 0, 0, 0);
    Ok(subnets(v4, Ipv6Net::new_assert(prefix, 64), families))
}

/// The subnets of the private site with this number.
pub(super) fn private(number: u32, families: &[Family]) -> Result<Vec<Subnet>> {
    if number >= 200 {
        return Err(Error::wrong("there are addresses for 200 private sites only"));
    }
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, number as u8 + 1, 0), 24);
    let prefix = Ipv6Addr::new(0xfd00, number as u16 + 1, 0, 0, 0, 0, 0, 0);
    Ok(subnets(v4, Ipv6Net::new_assert(prefix, 64), families))
}

/// The subnets of the private site with this number whose IPv6 part is routed.
pub(super) fn routed(number: u32, families: &[Family]) -> Result<Vec<Subnet>> {
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, number as u16 + 0x100, 0, 0, 0, 0, 0);
    with_prefix(private(number, families)?, Ipv6Net::new_assert(prefix, 64).into())
}

/// The subnets of the private site with this number that is a carrier's: its IPv4
/// part is of RFC 6598, its IPv6 part is routed.
pub(super) fn shared(number: u32, families: &[Family]) -> Result<Vec<Subnet>> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, number as u8 + 1, 0), 24);
    with_prefix(routed(number, families)?, v4.into())
}

fn with_prefix(mut subnets: Vec<Subnet>, net: IpNet) -> Result<Vec<Subnet>> {
    let other = Subnet(net);
    for subnet in subnets.iter_mut().filter(|subnet| subnet.family() == other.family()) {
        *subnet = other;
    }
    Ok(subnets)
}

fn subnets(v4: Ipv4Net, v6: Ipv6Net, families: &[Family]) -> Vec<Subnet> {
    let subnet = |family: &Family| match family {
        Family::V4 => Subnet(v4.into()),
        Family::V6 => Subnet(v6.into()),
    };
    families.iter().map(subnet).collect()
}

fn v4(net: Ipv4Net, number: u32) -> Ipv4Addr {
    (u32::from(net.network()) + number).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_do_not_overlap() {
        let mut all = Vec::new();
        for number in 0..16 {
            all.extend(global(number, &Family::BOTH).unwrap());
        }
        for number in 0..200 {
            all.extend(private(number, &Family::BOTH).unwrap());
            all.extend(routed(number, &[Family::V6]).unwrap());
            all.extend(shared(number, &[Family::V4]).unwrap());
        }
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert!(!one.contains(other.0.network()) && !other.contains(one.0.network()));
            }
        }
        assert!(global(16, &Family::BOTH).is_err() && private(200, &Family::BOTH).is_err());
    }

    #[test]
    fn router_visitors_and_leases_do_not_meet() {
        let subnet = global(15, &[Family::V4]).unwrap()[0];
        let (first, last) = subnet.leases().unwrap();
        let visitors: Vec<_> =
            (0..).map_while(|number| subnet.visitor(number).ok()).map(|net| net.addr()).collect();
        assert_eq!(subnet.router().to_string(), "198.51.100.225/27");
        assert_eq!(visitors.first().unwrap().to_string(), "198.51.100.226");
        assert_eq!(visitors.last().unwrap().to_string(), "198.51.100.239");
        assert_eq!(
            (first.to_string(), last.to_string()),
            ("198.51.100.240".to_owned(), "198.51.100.254".to_owned())
        );
    }
}
