use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ntm_core::Rng;
use ntm_core::address::Leg;
use ntm_core::id::{PathId, SessionId};
use ntm_core::tunnel::{Dropped, KeyedHash, Seen};
use tokio::sync::Notify;

use super::MOST_TRANSPORTS;

/// Datagrams that name something known wait here,
const KNOWN: usize = 1024;
/// those of strangers here: they cannot crowd out the others.
const STRANGERS: usize = 256;
/// Reports of workers.
const NOTICES: usize = 256;

/// What packet workers have for the control task. Bounded: what does not fit is
/// dropped and counted, as on a network.
pub(crate) struct Mailbox {
    letters: Mutex<Letters>,
    sessions: RwLock<HashSet<[u8; 16], KeyedHash>>,
    /// One for each worker.
    stats: Box<[Mutex<Stats>]>,
    /// What workers had counted that were given up.
    past: Mutex<Stats>,
    /// Datagrams or runs that each transport has received.
    heard: [AtomicU64; MOST_TRANSPORTS],
    notify: Notify,
}

#[derive(Default)]
struct Letters {
    known: VecDeque<Post>,
    strangers: VecDeque<Post>,
    missed: VecDeque<IpAddr>,
    seen: VecDeque<Seen>,
    exhausted: VecDeque<PathId>,
    broken: Option<Broken>,
    dropped: u64,
}

/// A datagram for the machines.
pub(crate) struct Post {
    pub(crate) leg: Leg,
    pub(crate) datagram: Vec<u8>,
}

/// What a worker counts besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerStats {
    /// Datagrams that the network would not take.
    pub(crate) send_errors: u64,
    /// Packets that the interface would not take.
    pub(crate) interface_drops: u64,
    /// Datagrams forwarded as a relay.
    pub(crate) relayed: u64,
}

/// Everything workers count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) worker: WorkerStats,
    pub(crate) dropped: Dropped,
    pub(crate) held: u64,
    pub(crate) held_in_vain: u64,
    pub(crate) control_drops: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.worker.send_errors += other.worker.send_errors;
        self.worker.interface_drops += other.worker.interface_drops;
        self.worker.relayed += other.worker.relayed;
        self.dropped += other.dropped;
        self.held += other.held;
        self.held_in_vain += other.held_in_vain;
        self.control_drops += other.control_drops;
    }
}

/// What is broken for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Applications' packets neither come nor go.
    Interface,
    /// One of the transports neither sends nor receives.
    Transport,
    /// A packet worker has ended: no packets come or go.
    Worker,
}

/// All that lay in the mailbox.
#[derive(Default)]
pub(crate) struct Delivery {
    pub(crate) posts: Vec<Post>,
    pub(crate) missed: Vec<IpAddr>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) exhausted: Vec<PathId>,
    pub(crate) broken: Option<Broken>,
}

impl Mailbox {
    pub(crate) fn new(workers: usize, rng: &mut Rng) -> Self {
        Self {
            letters: Mutex::default(),
            sessions: RwLock::new(HashSet::with_hasher(KeyedHash::new(rng))),
            stats: (0..workers).map(|_| Mutex::default()).collect(),
            past: Mutex::default(),
            heard: Default::default(),
            notify: Notify::new(),
        }
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a signalling session is ours.
    pub(super) fn knows(&self, session: &[u8; 16]) -> bool {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).contains(session)
    }

    /// A session is ours from now on, or no longer.
    pub(crate) fn set_known(&self, session: SessionId, known: bool) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        if known {
            sessions.insert(session.0);
        } else {
            sessions.remove(&session.0);
        }
    }

    /// Leaves a datagram.
    pub(super) fn post(&self, known: bool, leg: Leg, datagram: &[u8]) {
        let mut letters = self.letters();
        let (queue, most) =
            if known { (&mut letters.known, KNOWN) } else { (&mut letters.strangers, STRANGERS) };
        if queue.len() == most {
            letters.dropped += 1;
        } else {
            queue.push_back(Post { leg, datagram: datagram.to_vec() });
        }
    }

    fn note(&self, leave: impl FnOnce(&mut Letters)) {
        leave(&mut self.letters());
        self.ring();
    }

    pub(super) fn miss(&self, vip: IpAddr) {
        self.note(|letters| {
            if letters.missed.len() < NOTICES {
                letters.missed.push_back(vip);
            }
        });
    }

    pub(super) fn seen(&self, seen: Seen) {
        self.note(|letters| {
            if letters.seen.len() < NOTICES && !letters.seen.contains(&seen) {
                letters.seen.push_back(seen);
            }
        });
    }

    pub(super) fn exhausted(&self, path: PathId) {
        self.note(|letters| {
            if letters.exhausted.len() < NOTICES && !letters.exhausted.contains(&path) {
                letters.exhausted.push_back(path);
            }
        });
    }

    pub(super) fn broken(&self, what: Broken) {
        self.note(|letters| letters.broken = Some(what));
    }

    /// Wakes the control task, once a batch.
    pub(crate) fn ring(&self) {
        self.notify.notify_one();
    }

    /// What worker number `at` has counted.
    pub(super) fn publish(&self, at: usize, stats: Stats) {
        *self.stats[at].lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    /// Worker number `at` is given up; another one counts from zero.
    pub(crate) fn retire(&self, at: usize) {
        let counted =
            std::mem::take(&mut *self.stats[at].lock().unwrap_or_else(PoisonError::into_inner));
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) += counted;
    }

    /// A transport has received something.
    pub(super) fn hear(&self, transport: usize, count: usize) {
        if let Some(heard) = self.heard.get(transport) {
            heard.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// How much each transport has received so far.
    pub(crate) fn heard(&self) -> impl Iterator<Item = u64> {
        self.heard.iter().map(|heard| heard.load(Ordering::Relaxed))
    }

    /// What workers have counted.
    pub(crate) fn stats(&self) -> Stats {
        let mut all = *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        all.control_drops = self.letters().dropped;
        for stats in &self.stats {
            all += *stats.lock().unwrap_or_else(PoisonError::into_inner);
        }
        all
    }

    /// Waits until something has been left.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Takes everything, what is known first.
    pub(crate) fn take(&self) -> Delivery {
        let mut letters = self.letters();
        let mut posts: Vec<_> = letters.known.drain(..).collect();
        posts.extend(letters.strangers.drain(..));
        Delivery {
            posts,
            missed: letters.missed.drain(..).collect(),
            seen: letters.seen.drain(..).collect(),
            exhausted: letters.exhausted.drain(..).collect(),
            broken: letters.broken.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ntm_core::address::TransportId;

    use super::*;

    fn leg() -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], 4330).into())
    }

    #[test]
    fn strangers_cannot_crowd_out_what_is_known() {
        let mailbox = Mailbox::new(1, &mut Rng::from_seed([0; 32]));
        for _ in 0..10 * STRANGERS {
            mailbox.post(false, leg(), b"stranger");
        }
        mailbox.post(true, leg(), b"known");
        let posts = mailbox.take().posts;
        assert_eq!(posts.len(), STRANGERS + 1);
        assert_eq!(posts[0].datagram, b"known", "and it comes first");
        assert_eq!(mailbox.stats().control_drops, 9 * STRANGERS as u64);
        assert!(mailbox.take().posts.is_empty());
    }

    #[test]
    fn sessions_come_and_go() {
        let mailbox = Mailbox::new(1, &mut Rng::from_seed([0; 32]));
        mailbox.set_known(SessionId([1; 16]), true);
        assert!(mailbox.knows(&[1; 16]) && !mailbox.knows(&[2; 16]));
        mailbox.set_known(SessionId([1; 16]), false);
        assert!(!mailbox.knows(&[1; 16]));
    }
}
