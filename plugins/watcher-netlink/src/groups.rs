use std::io;
use std::os::fd::OwnedFd;

use ntm_core::plugin::PluginError;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The socket on which the kernel tells what happens.
pub(crate) struct Groups(AsyncFd<OwnedFd>);

/// What reading once gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A datagram of messages, this long.
    Messages(usize),
    /// Some were lost.
    Lost,
    /// There is no more at the moment.
    Nothing,
}

impl Groups {
    /// Hears what happens from now on in the network namespace of this thread.
    /// Panics outside a tokio runtime.
    pub(crate) fn open(receive_buffer: u32) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        enlarge(&socket, receive_buffer)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Self::from_socket(socket)
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe and asks what OwnedFd promises: to stay open and the same"
    )]
    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(AsyncFd::with_interest(socket, READY)?))
    }

    /// Waits for something to read and reads it; `Nothing` if it was a false
    /// alarm. Cancel safe: what was read is returned in the same poll.
    pub(crate) async fn wait(&self, buffer: &mut [u8]) -> Result<Told, PluginError> {
        let mut ready = self.0.ready(READY).await.map_err(|error| blind(&error))?;
        // Forgets the readiness once nothing is left.
        let read = ready.try_io(|socket| read(socket.get_ref(), buffer));
        understand(read.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into())))
    }

    /// Reads what is there now.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Told, PluginError> {
        understand(read(self.0.get_ref(), buffer))
    }
}

fn read(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<Told> {
    let read = || rustix::net::recvfrom(socket, &mut *buffer, RecvFlags::TRUNC);
    let (_, length, from) = rustix::io::retry_on_intr(read)?;
    let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
    Ok(match from.map(|from| from.pid()) {
        _ if length > buffer.len() => Told::Lost,
        Some(KERNEL) => Told::Messages(length),
        _ => Told::Messages(0),
    })
}

fn understand(read: io::Result<Told>) -> Result<Told, PluginError> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Told::Nothing),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => Ok(Told::Lost),
        read => read.map_err(|error| blind(&error)),
    }
}

/// Asks for room for `size` bytes of events. Less is no failure: a storm then
/// costs a full read.
fn enlarge(socket: &OwnedFd, size: u32) -> io::Result<()> {
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    if sockopt::set_socket_recv_buffer_size_force(socket, wanted).is_err() {
        sockopt::set_socket_recv_buffer_size(socket, wanted)?;
    }
    // The kernel counts its own book-keeping in, and doubles for it.
    let given = sockopt::socket_recv_buffer_size(socket)? / 2;
    if given < wanted {
        tracing::info!(wanted, given, "the kernel holds fewer events than asked for");
    }
    Ok(())
}

fn blind(error: &io::Error) -> PluginError {
    PluginError::io("hear of changes from rtnetlink", error, "open the watcher anew")
}

/// Lost events are announced as an error.
const READY: Interest = Interest::READABLE.add(Interest::ERROR);
const KERNEL: u32 = 0;

// linux/rtnetlink.h, `enum rtnetlink_groups`: group n is bit n - 1. Kernels
// before 5.3 have no next hop objects and ignore the bit.
const GROUPS: u32 = group(1) // RTNLGRP_LINK
    | group(5) // RTNLGRP_IPV4_IFADDR
    | group(7) // RTNLGRP_IPV4_ROUTE
    | group(8) // RTNLGRP_IPV4_RULE
    | group(9) // RTNLGRP_IPV6_IFADDR
    | group(11) // RTNLGRP_IPV6_ROUTE
    | group(19) // RTNLGRP_IPV6_RULE
    | group(32); // RTNLGRP_NEXTHOP

const fn group(number: u32) -> u32 {
    1 << (number - 1)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use ntm_core::plugin::Fault;

    use super::*;

    async fn wait(groups: &Groups) -> Result<Told, PluginError> {
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, groups.wait(&mut [0; 64])).await.expect("it is readable")
    }

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    /// A netlink socket gives no error but lost events, so another kind of
    /// socket stands in for one: a port that nobody listens to refuses.
    #[tokio::test]
    async fn an_error_of_the_socket_is_told_with_a_remedy() {
        let nobody = socket().local_addr().unwrap();
        let socket = socket();
        socket.connect(nobody).unwrap();
        let groups = Groups::from_socket(socket.try_clone().unwrap().into()).unwrap();
        socket.send(b"anybody there?").unwrap();
        let error = wait(&groups).await.unwrap_err();
        assert_eq!(error.fault, Fault::System);
        assert!(error.message.contains("refused"), "{error}");
        assert!(error.remedy.contains("anew"), "{error}");
    }

    #[tokio::test]
    async fn what_does_not_come_from_the_kernel_is_not_believed() {
        let socket = socket();
        socket.send_to(b"gossip", socket.local_addr().unwrap()).unwrap();
        let groups = Groups::from_socket(socket.into()).unwrap();
        assert_eq!(wait(&groups).await.unwrap(), Told::Messages(0));
    }

    #[tokio::test]
    async fn a_datagram_that_does_not_fit_counts_as_lost() {
        let socket = socket();
        socket.send_to(&[0; 65], socket.local_addr().unwrap()).unwrap();
        let groups = Groups::from_socket(socket.into()).unwrap();
        assert_eq!(wait(&groups).await.unwrap(), Told::Lost);
    }

    #[tokio::test]
    async fn after_the_last_datagram_it_waits_and_does_not_spin() {
        let socket = socket();
        socket.send_to(b"one", socket.local_addr().unwrap()).unwrap();
        let groups = Groups::from_socket(socket.into()).unwrap();
        assert_eq!(wait(&groups).await.unwrap(), Told::Messages(0));
        let mut false_alarms = 0;
        let waits = async {
            while false_alarms < 10 && wait(&groups).await.unwrap() == Told::Nothing {
                false_alarms += 1;
            }
        };
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, waits).await.is_err(), "there is nothing to read");
        assert!(false_alarms <= 1, "{false_alarms}");
    }
}
