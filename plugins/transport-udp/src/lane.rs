use std::io::{self, PipeReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ntm_core::plugin::{Lane, RxSlot, TxPacket};

use crate::bound::Bound;
use crate::error;
use crate::os::ReadySet;
use crate::send::{self, Gso};

/// A lane over whichever socket is current.
pub(crate) struct UdpLane {
    ready: ReadySet,
    /// `None` once closed.
    bound: ArcSwapOption<Bound>,
    gso: Arc<Gso>,
    /// Readable from the first day; joins `ready` at the end, so that a worker
    /// that sleeps learns of it.
    end: PipeReader,
}

impl UdpLane {
    pub(crate) fn new(bound: Bound, gso: Arc<Gso>) -> io::Result<Self> {
        let ready = ReadySet::new()?;
        ready.add(&bound)?;
        let (end, mut writer) = io::pipe()?;
        writer.write_all(&[0])?;
        Ok(Self { ready, bound: ArcSwapOption::from_pointee(bound), gso, end })
    }

    /// The socket of the moment.
    pub(crate) fn bound(&self) -> io::Result<Arc<Bound>> {
        self.bound.load_full().ok_or_else(error::closed)
    }

    /// Goes on with another socket. What lies unread in the old one is lost.
    pub(crate) fn replace(&self, bound: Bound) -> io::Result<()> {
        self.ready.add(&bound)?;
        if let Some(old) = self.bound.swap(Some(Arc::new(bound))) {
            self.ready.remove(&*old)?;
        }
        Ok(())
    }

    /// Lets go of the socket. Its port is free when the calls that are under
    /// way have returned.
    pub(crate) fn close(&self) -> io::Result<()> {
        match self.bound.swap(None) {
            Some(old) => self.ready.add(&self.end).and(self.ready.remove(&*old)),
            None => Ok(()),
        }
    }
}

impl Lane for UdpLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        let bound = self.bound.load();
        let bound = bound.as_ref().ok_or_else(error::closed)?;
        send::send(packets, &self.gso, |messages| bound.send(messages))
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let bound = self.bound.load();
        bound.as_ref().ok_or_else(error::closed)?.recv(slots)
    }
}
