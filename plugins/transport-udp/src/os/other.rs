use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use quinn_udp::{Transmit, UdpSocketState};
use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent, kqueue};
use socket2::Socket;

use crate::send::{Message, Pin};

/// A buffer is as large as it says.
pub(crate) const BUFFER_ACCOUNTING: usize = 1;

/// What holds a buffer down.
pub(crate) const BUFFER_LIMIT: &str = " (kern.ipc.maxsockbuf)";

/// One descriptor that polls readable while any of its sources does. It
/// outlives the sources, so a lane keeps its descriptor when its socket changes.
pub(crate) struct ReadySet(OwnedFd);

impl ReadySet {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(kqueue()?))
    }

    pub(crate) fn add(&self, source: impl AsFd) -> io::Result<()> {
        self.change(source, EventFlags::ADD)
    }

    pub(crate) fn remove(&self, source: impl AsFd) -> io::Result<()> {
        self.change(source, EventFlags::DELETE)
    }

    #[allow(unsafe_code)]
    fn change(&self, source: impl AsFd, flags: EventFlags) -> io::Result<()> {
        let filter = EventFilter::Read(source.as_fd().as_raw_fd());
        let changes = [Event::new(filter, flags, ptr::null_mut())];
        let mut none: [Event; 0] = [];
        // SAFETY: the descriptor is borrowed, so it is open now, and the system
        // takes it out of the queue when it is closed.
        unsafe { kevent(&self.0, &changes, &mut none, Some(Duration::ZERO)) }?;
        Ok(())
    }
}

impl AsFd for ReadySet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends one message from the pinned source. An interface cannot be named here:
/// the system chooses it by the destination.
pub(crate) fn send_pinned(
    state: &UdpSocketState,
    socket: &Socket,
    to: SocketAddr,
    message: &Message<'_>,
    pin: Pin,
) -> io::Result<()> {
    let transmit = Transmit {
        destination: to,
        ecn: message.ecn,
        contents: message.contents,
        segment_size: message.segment.map(usize::from),
        src_ip: pin.source,
    };
    state.try_send(socket.into(), &transmit)
}

/// Nothing was asked for.
pub(crate) fn drop_timestamps(_socket: &Socket) {}

/// There is none.
pub(crate) fn stop_gro(_socket: &Socket) -> io::Result<usize> {
    Ok(1)
}

/// There is no way past the limit.
pub(crate) fn force_receive_buffer(_socket: &Socket, _bytes: usize) -> bool {
    false
}

/// As [`force_receive_buffer`].
pub(crate) fn force_send_buffer(_socket: &Socket, _bytes: usize) -> bool {
    false
}
