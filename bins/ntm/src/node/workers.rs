use std::io;
use std::sync::Arc;

use ntm_core::Rng;
use ntm_core::plugin::{Interface, Lane};
use ntm_core::relay::ForwardTable;
use ntm_core::tunnel::Table;

use super::Node;
use crate::clock;
use crate::error::{Exit, StartError};
use crate::worker::{self, Lanes, Mailbox, Manner, Worker};

/// Workers that may be lost in a node's life: each keeps its buffers.
const REPLACED_AT_MOST: u32 = 32;

/// The packet workers, and what another is made of.
pub(crate) struct Workers {
    list: Vec<worker::Handle>,
    manner: Manner,
    rng: Rng,
    replaced: u32,
}

/// What workers work on.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) interface: Option<&'a dyn Interface>,
    /// Of each transport.
    pub(super) lanes: &'a [Vec<Arc<dyn Lane>>],
    pub(super) table: &'a Table,
    pub(super) forwards: &'a ForwardTable,
    pub(super) mailbox: &'a Arc<Mailbox>,
}

impl Workers {
    /// None yet.
    pub(super) fn new(manner: Manner, rng: Rng) -> Self {
        Self { list: Vec::new(), manner, rng, replaced: 0 }
    }

    /// Starts so many.
    pub(super) fn start(&mut self, count: usize, work: Work<'_>) -> io::Result<()> {
        for at in 0..count {
            let worker = self.begin(at, work)?;
            self.list.push(worker);
        }
        Ok(())
    }

    fn begin(&mut self, at: usize, work: Work<'_>) -> io::Result<worker::Handle> {
        let lanes = Lanes::new(at, work.interface, work.lanes);
        let (tunnels, forwarder) = (work.table.reader(), work.forwards.reader());
        let (mailbox, rng) = (work.mailbox.clone(), self.rng.split());
        Worker::start(at, lanes, tunnels, forwarder, self.manner, mailbox, rng)
    }

    /// Tells all that the tables have changed.
    pub(super) fn wake(&self) {
        self.list.iter().for_each(worker::Handle::wake);
    }

    /// Ends them.
    pub(super) fn end(&mut self) {
        self.list.clear();
    }

    /// Puts another in the place of each that does not come back out of a lane. What
    /// waited in its queues is lost.
    ///
    /// # Errors
    /// No other could be started, or that was done too often.
    fn look_after(&mut self, work: Work<'_>) -> io::Result<()> {
        let awake = clock::awake();
        for at in 0..self.list.len() {
            if !self.list[at].is_stuck(awake) {
                continue;
            }
            if self.replaced == REPLACED_AT_MOST {
                return Err(io::Error::other("too many before it did not come back either"));
            }
            self.replaced += 1;
            tracing::error!(
                worker = at,
                "a packet worker does not come back out of a plugin; another takes its place"
            );
            work.mailbox.retire(at);
            let fresh = self.begin(at, work)?;
            std::mem::replace(&mut self.list[at], fresh).abandon();
        }
        Ok(())
    }
}

impl Node {
    /// Replaces workers that do not come back.
    pub(super) fn look_after_workers(&mut self) {
        let lanes: Vec<_> = self.transports.iter().map(|(_, it)| it.lanes()).collect();
        let work = Work {
            interface: self.interface.as_deref(),
            lanes: &lanes,
            table: &self.table,
            forwards: &self.forwards,
            mailbox: &self.mailbox,
        };
        if let Err(error) = self.workers.look_after(work) {
            self.waiting.fatal = Some(StartError {
                exit: Exit::Failed,
                message: format!("a packet worker cannot be replaced: {error}; restart the node"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Write as _};
    use std::os::fd::{AsFd as _, BorrowedFd};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use ntm_core::plugin::{RxSlot, TxPacket};

    use super::*;

    /// A lane that never gives a thread back.
    struct Sticky(PipeReader, AtomicU32);

    impl Lane for Sticky {
        fn fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            Ok(packets.len())
        }

        fn try_recv(&self, _: &mut [RxSlot<'_>]) -> io::Result<usize> {
            self.1.fetch_add(1, Ordering::Relaxed);
            loop {
                std::thread::park();
            }
        }
    }

    #[test]
    fn who_is_kept_in_a_lane_is_replaced_and_not_waited_for() {
        let mut rng = Rng::from_seed([0; 32]);
        let (table, forwards) = (Table::new(&mut rng), ForwardTable::new(&mut rng));
        let mailbox = Arc::new(Mailbox::new(1, &mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        let lane = Arc::new(Sticky(reader, AtomicU32::new(0)));
        let lanes: [Vec<Arc<dyn Lane>>; 1] = [vec![lane.clone()]];
        let work = Work {
            interface: None,
            lanes: &lanes,
            table: &table,
            forwards: &forwards,
            mailbox: &mailbox,
        };
        let mut workers = Workers::new(Manner::default(), rng.split());
        workers.start(1, work).unwrap();
        writer.write_all(b"a datagram").unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while lane.1.load(Ordering::Relaxed) < 2 {
            assert!(Instant::now() < end, "nobody else reads the lane");
            workers.look_after(work).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(mailbox.take().broken, None, "nobody has ended");
        // There is one in it now, too.
        workers.end();
        assert!(workers.list.is_empty());
        workers.replaced = REPLACED_AT_MOST;
        workers.start(1, work).unwrap();
        while workers.look_after(work).is_ok() {
            assert!(Instant::now() < end, "workers are replaced for ever");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
