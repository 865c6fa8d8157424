use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART,
    NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkMessage,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use ntm_core::plugin::{Fault, PluginError};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::event::{self, Event, RTM_NEWROUTE, Way};

/// The socket on which we ask. The kernel answers before `send` returns, so no
/// question waits; the time limit is there for kernels that break the rule.
pub(crate) struct Query {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Query {
    /// Asks about the network namespace of this thread.
    pub(crate) fn open() -> io::Result<Self> {
        let family = rustix::net::AddressFamily::NETLINK;
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Tells all interfaces, then all addresses. False if the kernel's lists
    /// changed meanwhile so that some may be missing.
    pub(crate) fn everything(&mut self, mut each: impl FnMut(Event)) -> Result<bool, PluginError> {
        let mut links = LinkMessage::default();
        links.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let links = RouteNetlinkMessage::GetLink(links);
        let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut whole = true;
        for list in [links, addresses] {
            let answer = self.ask(list, NLM_F_DUMP, |message| {
                if let Some(event) = event::decode(message)? {
                    each(event);
                }
                Ok(())
            })?;
            if let Some(refusal) = answer.refusal {
                return Err(failed(&refusal.into()));
            }
            whole &= !answer.interrupted;
        }
        Ok(whole)
    }

    /// How a UDP packet would leave toward `to` now; `None` if it would not.
    pub(crate) fn way(&mut self, to: IpAddr) -> Result<Option<Way>, PluginError> {
        let to = to.to_canonical();
        if matches!(to, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            // Means nothing without an interface; the kernel would name any.
            return Ok(None);
        }
        self.route(to, None, RouteFlags::empty(), event::way)
    }

    /// The same for a packet that is held to this interface.
    pub(crate) fn way_by(&mut self, index: u32, to: IpAddr) -> Result<Option<Way>, PluginError> {
        let to = to.to_canonical();
        if matches!(to, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Ok(None);
        }
        // Without a route over it the kernel takes any IPv4 destination for a
        // neighbour there; only that a route was found tells.
        let found = |_: &[u8]| Ok(Some(()));
        let is_led =
            to.is_ipv6() || self.route(to, Some(index), RouteFlags::FibMatch, found)?.is_some();
        let way = match is_led {
            true => self.route(to, Some(index), RouteFlags::empty(), event::way)?,
            false => None,
        };
        Ok(way.filter(|way| way.index == index))
    }

    /// Whether the kernel takes in packets to this address. A moment after it has
    /// told of a new IPv6 address it does not yet: answers would be lost, those
    /// to neighbour solicitations for a whole second.
    pub(crate) fn is_taken_in(&mut self, ip: IpAddr) -> Result<bool, PluginError> {
        Ok(self.route(ip, None, RouteFlags::empty(), event::is_local)?.is_some())
    }

    /// What `read` finds in the kernel's route to `to`, if need be by this interface;
    /// nothing without one.
    fn route<T>(
        &mut self,
        to: IpAddr,
        by: Option<u32>,
        flags: RouteFlags,
        read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, PluginError> {
        let mut request = RouteMessage::default();
        request.header.address_family =
            if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        request.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        request.header.flags = flags;
        request.attributes.push(RouteAttribute::Destination(to.into()));
        request.attributes.extend(by.map(RouteAttribute::Oif));
        request.attributes.push(RouteAttribute::Other(DefaultNla::new(RTA_IP_PROTO, vec![UDP])));
        let mut found = None;
        let answer = self.ask(RouteNetlinkMessage::GetRoute(request), 0, |message| {
            if message.message_type() == RTM_NEWROUTE {
                found = read(message.payload())?;
            }
            Ok(())
        })?;
        match answer.refusal {
            Some(refusal @ (Errno::NOMEM | Errno::NOBUFS)) => Err(failed(&refusal.into())),
            // No route, or one of the kinds unreachable, prohibit and blackhole,
            // or an IP version that is off.
            Some(_) => Ok(None),
            None => Ok(found),
        }
    }

    /// Sends one request and takes in the whole answer.
    fn ask(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(&NetlinkBuffer<&[u8]>) -> Result<(), DecodeError>,
    ) -> Result<Answer, PluginError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(request);
        message.header.sequence_number = self.sequence;
        message.header.flags = NLM_F_REQUEST | flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        rustix::net::sendto(&self.socket, &bytes, SendFlags::empty(), &TO_KERNEL)
            .map_err(|error| failed(&error.into()))?;

        let mut answer = Answer::default();
        loop {
            let read = || rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC);
            let (_, length) =
                rustix::io::retry_on_intr(read).map_err(|error| failed(&error.into()))?;
            let datagram = self.buffer.get(..length).ok_or_else(|| strange("too long"))?;
            for message in event::messages(datagram) {
                let message = message.map_err(strange)?;
                if message.sequence_number() != self.sequence {
                    continue;
                }
                answer.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
                match message.message_type() {
                    NLMSG_ERROR | NLMSG_DONE => {
                        let code =
                            ErrorBuffer::new_checked(message.payload()).map_err(strange)?.code();
                        answer.refusal = code.map(|code| Errno::from_raw_os_error(-code.get()));
                        return Ok(answer);
                    }
                    _ => each(&message).map_err(strange)?,
                }
                if message.flags() & NLM_F_MULTIPART == 0 {
                    return Ok(answer);
                }
            }
        }
    }
}

/// How a question ended.
#[derive(Debug, Default)]
struct Answer {
    refusal: Option<Errno>,
    interrupted: bool,
}

fn failed(error: &io::Error) -> PluginError {
    PluginError::io("ask rtnetlink", error, "open the watcher anew")
}

fn strange(what: impl std::fmt::Display) -> PluginError {
    let message = format!("rtnetlink gave an answer that cannot be read: {what}");
    PluginError::new(Fault::System, message, "report it with the version of the kernel")
}

const TO_KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);
const PATIENCE: Duration = Duration::from_secs(1);
/// The kernel sends no longer ones.
pub(crate) const DATAGRAM: usize = 32 << 10;
/// linux/rtnetlink.h; since 4.18, ignored before.
const RTA_IP_PROTO: u16 = 27;
const UDP: u8 = 17;
