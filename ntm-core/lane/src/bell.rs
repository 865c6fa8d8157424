use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::ioctl_fionbio;

/// A pipe with something in it for as long as there is something to fetch. Any
/// thread rings; one thread fetches.
///
/// Whoever adds something adds it first and rings then; whoever finds nothing
/// quiets the bell first and looks again then. So nothing lies unnoticed. A bell
/// that rings for what has been fetched meanwhile is possible, and goes quiet at
/// the next look.
pub(crate) struct Bell {
    reader: PipeReader,
    writer: PipeWriter,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        ioctl_fionbio(&reader, true)?;
        ioctl_fionbio(&writer, true)?;
        Ok(Self { reader, writer, rung: AtomicBool::new(false) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// To be called after something was added.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A full pipe is readable too.
            let _full = (&self.writer).write(&[0]);
        }
    }

    /// To be called when there was nothing more. `is_empty` is asked once the
    /// bell is quiet.
    pub(crate) fn quiet(&self, is_empty: impl FnOnce() -> bool) {
        // What a thread is about to write for a ring that has been seen comes later
        // and is taken by the next call.
        let _nothing = (&self.reader).read(&mut [0; 64]);
        // Reads what the last ringer wrote, and so sees what it had added.
        self.rung.swap(false, Ordering::AcqRel);
        if !is_empty() {
            self.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn rings(bell: &Bell) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(bell.fd(), PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    #[test]
    fn it_rings_until_it_is_quieted_and_again_for_what_came_in_between() {
        let bell = Bell::new().unwrap();
        assert!(!rings(&bell));
        bell.ring();
        bell.ring();
        assert!(rings(&bell));
        bell.quiet(|| true);
        assert!(!rings(&bell));
        bell.ring();
        bell.quiet(|| false);
        assert!(rings(&bell));
    }
}
