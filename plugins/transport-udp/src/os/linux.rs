use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{ReceiveTimestampns, UdpGroSegment};
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg, setsockopt};
use quinn_udp::UdpSocketState;
use rustix::event::epoll;
use rustix::net::sockopt;
use socket2::Socket;

use crate::send::{Message, Pin};

/// The kernel doubles what was asked for, to account for its own bookkeeping.
pub(crate) const BUFFER_ACCOUNTING: usize = 2;

/// What holds a buffer down.
pub(crate) const BUFFER_LIMIT: &str = " (net.core.rmem_max and wmem_max)";

/// One descriptor that polls readable while any of its sources does. It
/// outlives the sources, so a lane keeps its descriptor when its socket changes.
pub(crate) struct ReadySet(OwnedFd);

impl ReadySet {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    pub(crate) fn add(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }

    pub(crate) fn remove(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, source)?)
    }
}

impl AsFd for ReadySet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends one message from the pinned source and interface. quinn-udp cannot
/// name an interface, and would take a stale IPv6 pin for an old kernel.
pub(crate) fn send_pinned(
    _state: &UdpSocketState,
    socket: &Socket,
    to: SocketAddr,
    message: &Message<'_>,
    pin: Pin,
) -> io::Result<()> {
    let ecn = message.ecn.map_or(0, |ecn| ecn as u8);
    let (v4, v6, segment);
    let mut control = Vec::with_capacity(3);
    let class = i32::from(ecn);
    if to.ip().to_canonical().is_ipv4() {
        v4 = pin_v4(pin)?;
        control.push(ControlMessage::Ipv4PacketInfo(&v4));
        control.push(ControlMessage::Ipv4Tos(&ecn));
    } else {
        v6 = pin_v6(pin)?;
        control.push(ControlMessage::Ipv6PacketInfo(&v6));
        control.push(ControlMessage::Ipv6TClass(&class));
    }
    if let Some(bytes) = message.segment {
        segment = bytes;
        control.push(ControlMessage::UdpGsoSegments(&segment));
    }
    let contents = [IoSlice::new(message.contents)];
    let to = SockaddrStorage::from(to);
    loop {
        match sendmsg(socket.as_raw_fd(), &contents, &control, MsgFlags::empty(), Some(&to)) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn pin_v4(pin: Pin) -> io::Result<libc::in_pktinfo> {
    let source = match pin.source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => ip,
        Some(IpAddr::V6(_)) => return Err(Errno::EADDRNOTAVAIL.into()),
        None => Ipv4Addr::UNSPECIFIED,
    };
    Ok(libc::in_pktinfo {
        ipi_ifindex: index(pin)?,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    })
}

fn pin_v6(pin: Pin) -> io::Result<libc::in6_pktinfo> {
    let source = match pin.source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(ip)) => ip,
        Some(IpAddr::V4(_)) => return Err(Errno::EADDRNOTAVAIL.into()),
        None => Ipv6Addr::UNSPECIFIED,
    };
    Ok(libc::in6_pktinfo {
        ipi6_ifindex: index(pin)?,
        ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
    })
}

fn index<T: TryFrom<u32>>(pin: Pin) -> io::Result<T> {
    pin.ifindex.try_into().map_err(|_| Errno::ENODEV.into())
}

/// quinn-udp asks for a receive time with every datagram; nobody here reads it.
pub(crate) fn drop_timestamps(socket: &Socket) {
    let _kept = setsockopt(socket, ReceiveTimestampns, &false);
}

/// Turns GRO off; returns how many datagrams a buffer may hold from now on.
pub(crate) fn stop_gro(socket: &Socket) -> io::Result<usize> {
    match setsockopt(socket, UdpGroSegment, &false) {
        // A kernel without GRO has none to turn off.
        Ok(()) | Err(Errno::ENOPROTOOPT) => Ok(1),
        Err(errno) => Err(errno.into()),
    }
}

/// Asks past the system's limit, as CAP_NET_ADMIN may; `false` if refused.
pub(crate) fn force_receive_buffer(socket: &Socket, bytes: usize) -> bool {
    sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_ok()
}

/// As [`force_receive_buffer`].
pub(crate) fn force_send_buffer(socket: &Socket, bytes: usize) -> bool {
    sockopt::set_socket_send_buffer_size_force(socket, bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::sockopt::Ipv4RecvErr;
    use ntm_core::plugin::{RxSlot, TxPacket};

    use super::*;
    use crate::Config;
    use crate::bound::Bound;
    use crate::send::{Gso, send};

    fn loopback() -> (Bound, SocketAddr) {
        let bound =
            Bound::open(SocketAddr::from(([127, 0, 0, 1], 0)), &Config::default(), false).unwrap();
        let own = bound.addr().unwrap();
        (bound, own)
    }

    /// Everything that lies in the socket, as single datagrams with their ECN bits.
    fn drain(bound: &Bound) -> Vec<(Vec<u8>, u8)> {
        let mut buffer = vec![0; 65_535];
        let mut all = Vec::new();
        loop {
            let mut slots = [RxSlot::new(&mut buffer)];
            match bound.recv(&mut slots) {
                Ok(_) => all.extend(slots[0].segments().map(|it| (it.to_vec(), slots[0].ecn))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_run_that_this_kernel_refuses_arrives_all_the_same_with_its_ecn_bits() {
        let (bound, own) = loopback();
        // More datagrams than any kernel takes in one call.
        let gso = Gso::new(1_000);
        let data: Vec<u8> = (0..200).flat_map(|number| [number; 10]).collect();
        let mut packet = TxPacket::run(&data, 10, own.into());
        packet.ecn = 1;
        send(&packet, &gso, |message| bound.send(message)).unwrap();
        let expected: Vec<_> = data.chunks(10).map(|it| (it.to_vec(), 1)).collect();
        assert_eq!(drain(&bound), expected);
        assert_eq!(gso.segments(), 1);
    }

    #[test]
    fn a_port_that_refuses_datagrams_does_not_break_receiving() {
        let (bound, own) = loopback();
        // Only then does an unconnected socket hear of it at all.
        setsockopt(&bound, Ipv4RecvErr, &true).unwrap();
        let (gone, nobody) = loopback();
        drop(gone);
        let to = |addr: SocketAddr| TxPacket::new(b"hello", addr.into());
        send(&to(nobody), &Gso::new(1), |message| bound.send(message)).unwrap();
        assert_eq!(drain(&bound), []);
        send(&to(own), &Gso::new(1), |message| bound.send(message)).unwrap();
        assert_eq!(drain(&bound), [(b"hello".to_vec(), 0)]);
    }
}
