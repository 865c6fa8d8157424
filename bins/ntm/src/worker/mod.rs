//! A packet worker: one thread, one poll loop over the interface, the
//! transports and a wake-up descriptor. It drains what is there, then sends,
//! and never waits to fill a batch.
//!
//! What becomes of a packet is decided in `ntm-core` (`Carrier`, `Forwarder`);
//! here it is only moved. Everything that is not a capsule goes to the control
//! task through the [`Mailbox`].

mod mailbox;
mod outgoing;
mod receive;
mod wake;

pub(crate) use mailbox::{Broken, Delivery, Mailbox, Stats, WorkerStats};
pub(crate) use wake::{Waker, wake_up};

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ntm_core::plugin::Lane;
use ntm_core::relay::Forwarder;
use ntm_core::tunnel::{Carrier, Outbound, TableReader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock;
use outgoing::Outgoing;
use receive::{Buffers, SLOTS};
use wake::Wakeup;

/// Rounds of reading one lane before the others get their turn.
const ROUNDS: usize = 8;

/// While packets wait for a path, look after them this often.
const HOLD_CHECK: Duration = Duration::from_millis(20);

/// What a worker works on.
pub(crate) struct Lanes {
    /// Where applications' packets come and go; a coordinator or relay has none.
    pub(crate) interface: Option<Arc<dyn Lane>>,
    /// One for each transport, in their order.
    pub(crate) transports: Vec<Arc<dyn Lane>>,
}

pub(crate) struct Worker {
    lanes: Lanes,
    carrier: Carrier,
    forwarder: Forwarder,
    mailbox: Arc<Mailbox>,
    wakeup: Wakeup,
    stop: Arc<AtomicBool>,
    /// Lanes that broke for good, one bit each as in [`Worker::wait`].
    broken: u64,
    buffers: Buffers,
    outgoing: Outgoing,
    /// Packets for the interface: which buffer, where in it.
    inward: Vec<(usize, usize, usize)>,
    stats: WorkerStats,
}

/// Reports a thread that ends before it is told to.
struct Watched {
    mailbox: Arc<Mailbox>,
    stop: Arc<AtomicBool>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.stop.load(Ordering::Acquire) {
            self.mailbox.broken(Broken::Worker);
        }
    }
}

/// A running worker.
pub(crate) struct Handle {
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a worker on a thread of its own.
    pub(crate) fn start(
        lanes: Lanes,
        tunnels: TableReader,
        forwarder: Forwarder,
        mailbox: Arc<Mailbox>,
    ) -> io::Result<Handle> {
        let (waker, wakeup) = wake_up()?;
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Self {
            lanes,
            carrier: Carrier::new(tunnels),
            forwarder,
            mailbox,
            wakeup,
            stop: stop.clone(),
            broken: 0,
            buffers: Buffers::new(),
            outgoing: Outgoing::default(),
            inward: Vec::with_capacity(SLOTS * 64),
            stats: WorkerStats::default(),
        };
        let thread = std::thread::Builder::new().name("ntm-worker".into());
        let watched = Watched { mailbox: worker.mailbox.clone(), stop: stop.clone() };
        let thread = thread.spawn(move || {
            let _watched = watched;
            worker.run();
        })?;
        Ok(Handle { waker, stop, thread: Some(thread) })
    }

    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "a packet worker cannot wait for packets any more");
                    return;
                }
            };
            self.wakeup.clear();
            for at in 0..self.lanes.transports.len() {
                if ready & 1 << at != 0 {
                    self.receive(at);
                }
            }
            if ready & INTERFACE != 0 {
                self.take_from_applications();
            }
            self.release();
            self.mailbox.publish(self.stats, self.carrier.dropped(), self.carrier.held_in_vain());
        }
    }

    /// Waits until something can be done; one bit for each transport lane, and
    /// one for the interface.
    fn wait(&mut self) -> io::Result<u64> {
        let timeout = self
            .carrier
            .is_holding()
            .then(|| Timespec { tv_sec: 0, tv_nsec: i64::from(HOLD_CHECK.subsec_nanos()) });
        let transports = self.lanes.transports.iter().enumerate().map(|(at, l)| (1 << at, l));
        let interface = self.lanes.interface.iter().map(|lane| (INTERFACE, lane));
        let (bits, lanes): (Vec<u64>, Vec<_>) =
            transports.chain(interface).filter(|(bit, _)| self.broken & bit == 0).unzip();
        let mut fds = vec![PollFd::from_borrowed_fd(self.wakeup.as_fd(), PollFlags::IN)];
        fds.extend(lanes.iter().map(|lane| PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        // An error or a hang-up is told by the next read.
        let ready = fds[1..].iter().zip(bits).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.map(|(_, bit)| bit).sum())
    }

    /// Sends what applications have to say.
    fn take_from_applications(&mut self) {
        let Some(interface) = self.lanes.interface.clone() else { return };
        for _ in 0..ROUNDS {
            let filled = match self.buffers.fill(&*interface) {
                Ok(filled) => filled,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::error!(%error, "the virtual interface is broken");
                    self.broken |= INTERFACE;
                    return self.mailbox.broken(Broken::Interface);
                }
            };
            let now = clock::now();
            for at in 0..filled {
                let len = self.buffers.meta(at).len;
                let packet = &self.buffers.bytes(at)[..len];
                let start = self.outgoing.len();
                match self.carrier.outbound(now, packet, self.outgoing.buffer()) {
                    Outbound::To { leg, ecn } => self.outgoing.add(start, leg, ecn),
                    Outbound::Held { miss: Some(vip) } => self.mailbox.miss(vip),
                    Outbound::Held { miss: None } | Outbound::Dropped => {}
                    Outbound::Answer(answer) => {
                        let answer = [ntm_core::plugin::TxPacket::new(
                            &answer,
                            ntm_core::plugin::Addr::NONE,
                        )];
                        if interface.try_send(&answer).is_err() {
                            self.stats.interface_drops += 1;
                        }
                    }
                }
            }
            self.flush();
            if filled < SLOTS {
                break;
            }
        }
    }

    fn flush(&mut self) {
        self.outgoing.flush(&self.lanes.transports, &mut self.stats);
    }

    /// Sends what has been waiting for a path.
    fn release(&mut self) {
        if self.carrier.is_holding() {
            let outgoing = &mut self.outgoing;
            self.carrier.release(clock::now(), |leg, ecn, capsule| {
                let start = outgoing.len();
                outgoing.buffer().extend_from_slice(capsule);
                outgoing.add(start, leg, ecn);
            });
            self.flush();
        }
    }
}

/// The bit that stands for the interface.
const INTERFACE: u64 = 1 << 63;

impl Handle {
    /// The tables have changed: look whether something can go now.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a packet worker has panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write as _};
    use std::os::fd::BorrowedFd;

    use ntm_core::Rng;
    use ntm_core::plugin::{RxSlot, TxPacket};
    use ntm_core::relay::ForwardTable;
    use ntm_core::tunnel::Table;

    use super::*;

    /// A lane of a plugin with a mistake in it.
    struct Mistaken(PipeReader);

    impl Lane for Mistaken {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            Ok(packets.len())
        }

        fn try_recv(&self, _: &mut [RxSlot<'_>]) -> io::Result<usize> {
            panic!("the mistake")
        }
    }

    #[tokio::test]
    async fn a_worker_that_ends_by_itself_is_noticed_and_one_that_is_stopped_is_not() {
        let mut rng = Rng::from_seed([0; 32]);
        let (table, forwards) = (Table::new(&mut rng), ForwardTable::new(&mut rng));
        let mailbox = Arc::new(Mailbox::new(&mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        let start = |lane: PipeReader| {
            let transports: Vec<Arc<dyn Lane>> = vec![Arc::new(Mistaken(lane))];
            let lanes = Lanes { interface: None, transports };
            Worker::start(lanes, table.reader(), forwards.reader(), mailbox.clone()).unwrap()
        };

        drop(start(reader.try_clone().unwrap()));
        assert_eq!(mailbox.take().broken, None);

        let _handle = start(reader);
        writer.write_all(b"a datagram").unwrap();
        tokio::time::timeout(Duration::from_secs(10), mailbox.wait()).await.unwrap();
        assert_eq!(mailbox.take().broken, Some(Broken::Worker));
    }
}
