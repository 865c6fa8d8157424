use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};

use ntm_core::plugin::RxSlot;
use quinn_udp::UdpSocketState;
use rustix::io::Errno;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Config;
use crate::message::{Message, Messages};
use crate::os;
use crate::recv;

/// One bound, tuned, non-blocking socket.
pub(crate) struct Bound {
    socket: Socket,
    calls: os::Calls,
    families: Families,
    gso: usize,
    gro: usize,
    receive_buffer: usize,
    send_buffer: usize,
}

/// Which addresses a socket carries datagrams to and from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    V4,
    V6,
    Both,
}

impl Bound {
    /// Binds to `addr`. With `shared`, further sockets that are `shared` too may
    /// bind to the same port.
    pub(crate) fn open(addr: SocketAddr, config: &Config, shared: bool) -> io::Result<Self> {
        let families = Families::of(addr);
        let socket = Socket::new(families.domain(), Type::DGRAM, Some(Protocol::UDP))?;
        if families != Families::V4 {
            socket.set_only_v6(families == Families::V6)?;
        }
        if shared {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        socket.bind(&addr.into())?;
        let state = UdpSocketState::new((&socket).into())?;
        os::drop_timestamps(&socket);
        let gro = if config.gro { state.gro_segments() } else { os::stop_gro(&socket)? };
        Ok(Self {
            receive_buffer: receive_buffer(&socket, config.receive_buffer),
            send_buffer: send_buffer(&socket, config.send_buffer),
            gso: state.max_gso_segments(),
            calls: os::Calls::new(state, &socket, config),
            socket,
            families,
            gro,
        })
    }

    /// Lets further sockets bind to the same port, or no longer.
    pub(crate) fn share(&self, shared: bool) -> io::Result<()> {
        Ok(sockopt::set_socket_reuseport(&self.socket, shared)?)
    }

    /// Where it is bound.
    pub(crate) fn addr(&self) -> io::Result<SocketAddr> {
        let addr = self.socket.local_addr()?;
        addr.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Sends as many messages as one call takes; an error is about the first.
    pub(crate) fn send(&self, messages: Messages<'_>) -> io::Result<usize> {
        let messages = messages.map(|it| Message { to: self.families.destination(it.to), ..it });
        self.calls.send(&self.socket, messages)
    }

    /// Fills slots with what one call gives.
    pub(crate) fn recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        recv::skip_passing(|| self.calls.receive(&self.socket, slots))
    }

    /// The largest number of datagrams in one message, as the system has it.
    pub(crate) fn gso_segments(&self) -> usize {
        self.gso
    }

    /// Its part of what `ntm status` shows.
    pub(crate) fn facts(&self, config: &Config) -> Vec<(String, String)> {
        [
            ("batch", self.calls.most().to_string()),
            ("families", self.families.to_string()),
            ("gro segments", self.gro.to_string()),
            ("receive buffer", granted(self.receive_buffer, config.receive_buffer)),
            ("send buffer", granted(self.send_buffer, config.send_buffer)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Families {
    fn of(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => Self::Both,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    fn domain(self) -> Domain {
        match self {
            Self::V4 => Domain::IPV4,
            Self::V6 | Self::Both => Domain::IPV6,
        }
    }

    /// `to` in the form that the socket's own family has for it.
    fn destination(self, to: SocketAddr) -> SocketAddr {
        match (self, to.ip().to_canonical()) {
            (Self::V4, IpAddr::V4(ip)) => SocketAddrV4::new(ip, to.port()).into(),
            (Self::V6 | Self::Both, IpAddr::V4(ip)) => {
                SocketAddrV6::new(ip.to_ipv6_mapped(), to.port(), 0, 0).into()
            }
            (_, IpAddr::V6(_)) => to,
        }
    }
}

impl std::fmt::Display for Families {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Both => "IPv4 and IPv6",
        })
    }
}

/// Where to listen instead, if `bind` means the whole machine and failed with
/// `error` because the machine has no IPv6.
pub(crate) fn without_ipv6(bind: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let missing = Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT);
    let whole_machine = Families::of(bind) == Families::Both;
    (missing && whole_machine).then(|| (Ipv4Addr::UNSPECIFIED, bind.port()).into())
}

/// Asks for a receive buffer and says what was granted. A refusal is no error:
/// a small buffer loses bursts, as a slow network does.
fn receive_buffer(socket: &Socket, bytes: u32) -> usize {
    let asked = clamp_free(bytes);
    if !os::force_receive_buffer(socket, asked) {
        let _smaller = sockopt::set_socket_recv_buffer_size(socket, asked);
    }
    sockopt::socket_recv_buffer_size(socket).unwrap_or(0) / os::BUFFER_ACCOUNTING
}

fn send_buffer(socket: &Socket, bytes: u32) -> usize {
    let asked = clamp_free(bytes);
    if !os::force_send_buffer(socket, asked) {
        let _smaller = sockopt::set_socket_send_buffer_size(socket, asked);
    }
    sockopt::socket_send_buffer_size(socket).unwrap_or(0) / os::BUFFER_ACCOUNTING
}

/// The kernel takes a C int and doubles it: no more than fits.
fn clamp_free(bytes: u32) -> usize {
    usize::try_from(bytes.min(1 << 30)).unwrap_or(usize::MAX)
}

fn granted(got: usize, asked: u32) -> String {
    if got < clamp_free(asked) {
        format!("{got} bytes, of {asked} asked for{}", os::BUFFER_LIMIT)
    } else {
        format!("{got} bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_whole_machine_falls_back_to_ipv4_and_only_for_want_of_ipv6() {
        let no_ipv6 = io::Error::from(Errno::AFNOSUPPORT);
        assert_eq!(without_ipv6(addr("[::]:4330"), &no_ipv6), Some(addr("0.0.0.0:4330")));
        assert_eq!(without_ipv6(addr("[2001:db8::1]:4330"), &no_ipv6), None);
        assert_eq!(without_ipv6(addr("0.0.0.0:4330"), &no_ipv6), None);
        let busy = io::Error::from(Errno::ADDRINUSE);
        assert_eq!(without_ipv6(addr("[::]:4330"), &busy), None);
    }

    #[test]
    fn a_destination_takes_the_form_of_the_sockets_family() {
        let (plain, mapped) = (addr("192.0.2.1:9"), addr("[::ffff:192.0.2.1]:9"));
        for to in [plain, mapped] {
            assert_eq!(Families::V4.destination(to), plain);
            assert_eq!(Families::Both.destination(to), mapped);
        }
        let scoped = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 0, 3));
        assert_eq!(Families::Both.destination(scoped), scoped);
    }

    #[test]
    fn a_buffer_smaller_than_asked_for_is_shown_as_such() {
        assert_eq!(granted(4096, 4096), "4096 bytes");
        assert!(granted(2048, 4096).starts_with("2048 bytes, of 4096 asked for"));
    }
}
