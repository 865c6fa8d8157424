//! What a worker does with lanes.

use std::io::{self, ErrorKind};

use ntm_core::plugin::{Lane, RxSlot};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether the descriptor polls readable now, be it with an error.
pub(super) fn is_readable(lane: &dyn Lane) -> bool {
    wait(lane, Timespec { tv_sec: 0, tv_nsec: 0 })
}

/// Polls the descriptor for at most so long.
pub(super) fn wait(lane: &dyn Lane, limit: Timespec) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)];
    poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// Buffers as large as a whole run.
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![vec![0; 65_535]; count])
    }

    /// What the lane gives in one call; nothing, if it has nothing.
    pub(super) fn take<T>(
        &mut self,
        lane: &dyn Lane,
        mut each: impl FnMut(&RxSlot<'_>) -> T,
    ) -> io::Result<Vec<T>> {
        let mut slots: Vec<_> = self.0.iter_mut().map(|buffer| RxSlot::new(buffer)).collect();
        match lane.try_recv(&mut slots) {
            Ok(filled) => Ok(slots.iter().take(filled).map(&mut each).collect()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
