//! A packet worker: one thread, one poll loop over the interface, the
//! transports and a wake-up descriptor. It drains what is there, then sends,
//! and never waits to fill a batch.
//!
//! What becomes of a packet is decided in `ntm-core` (`Carrier`, `Forwarder`);
//! here it is only moved. Everything that is not a capsule goes to the control
//! task through the [`Mailbox`].

mod applications;
mod beat;
mod inward;
mod mailbox;
mod outgoing;
mod pool;
mod priority;
mod receive;
mod wake;

pub(crate) use mailbox::{Broken, Delivery, Mailbox, Stats, WorkerStats};
pub(crate) use wake::{Waker, wake_up};

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ntm_core::plugin::{Interface, Lane, Offload};
use ntm_core::relay::Forwarder;
use ntm_core::tunnel::{Batch, Carrier, Dscp, TableReader};
use ntm_core::{Rng, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use applications::RELEASE_EVERY;
use beat::{Beat, Pulse};
use inward::Inward;
use pool::Queue;
use receive::Received;
use wake::Wakeup;

/// Room for the largest run or super-packet.
const SLOT: usize = 65_536;

/// Transports that a worker serves at most.
pub(crate) const MOST_TRANSPORTS: usize = 14;

/// While packets wait for a path, look after them this often.
const HOLD_CHECK: Duration = Duration::from_millis(20);

/// A worker that is told to end is waited for this long, and then left alone: it
/// may be in a lane that does not come back.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) dscp: Dscp,
    /// Before all threads that are not.
    pub(crate) realtime: bool,
}

/// What a worker works on.
pub(crate) struct Lanes {
    /// Where applications' packets come and go; a coordinator or relay has none.
    pub(crate) interface: Option<Arc<dyn Lane>>,
    /// What super-packets it takes.
    pub(crate) offload: Offload,
    /// One for each transport, in their order; at most [`MOST_TRANSPORTS`].
    pub(crate) transports: Vec<Arc<dyn Lane>>,
    /// Those that another worker reads, one bit each as in [`Worker::wait`].
    pub(crate) borrowed: u64,
}

impl Lanes {
    /// Those of worker number `at`. Where there are fewer lanes than workers it
    /// sends by one that another reads.
    pub(crate) fn new(
        at: usize,
        interface: Option<&dyn Interface>,
        transports: &[Vec<Arc<dyn Lane>>],
    ) -> Self {
        let pick = |lanes: &[Arc<dyn Lane>]| lanes.get(at % lanes.len().max(1)).cloned();
        let mut borrowed = 0;
        for (nth, lanes) in transports.iter().enumerate() {
            borrowed |= u64::from(at >= lanes.len()) << nth;
        }
        let queues = interface.map(|it| it.lanes()).unwrap_or_default();
        if at >= queues.len() {
            borrowed |= INTERFACE;
        }
        Self {
            interface: pick(&queues),
            offload: interface.map_or(Offload::NONE, Interface::offload),
            transports: transports.iter().filter_map(|lanes| pick(lanes)).collect(),
            borrowed,
        }
    }
}

pub(crate) struct Worker {
    /// Its place among the workers.
    number: usize,
    lanes: Lanes,
    carrier: Carrier,
    forwarder: Forwarder,
    mailbox: Arc<Mailbox>,
    wakeup: Wakeup,
    stop: Arc<AtomicBool>,
    beat: Beat,
    /// Lanes that are not read, one bit each as in [`Worker::wait`]: broken for
    /// good, or another worker's.
    unread: u64,
    received: Received,
    /// What applications sent and is not sealed yet.
    queue: Queue,
    /// When what waits for a path was looked at, and whether it was not in this turn.
    released: Time,
    passed_over: bool,
    /// Capsules on their way out.
    batch: Batch,
    /// Packets on their way to applications.
    inward: Inward,
    stats: WorkerStats,
}

/// Reports a thread that ends before it is told to.
struct Watched {
    mailbox: Arc<Mailbox>,
    stop: Arc<AtomicBool>,
    /// Closed with it, so that one can wait for the end.
    _end: mpsc::SyncSender<()>,
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
    end: mpsc::Receiver<()>,
    pulse: Pulse,
}

impl Worker {
    /// Starts a worker on a thread of its own.
    pub(crate) fn start(
        number: usize,
        lanes: Lanes,
        tunnels: TableReader,
        forwarder: Forwarder,
        manner: Manner,
        mailbox: Arc<Mailbox>,
        mut rng: Rng,
    ) -> io::Result<Handle> {
        let (waker, wakeup) = wake_up()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (beat, pulse) = beat::pair();
        let (_end, end) = mpsc::sync_channel(0);
        let worker = Self {
            number,
            unread: lanes.borrowed,
            inward: Inward::new(lanes.offload, &mut rng),
            lanes,
            carrier: Carrier::new(tunnels, manner.dscp),
            forwarder,
            mailbox,
            wakeup,
            stop: stop.clone(),
            beat,
            received: Received::new(),
            queue: Queue::new(applications::BUFFERS, &mut rng),
            released: Time::ZERO,
            passed_over: false,
            batch: Batch::default(),
            stats: WorkerStats::default(),
        };
        let thread = std::thread::Builder::new().name("ntm-worker".into());
        let watched = Watched { mailbox: worker.mailbox.clone(), stop: stop.clone(), _end };
        let thread = thread.spawn(move || {
            let _watched = watched;
            if manner.realtime {
                priority::take();
            }
            worker.run();
        })?;
        Ok(Handle { waker, stop, thread: Some(thread), end, pulse })
    }

    fn run(mut self) {
        while !self.is_stopped() {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "a packet worker cannot wait for packets any more");
                    return;
                }
            };
            self.beat.begin();
            if ready & WOKEN != 0 {
                self.wakeup.clear();
            }
            self.work(ready);
            self.beat.end();
            if self.is_stopped() {
                return;
            }
            let stats = Stats {
                worker: self.stats,
                dropped: self.carrier.dropped(),
                held: self.carrier.held(),
                held_in_vain: self.carrier.held_in_vain(),
                control_drops: 0,
            };
            self.mailbox.publish(self.number, stats);
        }
    }

    /// Moves what is there. Whoever has been kept in a lane for so long that another
    /// worker took over reads no lane any more.
    fn work(&mut self, ready: u64) {
        for at in 0..self.lanes.transports.len() {
            if ready & 1 << at != 0 && !self.is_stopped() {
                self.receive(at);
            }
        }
        if let Some(interface) = &self.lanes.interface {
            self.stats.interface_drops += self.inward.deliver(&**interface);
        }
        let readable = ready & INTERFACE != 0 && !self.is_stopped();
        if readable || !self.queue.is_empty() {
            self.take_from_applications(readable);
        }
        self.release(ready & WOKEN != 0);
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits until something can be done; one bit for each transport lane, one for
    /// the interface, and one if the tables have changed.
    fn wait(&mut self) -> io::Result<u64> {
        let timeout = if !self.queue.is_empty() || !self.inward.is_empty() {
            Some(Duration::ZERO)
        } else if self.carrier.is_holding() {
            // A packet from the peer may have paid for what waits.
            Some(if self.passed_over { RELEASE_EVERY } else { HOLD_CHECK })
        } else {
            None
        };
        let timeout =
            timeout.map(|timeout| Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() });
        let transports = self.lanes.transports.iter().enumerate().map(|(at, l)| (1 << at, l));
        let interface = self.lanes.interface.iter().map(|lane| (INTERFACE, lane));
        let lanes = transports.chain(interface).filter(|(bit, _)| self.unread & bit == 0);
        let mut bits = [WOKEN; MOST_TRANSPORTS + 2];
        let mut fds: [PollFd<'_>; MOST_TRANSPORTS + 2] =
            std::array::from_fn(|_| PollFd::from_borrowed_fd(self.wakeup.as_fd(), PollFlags::IN));
        let mut count = 1;
        for (bit, lane) in lanes.take(MOST_TRANSPORTS + 1) {
            fds[count] = PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN);
            bits[count] = bit;
            count += 1;
        }
        match poll(&mut fds[..count], timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        // An error or a hang-up is told by the next read.
        let ready = fds[..count].iter().zip(bits).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.map(|(_, bit)| bit).sum())
    }
}

/// The bit that stands for the interface.
const INTERFACE: u64 = 1 << 63;
/// The bit that stands for being woken.
const WOKEN: u64 = 1 << 62;

impl Handle {
    /// The tables have changed: look whether something can go now.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Whether it has been in a lane for so long that it will not come back. To be
    /// asked again and again, with the time that the machine was awake.
    pub(crate) fn is_stuck(&mut self, awake: Time) -> bool {
        self.pulse.is_stuck(awake)
    }

    /// Leaves it alone: when it comes back it ends by itself.
    pub(crate) fn abandon(mut self) {
        self.thread = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        let Some(thread) = self.thread.take() else { return };
        if self.end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::error!("a packet worker does not come back; it is left alone");
        } else if thread.join().is_err() {
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
        let mailbox = Arc::new(Mailbox::new(1, &mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        let mut start = |lane: PipeReader| {
            let transports: Vec<Arc<dyn Lane>> = vec![Arc::new(Mistaken(lane))];
            let lanes = Lanes::new(0, None, &[transports]);
            let (tunnels, forwards) = (table.reader(), forwards.reader());
            Worker::start(
                0,
                lanes,
                tunnels,
                forwards,
                Manner::default(),
                mailbox.clone(),
                rng.split(),
            )
            .unwrap()
        };

        drop(start(reader.try_clone().unwrap()));
        assert_eq!(mailbox.take().broken, None);

        let _handle = start(reader);
        writer.write_all(b"a datagram").unwrap();
        tokio::time::timeout(Duration::from_secs(10), mailbox.wait()).await.unwrap();
        assert_eq!(mailbox.take().broken, Some(Broken::Worker));
    }
}
