use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use ntm_core::Rng;
use ntm_core::address::Leg;
use ntm_core::id::{PathId, SessionId};
use ntm_core::tunnel::{Dropped, KeyedHash, Seen};
use ntm_core::wire::{Kind, LARGEST};
use tokio::sync::Notify;

use super::MOST_TRANSPORTS;

/// Datagrams that name something known wait here, of [`LARGEST`] bytes on average,
const KNOWN: usize = 1024;
/// those of strangers here: they cannot crowd out the others.
const STRANGERS: usize = 256;
/// Reports of workers.
const NOTICES: usize = 256;

/// What packet workers have for the control task. Bounded in entries and bytes: what
/// does not fit is dropped and counted, as on a network.
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
    known: Posts,
    strangers: Posts,
    missed: VecDeque<IpAddr>,
    seen: VecDeque<Seen>,
    exhausted: VecDeque<PathId>,
    broken: Option<Broken>,
    dropped: u64,
}

/// Datagrams that wait.
#[derive(Default)]
struct Posts {
    waiting: Vec<Post>,
    bytes: usize,
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

impl Posts {
    /// Adds one, unless there are so many or so much already.
    fn push(&mut self, most: usize, post: Post) -> bool {
        let bytes = self.bytes + post.datagram.len();
        let fits = self.waiting.len() < most && bytes <= most * LARGEST;
        if fits {
            self.waiting.push(post);
            self.bytes = bytes;
        }
        fits
    }
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

    /// Leaves a datagram of this kind: whether it was taken. What is longer than its
    /// kind ever is, is not.
    pub(super) fn post(&self, kind: Kind, known: bool, leg: Leg, datagram: &[u8]) -> bool {
        // A way is asked with challenges as large as capsules what it carries.
        let may_be_large = known && kind == Kind::Control;
        let fits = may_be_large || datagram.len() <= LARGEST;
        let post = fits.then(|| Post { leg, datagram: datagram.to_vec() });
        let mut letters = self.letters();
        let (posts, most) =
            if known { (&mut letters.known, KNOWN) } else { (&mut letters.strangers, STRANGERS) };
        let is_taken = post.is_some_and(|post| posts.push(most, post));
        letters.dropped += u64::from(!is_taken);
        is_taken
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

    /// The quotas of these paths are used up: once a batch.
    pub(super) fn exhausted(&self, paths: impl Iterator<Item = PathId>) {
        self.note(|letters| {
            for path in paths {
                if letters.exhausted.len() < NOTICES && !letters.exhausted.contains(&path) {
                    letters.exhausted.push_back(path);
                }
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
        let mut posts = std::mem::take(&mut letters.known).waiting;
        posts.extend(std::mem::take(&mut letters.strangers).waiting);
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
            mailbox.post(Kind::Signalling, false, leg(), b"stranger");
        }
        assert!(mailbox.post(Kind::Signalling, true, leg(), b"known"));
        let posts = mailbox.take().posts;
        assert_eq!(posts.len(), STRANGERS + 1);
        assert_eq!(posts[0].datagram, b"known", "and it comes first");
        assert_eq!(mailbox.stats().control_drops, 9 * STRANGERS as u64);
        assert!(mailbox.take().posts.is_empty());
    }

    #[test]
    fn what_is_longer_than_its_kind_is_not_kept() {
        let mailbox = Mailbox::new(1, &mut Rng::from_seed([0; 32]));
        for kind in [Kind::Signalling, Kind::Handshake1, Kind::Control] {
            for known in [false, true] {
                assert!(mailbox.post(kind, known, leg(), &[1; LARGEST]));
                let larger_is_taken = mailbox.post(kind, known, leg(), &[2; LARGEST + 1]);
                assert_eq!(larger_is_taken, known && kind == Kind::Control, "{kind:?}");
            }
        }
        assert_eq!(mailbox.take().posts.len(), 7);
        assert_eq!(mailbox.stats().control_drops, 5);
    }

    #[test]
    fn large_challenges_take_no_more_memory_than_all_others_would() {
        let mailbox = Mailbox::new(1, &mut Rng::from_seed([0; 32]));
        let large = [0; 65_000];
        let all = |_| mailbox.post(Kind::Control, true, leg(), &large);
        let taken = (0..KNOWN).map(all).filter(|taken| *taken).count();
        assert_eq!(taken, KNOWN * LARGEST / large.len());
        assert_eq!(mailbox.stats().control_drops, (KNOWN - taken) as u64);
        mailbox.take();
        assert!(mailbox.post(Kind::Control, true, leg(), &large), "there is room again");
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
