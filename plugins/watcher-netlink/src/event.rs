use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, NetlinkBuffer, NlaBuffer, NlasIterator, Parseable as _, parse_ip, parse_string,
    parse_u32,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteType};

/// What one message of the kernel says about this machine.
///
/// Only the headers and the attributes that matter are decoded: what a newer
/// kernel adds to its messages cannot blind us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An interface is like this; what is `None` was not told.
    Link {
        index: u32,
        flags: LinkFlags,
        name: Option<String>,
        mtu: Option<u32>,
        carrier: Option<u32>,
    },
    /// The interface is gone.
    LinkGone(u32),
    /// An address is like this.
    Address(AddressKey, Address),
    /// The address is gone.
    AddressGone(AddressKey),
    /// Some route, rule or next hop came, went or changed.
    Route,
}

/// What tells two addresses of this machine apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AddressKey {
    pub(crate) index: u32,
    pub(crate) ip: IpAddr,
    /// Prefix and peer. An interface may have the same IPv4 address twice, when
    /// these differ; of an IPv6 address they may change, so they are left out.
    twin: Option<(u8, IpAddr)>,
}

/// The state of an address, with what only the kernel's choice of a source
/// depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) prefix: u8,
    pub(crate) flags: AddressFlags,
    scope: AddressScope,
}

/// How the kernel would reach a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) source: IpAddr,
    pub(crate) index: u32,
    /// The limit on the route itself, 0 for none.
    pub(crate) mtu: u32,
}

/// The messages of one datagram, until the first that is cut short.
pub(crate) fn messages(
    mut datagram: &[u8],
) -> impl Iterator<Item = Result<NetlinkBuffer<&[u8]>, DecodeError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = NetlinkBuffer::new_checked(datagram);
        let length = message.as_ref().map_or(datagram.len(), |message| message.length() as usize);
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// What `message` says; `None` if nothing that concerns us.
pub(crate) fn decode(message: &NetlinkBuffer<&[u8]>) -> Result<Option<Event>, DecodeError> {
    let payload = message.payload();
    Ok(match message.message_type() {
        RTM_NEWLINK => link(payload)?,
        RTM_DELLINK => of_interface(payload)?.map(|header| Event::LinkGone(header.index)),
        RTM_NEWADDR => address(payload)?.map(|(key, address)| Event::Address(key, address)),
        RTM_DELADDR => address(payload)?.map(|(key, _)| Event::AddressGone(key)),
        RTM_NEWROUTE | RTM_DELROUTE | RTM_NEWRULE | RTM_DELRULE | RTM_NEWNEXTHOP
        | RTM_DELNEXTHOP => Some(Event::Route),
        _ => None,
    })
}

/// The answer to a question for one route; `None` if it names no interface or
/// no source.
pub(crate) fn way(payload: &[u8]) -> Result<Option<Way>, DecodeError> {
    RouteHeader::parse(payload)?;
    let (mut source, mut index, mut mtu) = (None, None, 0);
    for attribute in attributes(payload, ROUTE_HEADER) {
        match attribute.kind() {
            RTA_PREFSRC => source = Some(parse_ip(attribute.value())?),
            RTA_OIF => index = Some(parse_u32(attribute.value())?),
            RTA_METRICS => {
                let metrics = NlasIterator::new(attribute.value()).filter_map(Result::ok);
                for metric in metrics.filter(|metric| metric.kind() == RTAX_MTU) {
                    mtu = parse_u32(metric.value())?;
                }
            }
            _ => {}
        }
    }
    let source = source.filter(|ip| !ip.is_unspecified());
    Ok(source.zip(index).map(|(source, index)| Way { source, index, mtu }))
}

/// The same for one of our own addresses: something if its packets are taken in.
pub(crate) fn is_local(payload: &[u8]) -> Result<Option<()>, DecodeError> {
    Ok((RouteHeader::parse(payload)?.kind == RouteType::Local).then_some(()))
}

/// The header of a message about an interface itself. Bridges speak of their
/// ports with the same message types: a port that leaves its bridge is not an
/// interface that is gone.
fn of_interface(payload: &[u8]) -> Result<Option<LinkHeader>, DecodeError> {
    let header = LinkHeader::parse(payload)?;
    Ok((header.interface_family == AddressFamily::Unspec).then_some(header))
}

fn link(payload: &[u8]) -> Result<Option<Event>, DecodeError> {
    let Some(LinkHeader { index, flags, .. }) = of_interface(payload)? else { return Ok(None) };
    let (mut name, mut mtu, mut carrier) = (None, None, None);
    for attribute in attributes(payload, LINK_HEADER) {
        match attribute.kind() {
            IFLA_IFNAME => name = Some(parse_string(attribute.value())?),
            IFLA_MTU => mtu = Some(parse_u32(attribute.value())?),
            IFLA_CARRIER_CHANGES => carrier = Some(parse_u32(attribute.value())?),
            _ => {}
        }
    }
    Ok(Some(Event::Link { index, flags, name, mtu, carrier }))
}

fn address(payload: &[u8]) -> Result<Option<(AddressKey, Address)>, DecodeError> {
    let header = AddressHeader::parse(payload)?;
    let (mut ours, mut peer) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
    for attribute in attributes(payload, ADDRESS_HEADER) {
        match AddressAttribute::parse(&attribute) {
            Ok(AddressAttribute::Local(ip)) => ours = Some(ip),
            Ok(AddressAttribute::Address(ip)) => peer = Some(ip),
            Ok(AddressAttribute::Flags(all)) => flags = all,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; without a peer an
    // IPv6 address is told in IFA_ADDRESS alone.
    let Some(ip) = ours.or(peer) else { return Ok(None) };
    let prefix = header.prefix_len;
    let twin = ip.is_ipv4().then_some((prefix, peer.unwrap_or(ip)));
    let key = AddressKey { index: header.index, ip, twin };
    Ok(Some((key, Address { prefix, flags, scope: header.scope })))
}

/// The attributes behind a header of this length, until one that is malformed.
fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

// linux/rtnetlink.h, linux/if_link.h; all numbers are for ever.
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
pub(crate) const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
const LINK_HEADER: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_CARRIER_CHANGES: u16 = 35;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;
