//! The descriptor of a lane that stays the same while instances come and go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use rustix::event::epoll;

impl Port {
    /// Nothing will come any more: whoever polls is to look, and finds that the lane is
    /// over.
    pub(crate) fn end(&self) {
        match io::pipe() {
            Ok((reader, _)) => drop(self.plug(OwnedFd::from(reader))),
            Err(_) => self.unplug(),
        }
    }
}

/// Readable while what is plugged in is.
#[cfg(target_os = "linux")]
pub(crate) struct Port {
    epoll: OwnedFd,
    plugged: Mutex<Option<OwnedFd>>,
}

#[cfg(target_os = "linux")]
impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, plugged: Mutex::default() })
    }

    /// From now on it is readable when `fd` is.
    pub(crate) fn plug(&self, fd: OwnedFd) -> io::Result<()> {
        self.unplug();
        let data = epoll::EventData::new_u64(0);
        epoll::add(&self.epoll, &fd, data, epoll::EventFlags::IN)?;
        *self.plugged.lock().unwrap_or_else(PoisonError::into_inner) = Some(fd);
        Ok(())
    }

    /// It is not readable any more.
    pub(crate) fn unplug(&self) {
        let plugged = self.plugged.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(fd) = plugged {
            // The plugin has the same one open, so closing ours would not do.
            let _gone = epoll::delete(&self.epoll, fd);
        }
    }
}

#[cfg(target_os = "linux")]
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// The first that is plugged in, for good: other systems have no descriptor that
/// stands for another.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Port {
    first: std::sync::OnceLock<OwnedFd>,
    /// Never readable.
    empty: (io::PipeReader, io::PipeWriter),
}

#[cfg(not(target_os = "linux"))]
impl Port {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { first: std::sync::OnceLock::new(), empty: io::pipe()? })
    }

    pub(crate) fn plug(&self, fd: OwnedFd) -> io::Result<()> {
        self.first.set(fd).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn unplug(&self) {}
}

#[cfg(not(target_os = "linux"))]
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.first.get().map_or_else(|| self.empty.0.as_fd(), AsFd::as_fd)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn readable(port: &Port) -> bool {
        let mut fds = [PollFd::new(port, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 1)
    }

    #[test]
    fn it_is_readable_while_what_is_plugged_in_is() {
        let port = Port::new().unwrap();
        assert!(!readable(&port));
        let (full, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        // The plugin keeps its own.
        let plugins = full.try_clone().unwrap();
        port.plug(full.into()).unwrap();
        assert!(readable(&port));
        port.unplug();
        assert!(!readable(&port));

        let (empty, mut writer) = io::pipe().unwrap();
        port.plug(empty.into()).unwrap();
        assert!(!readable(&port));
        writer.write_all(b"x").unwrap();
        assert!(readable(&port));
        drop(plugins);
    }
}
