use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::ioctl_fionbio;

/// Wakes a worker out of its poll.
pub(crate) struct Waker(PipeWriter);

/// The worker's end.
pub(crate) struct Wakeup(PipeReader);

/// Both ends.
pub(crate) fn wake_up() -> io::Result<(Waker, Wakeup)> {
    let (reader, writer) = io::pipe()?;
    ioctl_fionbio(&reader, true)?;
    ioctl_fionbio(&writer, true)?;
    Ok((Waker(writer), Wakeup(reader)))
}

impl Waker {
    pub(crate) fn wake(&self) {
        // A full pipe means that it will wake anyway.
        let _full = (&self.0).write(&[0]);
    }
}

impl Wakeup {
    pub(crate) fn clear(&mut self) {
        let mut buffer = [0; 64];
        while matches!(self.0.read(&mut buffer), Ok(64)) {}
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
