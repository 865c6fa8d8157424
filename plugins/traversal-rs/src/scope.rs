use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether another machine can be there at all.
///
/// An IPv4 address that is written as an IPv6 one would be a candidate of the
/// wrong family, and an IPv6 address of a single link needs an interface that
/// means nothing to anybody else.
pub(crate) fn leads_somewhere(addr: SocketAddr) -> bool {
    let somewhere = match addr.ip() {
        IpAddr::V4(ip) => {
            !(ip.octets()[0] == 0
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.octets()[0] >= 240)
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unicast_link_local()
                || ip.is_multicast()
                || ip.to_ipv4_mapped().is_some())
        }
    };
    somewhere && addr.port() != 0
}

/// Whether an address that [`leads_somewhere`] leads there from everywhere:
/// not private (RFC 1918), of a carrier's NAT (RFC 6598) or unique local (RFC
/// 4193). Addresses for documentation count as global, as networks built for
/// tests use them so.
pub(crate) fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_private() && !is_shared(ip),
        IpAddr::V6(ip) => !ip.is_unique_local(),
    }
}

/// 100.64.0.0/10.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, _, _] = ip.octets();
    first == 100 && second & 0xc0 == 64
}
