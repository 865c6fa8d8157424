//! What if-watch does not see on macOS: a default route or primary service that
//! changes, links, and a Wi-Fi that changes under the same address. A routing socket
//! (route(4)) tells all of it.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use ntm_core::plugin::Change;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::message;
use crate::watcher::BURST;

/// A socket on which the system tells of every change of addresses, links, routes.
pub(crate) struct RouteSocket(AsyncFd<OwnedFd>);

impl RouteSocket {
    /// Listens from now on. Needs no privilege.
    ///
    /// # Errors
    /// The system has no socket to give.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = socket(AddressFamily::Route, SockType::Raw, SockFlag::empty(), None)?;
        rustix::io::ioctl_fioclex(&socket)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Self::from_socket(socket)
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe and asks what OwnedFd promises: to stay open and the same"
    )]
    fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }

    /// The next change; what is there already is taken together. An error is the end.
    pub(crate) fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Change>> {
        let mut buffer = [0; 2048];
        loop {
            let mut readable = ready!(self.0.poll_read_ready(context))?;
            let mut change = None;
            for _ in 0..BURST {
                match rustix::io::read(self.0.get_ref(), &mut buffer) {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Ok(length) => change = message::change(&buffer[..length]).or(change),
                    // More came than its buffer holds.
                    Err(Errno::NOBUFS) => change = Some(Change::Resync),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        readable.clear_ready();
                        break;
                    }
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            if let Some(change) = change {
                return Poll::Ready(Ok(change));
            }
        }
    }
}
