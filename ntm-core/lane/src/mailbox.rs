use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use ntm_core::plugin::{Lane, RxSlot, TxPacket};

use crate::bell::Bell;
use crate::{Packet, Room, ring::Ring};

/// The worker's end of a mailbox.
pub struct MailboxLane(Arc<Shared>);

/// The plugin's end of a mailbox. Dropping it closes the lane.
pub struct Far(Arc<Shared>);

struct Shared {
    inward: Ring,
    outward: Ring,
    bell: Bell,
    /// Whom to wake when something is to be sent.
    taker: AtomicWaker,
    closed: AtomicBool,
}

/// Both ends of a mailbox whose rings have this much room each.
///
/// # Errors
/// The system has no pipe left.
pub fn mailbox(room: Room) -> io::Result<(Arc<MailboxLane>, Far)> {
    let shared = Arc::new(Shared {
        inward: Ring::new(room),
        outward: Ring::new(room),
        bell: Bell::new()?,
        taker: AtomicWaker::new(),
        closed: AtomicBool::new(false),
    });
    Ok((Arc::new(MailboxLane(shared.clone())), Far(shared)))
}

impl Shared {
    fn closed(&self) -> Option<io::Error> {
        let is_closed = self.closed.load(Ordering::Acquire);
        let error = || io::Error::new(io::ErrorKind::NotConnected, "the transport is closed");
        is_closed.then(error)
    }
}

impl Lane for MailboxLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.bell.fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        if let Some(error) = self.0.closed() {
            return Err(error);
        }
        let outward = &self.0.outward;
        let fits =
            |packet: &&TxPacket<'_>| outward.push(packet.data().len(), || Packet::from(*packet));
        let taken = packets.iter().take_while(fits).count();
        if taken > 0 {
            self.0.taker.wake();
        }
        if taken == 0 && !packets.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let inward = &self.0.inward;
        let mut filled = 0;
        for slot in slots {
            let Some(packet) = inward.pop() else { break };
            packet.fill(slot);
            filled += 1;
        }
        let closed = self.0.closed();
        if inward.is_empty() && closed.is_none() {
            // A lane that is being closed rings for good.
            self.0.bell.quiet(|| inward.is_empty() && self.0.closed().is_none());
        }
        match (filled, closed) {
            (0, Some(error)) => Err(error),
            (0, None) => Err(io::ErrorKind::WouldBlock.into()),
            (filled, _) => Ok(filled),
        }
    }
}

impl Far {
    /// Hands a packet to the worker. Says whether there was room; what finds none
    /// is counted.
    pub fn deliver(&self, packet: Packet) -> bool {
        let Shared { inward, bell, .. } = &*self.0;
        let (len, datagrams) = (packet.data.len(), packet.segments().count() as u64);
        let taken = inward.push(len, || packet);
        if taken {
            bell.ring();
        } else {
            inward.count_dropped(datagrams);
        }
        taken
    }

    /// What the worker sends, in its order, if there is something.
    pub fn try_take(&self) -> Option<Packet> {
        self.0.outward.pop()
    }

    /// The same, to be woken for: the last caller's waker is woken once there is
    /// something. `None` once the mailbox is closed and empty.
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Packet>> {
        if let Some(packet) = self.try_take() {
            return Poll::Ready(Some(packet));
        }
        self.0.taker.register(cx.waker());
        // What came before the waker was there.
        match self.try_take() {
            Some(packet) => Poll::Ready(Some(packet)),
            None if self.0.closed().is_some() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Waits for what the worker sends next; `None` once the mailbox is closed and
    /// empty. Cancel safe.
    pub async fn take(&self) -> Option<Packet> {
        std::future::poll_fn(|cx| self.poll_take(cx)).await
    }

    /// Datagrams that the worker has not fetched in time.
    pub fn dropped(&self) -> u64 {
        self.0.inward.dropped()
    }

    /// Nothing goes through any more. The lane answers with an error once the worker
    /// has fetched what was delivered, and its descriptor wakes who polls it.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.bell.ring();
        self.0.taker.wake();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.close();
    }
}
