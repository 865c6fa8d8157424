use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use rustix::io::{Errno, retry_on_intr};

use crate::system;

/// A queue of the device.
pub(crate) struct TunLane(OwnedFd);

impl TunLane {
    /// `queue` does not block.
    pub(crate) fn new(queue: OwnedFd) -> Self {
        Self(queue)
    }
}

impl Lane for TunLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        for (taken, packet) in packets.iter().enumerate() {
            for segment in packet.segments() {
                match retry_on_intr(|| system::write(&self.0, segment)) {
                    Ok(()) => {}
                    Err(errno) if taken == 0 => return Err(at_sending(errno)),
                    Err(_) => return Ok(taken),
                }
            }
        }
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        for (filled, slot) in slots.iter_mut().enumerate() {
            match retry_on_intr(|| system::read(&self.0, slot.buffer())) {
                Ok(len) => describe(slot, len),
                Err(errno) if filled == 0 => return Err(errno.into()),
                Err(_) => return Ok(filled),
            }
        }
        if slots.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(slots.len()) }
    }
}

/// The device's buffer may be full in two ways.
fn at_sending(errno: Errno) -> io::Error {
    if errno == Errno::NOBUFS { io::ErrorKind::WouldBlock.into() } else { errno.into() }
}

fn describe(slot: &mut RxSlot<'_>, len: usize) {
    slot.fill(len, 0);
    slot.remote = Addr::NONE;
    slot.local = Addr::NONE;
    slot.ifindex = 0;
    slot.ecn = 0;
}
