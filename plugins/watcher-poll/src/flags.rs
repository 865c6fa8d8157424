use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use ntm_core::plugin::{LocalAddress, Snapshot};

/// Fills in which IPv6 addresses are usable and preferred, which `getifaddrs`
/// does not tell. Where there is no such file, as on any other system than
/// Linux, they stay as they are.
pub(crate) fn complete(snapshot: &mut Snapshot) {
    // Of this thread's network namespace, as getifaddrs.
    if let Ok(list) = fs::read_to_string("/proc/thread-self/net/if_inet6") {
        for (index, ip, flags) in list.lines().filter_map(line) {
            let interface = snapshot.interfaces.iter_mut().find(|one| one.index == index);
            let mut addresses = interface.into_iter().flat_map(|one| &mut one.addresses);
            if let Some(address) = addresses.find(|address| address.ip == ip) {
                mark(address, flags);
            }
        }
    }
}

fn mark(address: &mut LocalAddress, flags: u32) {
    address.usable = flags & (TENTATIVE | DADFAILED) == 0;
    address.preferred = flags & DEPRECATED == 0;
}

/// Address, index, prefix length, scope and flags in hexadecimal, and the name.
fn line(line: &str) -> Option<(u32, IpAddr, u32)> {
    let mut fields = line.split_ascii_whitespace();
    let ip = u128::from_str_radix(fields.next()?, 16).ok()?;
    let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
    let (index, _prefix, _scope, flags) = (number()?, number()?, number()?, number()?);
    Some((index, Ipv6Addr::from(ip).into(), flags))
}

// linux/if_addr.h
const DADFAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_names_address_index_and_flags() {
        let text = "20010db8000000000000000000000001 0c 40 00 e0     eth0";
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(line(text), Some((12, ip, TENTATIVE | DEPRECATED | 0x80)));
    }

    #[test]
    fn a_line_that_is_cut_short_is_passed_over() {
        let text = "20010db8000000000000000000000001 0c 40 00";
        assert!((0..text.len()).all(|length| line(&text[..length]).is_none()));
    }

    #[test]
    fn tentative_and_failed_addresses_are_not_usable() {
        let of = |flags| {
            let ip = Ipv6Addr::LOCALHOST.into();
            let mut address = LocalAddress { ip, prefix: 64, usable: true, preferred: true };
            mark(&mut address, flags);
            (address.usable, address.preferred)
        };
        assert_eq!(of(0x80), (true, true));
        assert_eq!(of(TENTATIVE), (false, true));
        assert_eq!(of(DADFAILED), (false, true));
        assert_eq!(of(DEPRECATED), (true, false));
    }
}
