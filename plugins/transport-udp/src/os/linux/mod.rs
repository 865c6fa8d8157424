mod control;
mod name;
mod receive;
mod send;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{ReceiveTimestampns, UdpGroSegment};
use ntm_core::plugin::RxSlot;
use quinn_udp::UdpSocketState;
use rustix::event::epoll;
use rustix::net::sockopt;
use socket2::Socket;

use crate::Config;
use crate::message::Message;

/// Messages in one call: enough to share its cost, few enough for the stack.
const MOST: usize = 64;

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

/// The system calls that move datagrams.
pub(crate) struct Calls {
    /// Messages in one call.
    most: usize,
}

impl Calls {
    /// Whether the kernel takes several messages at once is tried: a sandbox may
    /// forbid what every kernel has.
    pub(crate) fn new(_state: UdpSocketState, socket: &Socket, config: &Config) -> Self {
        let many = config.batch && send::takes_many(socket) && receive::gives_many(socket);
        Self { most: if many { MOST } else { 1 } }
    }

    /// Messages in one call, at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Sends as many messages as one call takes; an error is about the first.
    pub(crate) fn send<'a>(
        &self,
        socket: &Socket,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> io::Result<usize> {
        send::send(socket.as_fd(), messages.take(self.most))
    }

    /// Fills slots with what one call gives.
    pub(crate) fn receive(&self, socket: &Socket, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let lent = slots.len().min(self.most);
        receive::receive(socket.as_fd(), &mut slots[..lent])
    }
}

/// The result of a system call, made again for as long as a signal interrupts it.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match Errno::result(call()) {
            Ok(result) => return Ok(result.unsigned_abs()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
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
    use std::net::SocketAddr;

    use nix::sys::socket::sockopt::Ipv4RecvErr;
    use ntm_core::plugin::TxPacket;

    use super::*;
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
        send(&[packet], &gso, |messages| bound.send(messages)).unwrap();
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
        send(&[to(nobody)], &Gso::new(1), |messages| bound.send(messages)).unwrap();
        assert_eq!(drain(&bound), []);
        send(&[to(own)], &Gso::new(1), |messages| bound.send(messages)).unwrap();
        assert_eq!(drain(&bound), [(b"hello".to_vec(), 0)]);
    }
}
