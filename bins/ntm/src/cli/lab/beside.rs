//! Cases of a scenario, each in a process of its own, some at once.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ntm::Exit;
use ntm_lab::sandbox;
use serde_json::Value;

use super::Progress;

/// How cases are run.
pub(super) struct Beside<'a> {
    /// What this program is called with for one of them, but for its name.
    pub(super) arguments: Vec<&'a str>,
    /// Where it keeps files, if it is to.
    pub(super) files: Option<&'a Path>,
    /// How many at once.
    pub(super) jobs: u32,
}

/// A case that gave no outcome.
pub(super) struct Broken {
    /// What it said instead.
    pub(super) why: String,
    /// This machine cannot have such networks at all.
    pub(super) hopeless: bool,
}

impl Beside<'_> {
    /// Runs these, and shows somebody who watches how far that is. `done` hears of
    /// each when it has ended, one at a time, and says whether it passed; with `None`
    /// no more are begun.
    pub(super) fn run(
        &self,
        names: &[String],
        done: impl FnMut(usize, Result<Value, Broken>) -> Option<bool> + Send,
    ) {
        let progress = Progress::new();
        let begin = Instant::now();
        let queue: Mutex<VecDeque<_>> = Mutex::new(names.iter().enumerate().collect());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let done = Mutex::new((done, [0; 2]));
        progress.bar(begin, [0; 2], names.len());
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some((at, name)) = next() {
                        let outcome = self.alone(name);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        let (hear, counts) = &mut *done;
                        match hear(at, outcome) {
                            Some(passed) => counts[usize::from(!passed)] += 1,
                            None => queue.lock().unwrap_or_else(PoisonError::into_inner).clear(),
                        }
                        progress.bar(begin, *counts, names.len());
                    }
                });
            }
        });
        progress.end();
    }

    fn alone(&self, name: &str) -> Result<Value, Broken> {
        let broken = |why: &str| Broken {
            why: why.trim_end().trim_start_matches("ntm: ").to_owned(),
            hopeless: false,
        };
        let mut command = Command::new("/proc/self/exe");
        command.arg("lab").args(&self.arguments).args(["--json", "--only", name]);
        // A killed command must not leave cases behind.
        command.env(sandbox::WITH_PARENT, "1").stdin(Stdio::null());
        if let Some(files) = self.files {
            command.arg("--files").arg(files);
        }
        let output = command.output().map_err(|error| broken(&format!("cannot start: {error}")))?;
        serde_json::from_slice(&output.stdout).map_err(|_| Broken {
            hopeless: output.status.code() == Some(Exit::Missing as i32),
            ..broken(&String::from_utf8_lossy(&output.stderr))
        })
    }
}
