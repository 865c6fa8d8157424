use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use ntm_core::plugin::{LocalInterface, PluginError, Route};
use rustix::io::Errno;

/// How the system would send to `to` now. Sends nothing: connecting a UDP
/// socket only makes the system choose.
pub(crate) fn route(
    to: IpAddr,
    interfaces: &[LocalInterface],
) -> Result<Option<Route>, PluginError> {
    let to = to.to_canonical();
    let any = match to {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = match UdpSocket::bind((any, 0)) {
        Ok(socket) => socket,
        Err(error) if is_off(&error) => return Ok(None),
        Err(error) => {
            let remedy = "raise the limit of open files, or end programs that hold all ports";
            return Err(PluginError::io("open a socket to ask for a route", &error, remedy));
        }
    };
    if socket.connect((to, ANY_PORT)).is_err() {
        return Ok(None);
    }
    let Ok(source) = socket.local_addr().map(|ours| ours.ip()) else { return Ok(None) };
    let has = |one: &LocalInterface, ip| one.addresses.iter().any(|ours| ours.ip == ip);
    // What goes to ourselves goes by loopback.
    let inward = interfaces.iter().any(|one| has(one, to));
    let leads = |one: &&LocalInterface| if inward { one.loopback } else { has(one, source) };
    let interface = interfaces.iter().filter(|one| one.running).find(leads);
    Ok(interface.map(|one| Route { source, ifindex: one.index, mtu: mtu(&socket, to) }))
}

/// Whether this IP version is off, or has no address on any interface.
fn is_off(error: &io::Error) -> bool {
    let off = [Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::ADDRNOTAVAIL];
    Errno::from_io_error(error).is_some_and(|error| off.contains(&error))
}

#[cfg(target_os = "linux")]
fn mtu(socket: &UdpSocket, to: IpAddr) -> u32 {
    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
    let mtu = if to.is_ipv4() { ip_mtu(socket) } else { ipv6_mtu(socket) };
    mtu.map_or(ETHERNET, |mtu| mtu.min(LARGEST_PACKET))
}

#[cfg(not(target_os = "linux"))]
fn mtu(_: &UdpSocket, _: IpAddr) -> u32 {
    ETHERNET
}

/// Never sent to; a routing rule on ports may want to know.
const ANY_PORT: u16 = 4330;
const ETHERNET: u32 = 1500;
/// Both IP versions count a packet's length in 16 bits; loopback claims more.
#[cfg(target_os = "linux")]
const LARGEST_PACKET: u32 = 65_535;
