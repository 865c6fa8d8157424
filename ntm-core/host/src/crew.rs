use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Threads that go into a plugin, so that no thread of the node has to.
pub(crate) struct Crew {
    name: String,
    /// So many at most; with one, what is pushed is done in its order.
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait.
const WAITING: usize = 1024;

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Crew {
    pub(crate) fn new(name: &str, most: usize) -> Self {
        Self { name: thread_name(name), most, shared: Arc::default() }
    }

    /// Has a thread do this; `false` where too much waits already.
    pub(crate) fn push(&self, job: Job) -> bool {
        let mut state = self.shared.lock();
        if state.jobs.len() >= WAITING {
            return false;
        }
        if state.idle <= state.jobs.len() && state.threads < self.most {
            let shared = self.shared.clone();
            let thread = thread::Builder::new().name(self.name.clone());
            match thread.spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return false,
                // The others will come to it.
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        self.shared.ready.notify_one();
        true
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_all();
    }
}

/// What debuggers call the threads of a plugin: the kernel takes 15 bytes.
pub(crate) fn thread_name(plugin: &str) -> String {
    let name: String = plugin.chars().filter(char::is_ascii_graphic).take(11).collect();
    format!("ntm:{name}")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_crew_of_one_keeps_the_order_and_a_larger_one_does_not_wait_for_a_job() {
        let (to, from) = mpsc::channel();
        let one = Crew::new("one", 1);
        for at in 0..100 {
            let to = to.clone();
            assert!(one.push(Box::new(move || to.send(at).unwrap())));
        }
        assert!((0..100).eq(from.iter().take(100)));

        let (release, blocked) = mpsc::channel::<()>();
        let two = Crew::new("two", 2);
        assert!(two.push(Box::new(move || blocked.recv().unwrap())));
        assert!(two.push(Box::new(move || to.send(7).unwrap())));
        assert_eq!(from.recv(), Ok(7));
        release.send(()).unwrap();
    }

    #[test]
    fn too_much_is_refused() {
        let (release, blocked) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let crew = Crew::new("slow", 1);
        assert!(crew.push(Box::new(move || {
            started.send(()).unwrap();
            let _released = blocked.recv();
        })));
        start.recv().unwrap();
        assert_eq!((0..2 * WAITING).filter(|_| crew.push(Box::new(|| {}))).count(), WAITING);
        drop(release);
    }
}
