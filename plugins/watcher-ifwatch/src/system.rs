use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use ntm_core::plugin::{LocalAddress, LocalInterface, PluginError, Snapshot};

/// All interfaces as `getifaddrs` lists them, ordered by index and address.
pub(crate) fn interfaces() -> Result<Snapshot, PluginError> {
    let entries = getifaddrs().map_err(|error| {
        PluginError::io("list the interfaces", &error.into(), "open the watcher anew")
    })?;
    let mut found = BTreeMap::new();
    for entry in entries {
        // An address with a label goes by the label: `eth0:home`.
        let name = entry.interface_name.split(':').next().unwrap_or_default().to_owned();
        let one = found.entry(name.clone()).or_insert_with(|| LocalInterface {
            // Entries of devices without a hardware address name no index.
            index: if_nametoindex(name.as_str()).unwrap_or(GONE),
            name,
            running: entry.flags.contains(RUNNING),
            generation: 0,
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            addresses: Vec::new(),
        });
        if let Some(ip) = entry.address.as_ref().and_then(ip) {
            let prefix = prefix(entry.netmask.as_ref().and_then(self::ip), ip);
            one.addresses.push(LocalAddress { ip, prefix, usable: true, preferred: true });
        }
    }
    let mut interfaces: Vec<_> = found.into_values().filter(|one| one.index != GONE).collect();
    interfaces.sort_by_key(|one| one.index);
    for one in &mut interfaces {
        one.addresses.sort_by_key(|address| (address.ip, address.prefix));
        one.addresses.dedup();
    }
    Ok(Snapshot { interfaces })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

/// The length of a mask; all of the address where there is none.
fn prefix(mask: Option<IpAddr>, ip: IpAddr) -> u8 {
    let ones = match mask.unwrap_or(if ip.is_ipv4() { ALL_OF_V4 } else { ALL_OF_V6 }) {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    u8::try_from(ones).unwrap_or(u8::MAX)
}

/// No interface has this index.
const GONE: u32 = 0;
const ALL_OF_V4: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
const ALL_OF_V6: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));
#[cfg(target_os = "linux")]
const RUNNING: InterfaceFlags =
    InterfaceFlags::IFF_UP.union(InterfaceFlags::IFF_RUNNING).union(InterfaceFlags::IFF_LOWER_UP);
#[cfg(not(target_os = "linux"))]
const RUNNING: InterfaceFlags = InterfaceFlags::IFF_UP.union(InterfaceFlags::IFF_RUNNING);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_counts_its_leading_ones() {
        let length = |mask: Option<&str>, ip: &str| {
            prefix(mask.map(|mask| mask.parse().unwrap()), ip.parse().unwrap())
        };
        assert_eq!(length(Some("255.255.240.0"), "192.0.2.1"), 20);
        assert_eq!(length(Some("0.0.0.0"), "192.0.2.1"), 0);
        assert_eq!(length(None, "192.0.2.1"), 32);
        assert_eq!(length(Some("ffff:ffff:ffff::"), "2001:db8::1"), 48);
        assert_eq!(length(None, "2001:db8::1"), 128);
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let snapshot = interfaces().unwrap();
        assert!(snapshot.interfaces.iter().any(|one| one.loopback));
        assert!(snapshot.interfaces.iter().all(|one| one.index != 0));
    }
}
