use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use ntm_core::address::Prefix;
use rustix::io::{Errno, Result};

use crate::settings::{Change, Item};

/// Requests to the kernel about interfaces of the network namespace in which
/// this was opened.
///
/// The kernel works on a request while it is being sent, so its answer lies
/// ready afterwards: there is nothing to wait for, and no runtime is needed.
pub(super) struct Netlink(Mutex<Connection>);

struct Connection {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> Result<Self> {
        let open = || {
            let socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(errno)?;
        Ok(Self(Mutex::new(Connection { socket, sequence: 0 })))
    }

    /// Makes one change to the interface. To take away what is not there is no
    /// error, nor is to give what is there already.
    pub(super) fn change(&self, index: u32, change: &Change) -> Result<()> {
        const GIVE: u16 = NLM_F_CREATE | NLM_F_REPLACE;
        let (message, flags) = match change {
            Change::Link { to, .. } => (RouteNetlinkMessage::SetLink(link(index, *to)), 0),
            Change::Give(Item::Address(ip, length)) => {
                (RouteNetlinkMessage::NewAddress(address(index, *ip, *length)), GIVE)
            }
            Change::Take(Item::Address(ip, length)) => {
                (RouteNetlinkMessage::DelAddress(address(index, *ip, *length)), 0)
            }
            Change::Give(Item::Route(range)) => {
                (RouteNetlinkMessage::NewRoute(route(index, range)), GIVE)
            }
            Change::Take(Item::Route(range)) => {
                (RouteNetlinkMessage::DelRoute(route(index, range)), 0)
            }
        };
        match (self.ask(message, flags), change) {
            (Err(Errno::ADDRNOTAVAIL | Errno::SRCH), Change::Take(_)) => Ok(()),
            (result, _) => result.map(drop),
        }
    }

    /// Keeps the kernel from inventing a link-local address: it would go on
    /// asking for routers on a link that has none.
    pub(super) fn stop_link_local(&self, index: u32) -> Result<()> {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes =
            vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])])];
        self.ask(RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// How many packets wait in each queue before the next one is dropped.
    pub(super) fn set_queue_len(&self, index: u32, packets: u32) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![LinkAttribute::TxQueueLen(packets)];
        self.ask(RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// Whether packets to this address of ours are delivered here.
    pub(super) fn is_local(&self, ip: IpAddr) -> Result<bool> {
        let message = route_to(ip, if ip.is_ipv4() { 32 } else { 128 });
        let answer = self.ask(RouteNetlinkMessage::GetRoute(message), 0)?;
        let local = |route: &RouteMessage| route.header.kind == RouteType::Local;
        Ok(matches!(answer, Some(RouteNetlinkMessage::NewRoute(route)) if local(&route)))
    }

    /// Removes the interface.
    pub(super) fn remove_link(&self, index: u32) -> Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.ask(RouteNetlinkMessage::DelLink(message), 0).map(drop)
    }

    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> Result<Option<RouteNetlinkMessage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ask(message, flags)
    }
}

impl Connection {
    /// Sends a request and returns what the kernel says besides "done".
    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Option<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map_err(errno)?;
        let mut said = None;
        loop {
            let (bytes, _) = self.socket.recv_from_full().map_err(errno)?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes)
                .map_err(|_| Errno::BADMSG)?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            if let NetlinkPayload::Error(error) = answer.payload {
                let code = error.code.map_or(0, |code| -code.get());
                let failed = (code != 0).then(|| Errno::from_raw_os_error(code));
                return failed.map_or(Ok(said), Err);
            }
            if let NetlinkPayload::InnerMessage(message) = answer.payload {
                said = Some(message);
            }
        }
    }
}

/// Up with this MTU, or down.
fn link(index: u32, mtu: Option<u16>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    if let Some(mtu) = mtu {
        message.header.flags = LinkFlags::Up;
        message.attributes.push(LinkAttribute::Mtu(mtu.into()));
    }
    message
}

/// Without the search for duplicates: there is nobody to ask, and an address
/// that is searched for cannot be used.
fn address(index: u32, ip: IpAddr, length: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(ip);
    message.header.prefix_len = length;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    if ip.is_ipv6() {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn route(index: u32, range: &Prefix) -> RouteMessage {
    let mut message = route_to(range.base(), range.length());
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    if range.base().is_ipv4() {
        message.header.scope = RouteScope::Link;
    }
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

fn route_to(ip: IpAddr, length: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(ip);
    message.header.destination_prefix_length = length;
    message.attributes.push(RouteAttribute::Destination(match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }));
    message
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
