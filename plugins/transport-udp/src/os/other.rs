use std::array;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ntm_core::plugin::{Addr, RxSlot};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent, kqueue};
use rustix::io::Errno;
use socket2::{Protocol, Socket, Type};

use crate::Config;
use crate::message::Message;

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

/// quinn-udp's calls: one message each, without DSCP.
pub(crate) struct Calls(ArcSwap<UdpSocketState>);

impl Calls {
    pub(crate) fn new(state: UdpSocketState, _socket: &Socket, _config: &Config) -> Self {
        Self(ArcSwap::from_pointee(state))
    }

    /// Messages in one call, at most.
    pub(crate) fn most(&self) -> usize {
        1
    }

    /// Sends the first message. An interface cannot be named here: the system
    /// chooses it by the destination.
    pub(crate) fn send<'a>(
        &self,
        socket: &Socket,
        mut messages: impl Iterator<Item = Message<'a>>,
    ) -> io::Result<usize> {
        let Some(message) = messages.next() else { return Ok(0) };
        let transmit = Transmit {
            destination: message.to,
            ecn: EcnCodepoint::from_bits(message.ecn),
            contents: message.contents,
            segment_size: message.segment.map(usize::from),
            src_ip: message.pin.and_then(|pin| pin.source),
        };
        let result = self.0.load().try_send(socket.into(), &transmit);
        if let Err(error) = &result
            && matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::IO))
        {
            self.forget_refusal(socket);
        }
        result.map(|()| 1)
    }

    /// Fills slots with what one call gives.
    pub(crate) fn receive(&self, socket: &Socket, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let lent = slots.len().min(BATCH_SIZE);
        if lent == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut lenders = slots.iter_mut();
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(lenders.next().map_or(&mut [], RxSlot::buffer)));
        let filled = self.0.load().recv(socket.into(), &mut buffers[..lent], &mut metas)?;
        for (slot, meta) in slots.iter_mut().zip(&metas[..filled]) {
            describe(slot, meta);
        }
        Ok(filled)
    }

    /// quinn-udp takes `EINVAL` and `EIO` for an old kernel and from then on
    /// sends no ECN bits over IPv4. Both also come from a single bad
    /// destination, so its memory is replaced by one without that experience.
    fn forget_refusal(&self, socket: &Socket) {
        let fresh = socket
            .local_addr()
            .and_then(|addr| Socket::new(addr.domain(), Type::DGRAM, Some(Protocol::UDP)))
            .and_then(|scratch| UdpSocketState::new((&scratch).into()));
        if let Ok(state) = fresh {
            self.0.store(Arc::new(state));
        }
    }
}

fn describe(slot: &mut RxSlot<'_>, meta: &RecvMeta) {
    let is_run = meta.stride < meta.len;
    slot.fill(meta.len, if is_run { meta.stride.try_into().unwrap_or(0) } else { 0 });
    let mut remote = meta.addr;
    remote.set_ip(remote.ip().to_canonical());
    slot.remote = remote.into();
    slot.local = meta.dst_ip.map_or(Addr::NONE, |ip| ip.to_canonical().into());
    slot.ifindex = meta.interface_index.unwrap_or(0);
    slot.ecn = meta.ecn.map_or(0, |ecn| ecn as u8);
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
