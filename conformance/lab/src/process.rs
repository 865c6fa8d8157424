//! Programs in namespaces, and what they say.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ntm_core::Time;

use crate::clock::now;
use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// A program that runs in a namespace. It is killed with this value.
pub struct Process {
    child: Child,
    name: String,
    output: Arc<Output>,
}

/// A line that a program wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was read, some 50 µs after it was written.
    pub at: Time,
    /// It came from standard error.
    pub from_stderr: bool,
    /// Without its end; what is not UTF-8 is replaced.
    pub text: String,
}

#[derive(Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    /// Streams that have not ended.
    open: u32,
}

impl Process {
    /// Starts a program; its input is empty, its last 20,000 lines of output are
    /// kept.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(netns: &Netns, command: Command) -> Result<Self> {
        Self::start_logged(netns, command, None)
    }

    /// As [`start`](Self::start), and writes all output to a file as well.
    ///
    /// # Errors
    /// The program cannot be started, or the file not be made.
    pub fn start_logged(netns: &Netns, mut command: Command, log: Option<&Path>) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = log
            .map(|path| File::create(path).doing(|| format!("make {}", path.display())))
            .transpose()?
            .map(Arc::new);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            netns.spawn(&mut command).doing(|| format!("start {name} in {}", netns.name()))?;
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            output.follow(stdout, false, log.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            output.follow(stderr, true, log);
        }
        Ok(Self { child, name, output })
    }

    /// Its process id, as seen in the sandbox.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lock().lines.iter().cloned().collect()
    }

    /// The lines so far that contain this text.
    pub fn lines_matching(&self, text: &str) -> Vec<Line> {
        let state = self.output.lock();
        state.lines.iter().filter(|line| line.text.contains(text)).cloned().collect()
    }

    /// Waits for a line that contains this text; an earlier one counts too.
    ///
    /// # Errors
    /// It did not come in time, or can no longer come since the program has
    /// ended: with the program's last lines.
    pub fn wait_for_line(&self, text: &str, limit: Duration) -> Result<Line> {
        let deadline = Instant::now() + limit;
        let mut state = self.output.lock();
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.text.contains(text)) {
                return Ok(line.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.open == 0 {
                let why = if state.open == 0 { "before it ended" } else { "in time" };
                return Err(Error::wrong(format!(
                    "{} did not say {text:?} {why} ({limit:?}); its last words: {}",
                    self.name,
                    last_words(&state)
                )));
            }
            state = self.output.wait(state, left);
        }
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().doing(|| format!("ask after {}", self.name))
    }

    /// Waits for its end. All that it wrote can be read afterwards.
    ///
    /// # Errors
    /// It did not end in time: with its last lines.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            // Mostly both streams end with the program.
            let mut state = self.output.lock();
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open > 0 {
                state = self.output.wait(state, left.min(Duration::from_millis(20)));
            } else {
                drop(state);
                thread::sleep(left.min(Duration::from_millis(1)));
                state = self.output.lock();
            }
            let words = last_words(&state);
            drop(state);
            if let Some(status) = self.try_wait()? {
                self.await_streams();
                return Ok(status);
            }
            if left.is_zero() {
                let name = &self.name;
                return Err(Error::wrong(format!(
                    "{name} did not end within {limit:?}; its last words: {words}"
                )));
            }
        }
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .doing(|| format!("signal {}", self.name))
    }

    /// Asks it to end (`SIGTERM`), and kills it if it does not in time. A
    /// program that had to be killed is seen by its status (signal 9).
    ///
    /// # Errors
    /// The system refuses.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        match self.wait(patience) {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// Ends it without asking, as a crash would.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill().doing(|| format!("kill {}", self.name))?;
        let status = self.child.wait().doing(|| format!("wait for {}", self.name))?;
        self.await_streams();
        Ok(status)
    }

    /// What is still in the pipes; children of the program may hold them open.
    fn await_streams(&self) {
        let deadline = Instant::now() + Duration::from_millis(200);
        let mut state = self.output.lock();
        while state.open > 0 && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            state = self.output.wait(state, left);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({} {})", self.name, self.id())
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn follow(
        self: &Arc<Self>,
        stream: impl Read + Send + 'static,
        from_stderr: bool,
        log: Option<Arc<File>>,
    ) {
        self.lock().open += 1;
        let output = self.clone();
        thread::spawn(move || {
            let _ = output.read(BufReader::new(stream), from_stderr, log);
            output.lock().open -= 1;
            output.changed.notify_all();
        });
    }

    fn read(
        &self,
        mut stream: impl BufRead,
        from_stderr: bool,
        log: Option<Arc<File>>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes)? > 0 {
            let at = now();
            if let Some(mut log) = log.as_deref() {
                // One call a line: lines of both streams do not mix.
                log.write_all(&bytes)?;
            }
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            let mut state = self.lock();
            if state.lines.len() == MAX_LINES {
                state.lines.pop_front();
            }
            state.lines.push_back(Line { at, from_stderr, text });
            drop(state);
            self.changed.notify_all();
            bytes.clear();
        }
        Ok(())
    }
}

fn last_words(state: &State) -> String {
    let skip = state.lines.len().saturating_sub(5);
    let last: Vec<_> = state.lines.iter().skip(skip).map(|line| line.text.as_str()).collect();
    if last.is_empty() { "none".to_owned() } else { format!("\n  {}", last.join("\n  ")) }
}

const MAX_LINES: usize = 20_000;
