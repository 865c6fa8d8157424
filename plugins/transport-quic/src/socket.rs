use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::Config;

/// The socket for `config.bind`, or the nearest to it that this machine has.
pub(crate) fn open(config: &Config) -> io::Result<UdpSocket> {
    let bind = SocketAddr::new(config.bind.ip().to_canonical(), config.bind.port());
    bound(bind, config, false).or_else(|error| {
        let no_ipv6 = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
        let instead = Errno::from_io_error(&error).is_some_and(|it| no_ipv6.contains(&it))
            && bind.is_ipv6()
            && bind.ip().is_unspecified();
        if !instead {
            return Err(error);
        }
        let bind = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), bind.port());
        tracing::info!("this machine has no IPv6: listening at {bind}");
        bound(bind, config, false)
    })
}

/// Another one at the same port as `old`.
pub(crate) fn beside(old: &UdpSocket, config: &Config) -> io::Result<UdpSocket> {
    share(old, true)?;
    bound(old.local_addr()?, config, true)
}

/// Leaves everything that arrives to the others at the port of `old`. Quinn keeps it
/// open until something has come to its successor, and the system goes on giving it
/// the packets of some remote addresses: they have been seen to lie there unread.
pub(crate) fn retire(old: &UdpSocket) -> io::Result<()> {
    // Discard (RFC 863): of all remote addresses it hears this one alone.
    const DISCARD: u16 = 9;
    let ip = match old.local_addr()?.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        own @ (IpAddr::V4(_) | IpAddr::V6(_)) => own,
    };
    old.connect((ip, DISCARD))
}

/// Whether others may join this socket's port.
pub(crate) fn share(socket: &UdpSocket, shared: bool) -> io::Result<()> {
    socket2::SockRef::from(socket).set_reuse_port(shared)
}

fn bound(bind: SocketAddr, config: &Config, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    if bind.is_ipv6() {
        socket.set_only_v6(!bind.ip().is_unspecified())?;
    }
    socket.set_reuse_port(shared)?;
    for (set, bytes) in [
        (Socket::set_recv_buffer_size as fn(&Socket, usize) -> _, config.receive_buffer),
        (Socket::set_send_buffer_size, config.send_buffer),
    ] {
        // What the system does not grant costs bursts, not the transport.
        let _less = set(&socket, bytes as usize);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&bind.into())?;
    Ok(socket.into())
}
