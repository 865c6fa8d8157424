//! An interface, and applications beside it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use ntm_core::address::Vips;
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, PluginError};

use crate::case::Case;
use crate::contract::lanes::{Buffers, is_readable};
use crate::outcome::Stop;
use crate::wait::{until, within};

pub(super) const V4: &str = "198.18.0.5";
pub(super) const V6: &str = "fd18::5";

/// In a namespace of its own alone: it must not touch this machine's.
pub(super) fn open(case: &Case, lanes: usize) -> Result<Arc<dyn Interface>, Stop> {
    case.world()?;
    Ok(case.interface(lanes)?)
}

/// Addresses in 198.18.0.0/16 and fd18::/64; none where the text is empty.
pub(super) fn settings(v4: &str, v6: &str) -> InterfaceSettings {
    let vips = Vips { v4: v4.parse().ok(), v6: v6.parse().ok() };
    let range = |ip: IpAddr| if ip.is_ipv4() { "198.18.0.0/16" } else { "fd18::/64" };
    let ranges = vips.iter().filter_map(|ip| range(ip).parse().ok()).collect();
    InterfaceSettings { vips, ranges, mtu: 1400 }
}

pub(super) async fn configure(
    interface: &dyn Interface,
    settings: &InterfaceSettings,
) -> Result<Result<(), PluginError>, Stop> {
    within("`configure`", interface.configure(settings)).await
}

/// With both addresses.
pub(super) async fn ready(case: &Case) -> Result<Arc<dyn Interface>, Stop> {
    let interface = open(case, 1)?;
    configure(&*interface, &settings(V4, V6)).await??;
    Ok(interface)
}

/// An application's socket at this address.
pub(super) fn socket(own: &str) -> Result<UdpSocket, Stop> {
    let ip: IpAddr = own.parse().map_err(|_| Stop::not_tried("no address"))?;
    let socket = UdpSocket::bind((ip, 0)).map_err(|error| {
        Stop::broken(format!("an application cannot use the address {own}: {error}"))
    })?;
    socket.set_read_timeout(Some(Duration::from_secs(22)))?;
    Ok(socket)
}

/// What is there now on a lane.
pub(super) fn take(lane: &dyn Lane, buffers: &mut Buffers) -> Result<Vec<Vec<u8>>, Stop> {
    if !is_readable(lane) {
        return Ok(Vec::new());
    }
    let taken = buffers.take(lane, |slot| slot.filled().to_vec());
    taken.map_err(|error| Stop::broken(format!("`try_recv`: {error}")))
}

/// The next UDP packet; the system has things of its own to say.
pub(super) async fn next_udp(lane: &dyn Lane, buffers: &mut Buffers) -> Result<Vec<Vec<u8>>, Stop> {
    until("an application's packet", || {
        let mut packets = take(lane, buffers)?;
        packets.retain(|packet| ends(packet).is_some());
        Ok((!packets.is_empty()).then_some(packets))
    })
    .await
}

/// Source and destination of a UDP packet without extension headers.
pub(super) fn ends(packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (from, to, udp): (IpAddr, IpAddr, _) = match packet.first()? >> 4 {
        4 if packet.len() >= 28 && packet[9] == 17 => (
            <[u8; 4]>::try_from(&packet[12..16]).ok()?.into(),
            <[u8; 4]>::try_from(&packet[16..20]).ok()?.into(),
            &packet[usize::from(packet[0] & 15) * 4..],
        ),
        6 if packet.len() >= 48 && packet[6] == 17 => (
            <[u8; 16]>::try_from(&packet[8..24]).ok()?.into(),
            <[u8; 16]>::try_from(&packet[24..40]).ok()?.into(),
            &packet[40..],
        ),
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    Some(((from, port(0)?).into(), (to, port(2)?).into()))
}

/// The packet as an answer: ends change places, and checksums stay right.
pub(super) fn turn_round(packet: &mut [u8]) {
    let (addresses, length) = if packet[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let ports = if length == 4 { usize::from(packet[0] & 15) * 4 } else { 40 };
    for at in 0..length {
        packet.swap(addresses + at, addresses + length + at);
    }
    for at in 0..2 {
        packet.swap(ports + at, ports + 2 + at);
    }
}
