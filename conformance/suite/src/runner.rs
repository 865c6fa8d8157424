use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use crate::case::Case;
use crate::outcome::{Outcome, Stop, Verdict};
use crate::report::{Report, Tried};
use crate::requirement::Check;
use crate::subject::Subject;
use crate::world::World;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Checks that are over.
    pub done: usize,
    /// Checks of this run.
    pub of: usize,
    /// Those that failed.
    pub failed: usize,
    /// What is being tried; empty at the end.
    pub id: &'static str,
}

/// Runs checks.
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    /// A time limit for every check in the place of its own.
    pub limit: Option<Duration>,
    /// For how long a check goes on with what it does some thousand times.
    pub repeat: Duration,
}

impl Default for Runner {
    fn default() -> Self {
        Self { limit: None, repeat: Duration::from_secs(8) }
    }
}

impl Runner {
    /// Tries these checks on a plugin, one after another: some count what the process
    /// has open.
    pub fn run(
        &self,
        subject: Subject,
        checks: &[Check],
        mut progress: impl FnMut(Progress),
    ) -> Report {
        let subject = Arc::new(subject);
        let mut tried: Vec<Tried> = Vec::new();
        for (done, check) in checks.iter().enumerate() {
            let failed = tried.iter().filter(|it| it.failed()).count();
            progress(Progress { done, of: checks.len(), failed, id: check.id() });
            let begin = Instant::now();
            let outcome = self.one(&subject, *check);
            tried.push(Tried { requirement: check.requirement, outcome, took: begin.elapsed() });
        }
        let failed = tried.iter().filter(|it| it.failed()).count();
        progress(Progress { done: checks.len(), of: checks.len(), failed, id: "" });
        Report::new(&subject, tried)
    }

    fn one(&self, subject: &Arc<Subject>, check: Check) -> Outcome {
        if let Some(missing) = check.needs.iter().find(|name| !subject.claims().has(name)) {
            return Outcome::NotClaimed(missing);
        }
        let (sender, receiver) = channel();
        let (subject, repeat) = (subject.clone(), self.repeat);
        let run = move || {
            let verdict = catch_unwind(AssertUnwindSafe(|| in_its_place(subject, repeat, check)));
            let verdict = verdict.unwrap_or_else(|panic| {
                Err(Stop::broken(format!("panicked: {}", panic_text(&*panic))))
            });
            let _nobody_waits = sender.send(Outcome::from(verdict));
        };
        // Not joined: one that hangs stays behind when the program ends.
        if let Err(error) = thread::Builder::new().name(check.id().into()).spawn(run) {
            return Outcome::NotTried(format!("no thread can be had: {error}"));
        }
        let limit = self.limit.unwrap_or(check.limit);
        match receiver.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => {
                Outcome::Failed(format!("did not come back in {} s", limit.as_secs_f64()))
            }
            Err(RecvTimeoutError::Disconnected) => Outcome::Failed("ended without a word".into()),
        }
    }
}

/// In a folder, a runtime and a network namespace of its own.
fn in_its_place(subject: Arc<Subject>, repeat: Duration, check: Check) -> Verdict {
    let case = Case::new(subject, World::new(), repeat)
        .map_err(|error| Stop::not_tried(error.to_string()))?;
    match case.world() {
        Ok(world) => world.run(|| on_a_runtime(&case, check)),
        Err(_) => on_a_runtime(&case, check),
    }
}

/// With one thread, as a node's control task has.
fn on_a_runtime(case: &Case, check: Check) -> Verdict {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop::not_tried(format!("no runtime: {error}")))?;
    let verdict = runtime.block_on((check.run)(case));
    runtime.shutdown_background();
    verdict
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
