use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use ntm_core::plugin::{Fault, PluginError, Record};
use tokio::sync::oneshot;

use crate::codec::Change;
use crate::store::Store;

/// Calls that may wait for the disk; a further one is refused. More than a
/// coordinator has under way.
const QUEUE: usize = 4096;

/// The thread that owns the store, and the way to it.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` once dropping began, which is what ends the thread.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Load(oneshot::Sender<Result<Vec<Record>, PluginError>>),
    Commit(Commit),
}

struct Commit {
    changes: Vec<Change>,
    answer: oneshot::Sender<Result<(), PluginError>>,
}

impl Writer {
    pub(crate) fn start(store: Store) -> Result<Self, PluginError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = thread::Builder::new()
            .name("ntm-registry".into())
            .spawn(move || run(store, queue))
            .map_err(|error| PluginError::io("start the registry's thread", &error, ""))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    pub(crate) async fn load(&self) -> Result<Vec<Record>, PluginError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Job::Load(answer))?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn commit(&self, changes: Vec<Change>) -> Result<(), PluginError> {
        let (answer, answered) = oneshot::channel();
        self.queue(Job::Commit(Commit { changes, answer }))?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Never waits, since calls that wait for a place may overtake each other.
    fn queue(&self, job: Job) -> Result<(), PluginError> {
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => {
                let message = format!("{QUEUE} changes of the registry wait for the disk");
                PluginError::new(Fault::Busy, message, "use a faster disk")
            }
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

impl Drop for Writer {
    /// Waits until the file is closed, so that it can be opened again.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its own thread.
            let _reported = thread.join();
        }
    }
}

/// The thread's end has only one cause, a panic.
fn gone() -> PluginError {
    PluginError::new(Fault::System, "the registry's thread has ended", "restart the coordinator")
}

fn run(mut store: Store, queue: Receiver<Job>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| queue.recv().ok()) {
        match job {
            Job::Load(answer) => drop(answer.send(store.load())),
            Job::Commit(first) => {
                let (group, rest) = group(first, &queue);
                next = rest;
                commit(&mut store, group);
            }
        }
    }
}

/// The commits that are waiting, up to a whole queue of them, and the job that
/// ends the group because it is none.
fn group(first: Commit, queue: &Receiver<Job>) -> (Vec<Commit>, Option<Job>) {
    let mut group = vec![first];
    while group.len() < QUEUE {
        match queue.try_recv() {
            Ok(Job::Commit(commit)) => group.push(commit),
            Ok(load @ Job::Load(_)) => return (group, Some(load)),
            Err(_) => break,
        }
    }
    (group, None)
}

/// One transaction for all; all share its fate.
fn commit(store: &mut Store, group: Vec<Commit>) {
    let result = store.apply(group.iter().flat_map(|commit| &commit.changes));
    for commit in group {
        // Nobody waits where the call was dropped; the write counts all the same.
        let _nobody = commit.answer.send(result.clone());
    }
}
