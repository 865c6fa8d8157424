use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use rustix::io::{Errno, retry_on_intr};

use crate::system::Queue;

/// A queue of the device, which does not block.
pub(crate) struct TunLane(pub(crate) Queue);

impl Lane for TunLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        for (taken, packet) in packets.iter().enumerate() {
            match retry_on_intr(|| self.0.write(packet)) {
                Ok(()) => {}
                Err(errno) if taken == 0 => return Err(at_sending(errno)),
                Err(_) => return Ok(taken),
            }
        }
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let mut filled = 0;
        // A read for each slot, even if some bring nothing of use: a flood of
        // nonsense does not keep the worker here.
        for _ in 0..slots.len() {
            let slot = &mut slots[filled];
            match retry_on_intr(|| self.0.read(slot)) {
                Ok(true) => {
                    describe(slot);
                    filled += 1;
                }
                Ok(false) => {}
                Err(errno) if filled == 0 => return Err(errno.into()),
                Err(_) => break,
            }
        }
        if filled == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(filled) }
    }
}

/// The device's buffer may be full in two ways.
fn at_sending(errno: Errno) -> io::Error {
    if errno == Errno::NOBUFS { io::ErrorKind::WouldBlock.into() } else { errno.into() }
}

fn describe(slot: &mut RxSlot<'_>) {
    slot.remote = Addr::NONE;
    slot.local = Addr::NONE;
    slot.ifindex = 0;
    slot.ecn = 0;
}
