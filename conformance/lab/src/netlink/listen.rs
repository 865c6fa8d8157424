use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use ntm_core::Time;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::clock::now;
use crate::error::{Doing, Result};
use crate::netns::Netns;

/// A netlink socket that hears of links, addresses and routes.
pub(crate) struct Listener {
    socket: Socket,
    stop: Arc<Stop>,
}

/// Ends a listener's loop.
pub(crate) struct Stop(EventFd);

impl Stop {
    pub(crate) fn now(&self) {
        let _ = self.0.write(1);
    }
}

impl Listener {
    pub(crate) fn open(netns: &Netns) -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            // A burst of routes must not overflow it; more than the system
            // allows is cut down silently.
            socket.set_rx_buf_sz(4_i32 << 20)?;
            socket.bind(&SocketAddr::new(0, GROUPS))?;
            socket.set_non_blocking(true)?;
            io::Result::Ok(socket)
        };
        let socket = netns.run(open).doing(|| format!("listen to netlink in {}", netns.name()))?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)
            .doing(|| "make an event descriptor".to_owned())?;
        Ok(Self { socket, stop: Arc::new(Stop(stop)) })
    }

    pub(crate) fn stop(&self) -> Arc<Stop> {
        self.stop.clone()
    }

    /// Calls back with each message until stopped; with `None` where messages
    /// were lost.
    pub(crate) fn run(&self, mut hear: impl FnMut(Time, Option<RouteNetlinkMessage>)) {
        loop {
            let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
            let mut fds = [readable(self.socket.as_fd()), readable(self.stop.0.as_fd())];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) if fds[1].any() == Some(true) => return,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            loop {
                match self.socket.recv_from_full() {
                    Ok((datagram, _)) => {
                        let at = now();
                        each_message(&datagram, |message| hear(at, Some(message)));
                    }
                    Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                        hear(now(), None);
                    }
                    Err(_) => break,
                }
            }
        }
    }
}

/// The messages of a datagram that can be understood.
fn each_message(mut datagram: &[u8], mut hear: impl FnMut(RouteNetlinkMessage)) {
    while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) {
        // Messages are aligned to four bytes.
        let length = (message.header.length as usize).next_multiple_of(4);
        if let NetlinkPayload::InnerMessage(inner) = message.payload {
            hear(inner);
        }
        if length == 0 || length >= datagram.len() {
            return;
        }
        datagram = &datagram[length..];
    }
}

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`,
/// `RTMGRP_IPV6_IFADDR` and `RTMGRP_IPV6_ROUTE` (rtnetlink(7)).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
