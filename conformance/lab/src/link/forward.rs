use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::prctl;
use nix::unistd::{read, write};
use ntm_core::Rng;
use tun_rs::SyncDevice;

use super::direction::Direction;
use super::neighbours::is_about_neighbours;
use super::{Conditions, Middlebox};
use crate::error::{Doing, Result};

/// What the thread that carries frames and its owner share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Tells the thread that the state has changed.
    wake: EventFd,
}

pub(super) struct State {
    /// From the host, to the host.
    pub(super) directions: [Direction; 2],
    pub(super) plugged: bool,
    pub(super) ended: bool,
}

impl Shared {
    pub(super) fn new(conditions: Conditions, mut rng: Rng) -> Result<Arc<Self>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .doing(|| "make an event descriptor".to_owned())?;
        let now = Instant::now();
        let directions = [rng.split(), rng.split()].map(|rng| Direction::new(conditions, rng, now));
        let state = Mutex::new(State { directions, plugged: false, ended: false });
        Ok(Arc::new(Self { state, wake }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state; no frame is carried under the old one afterwards.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        let _ = self.wake.write(1);
    }
}

/// The thread of one link: carries frames between its two devices.
pub(super) struct Forwarder {
    pub(super) shared: Arc<Shared>,
    /// The host's end, the segment's end.
    pub(super) devices: [SyncDevice; 2],
    pub(super) middlebox: Option<Box<dyn Middlebox>>,
}

impl Forwarder {
    /// Runs until the state says that it has ended or a device is gone.
    pub(super) fn run(mut self) {
        // Wake at the nanosecond asked for, not within the usual 50 µs after it.
        let _ = prctl::set_timerslack(1);
        let mut buffer = vec![0; MAX_FRAME];
        let shared = self.shared.clone();
        loop {
            let mut state = shared.lock();
            if state.ended
                || self.carry(&mut state, OUTWARD, &mut buffer).is_err()
                || self.carry(&mut state, INWARD, &mut buffer).is_err()
            {
                return;
            }
            let next = state.directions.iter().filter_map(Direction::next).min();
            drop(state);
            let _ = self.wait(next);
        }
    }

    /// Takes what waits at one end, and delivers at the other what has arrived.
    fn carry(&mut self, state: &mut State, way: usize, buffer: &mut [u8]) -> nix::Result<()> {
        let plugged = state.plugged;
        let direction = &mut state.directions[way];
        let (from, to) = (self.devices[way].as_fd(), self.devices[1 - way].as_fd());
        for _ in 0..BATCH {
            let frame = match read(from, buffer) {
                Ok(length) => &mut buffer[..length],
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                Err(gone) => return Err(gone),
            };
            let passed = match &mut self.middlebox {
                Some(middlebox) if way == OUTWARD => middlebox.outward(frame),
                Some(middlebox) => middlebox.inward(frame),
                None => true,
            };
            if !plugged || !passed {
                direction.counters.lost += 1;
                continue;
            }
            let now = Instant::now();
            let Some(arrives) = direction.fate(now, frame.len()) else { continue };
            let at_once = arrives <= now && direction.next().is_none();
            if at_once || is_about_neighbours(frame) {
                direction.counters.carried += 1;
                // A device that is down takes nothing: as with a real wire.
                let _ = write(to, frame);
            } else {
                direction.keep(arrives, frame);
            }
        }
        direction.deliver(Instant::now(), |frame| {
            let _ = write(to, frame);
        });
        Ok(())
    }

    /// Sleeps until there is something to do.
    fn wait(&self, next: Option<Instant>) -> nix::Result<()> {
        let timeout = next.map(|next| next.saturating_duration_since(Instant::now()).into());
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let [host, port] = &self.devices;
        let wake = self.shared.wake.as_fd();
        let mut fds = [readable(host.as_fd()), readable(port.as_fd()), readable(wake)];
        ppoll(&mut fds, timeout, None)?;
        if fds[2].any() == Some(true) {
            self.shared.wake.read()?;
        }
        Ok(())
    }
}

/// From the host to the segment.
pub(super) const OUTWARD: usize = 0;
/// From the segment to the host.
pub(super) const INWARD: usize = 1;

/// Frames taken from one device before the other has its turn.
const BATCH: usize = 256;
/// The largest MTU of an Ethernet device, its header and a VLAN tag.
const MAX_FRAME: usize = 65_535 + 18;
