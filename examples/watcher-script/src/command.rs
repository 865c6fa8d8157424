use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ntm_core::plugin::Change;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Changes that nobody has heard yet. More say no more: after each the node looks at
/// everything.
const UNHEARD: usize = 16;
/// Between the end of a command and its next start.
const REST: Duration = Duration::from_secs(1);
/// Bytes of a line, as far as anybody reads it.
const LINE: u64 = 256;

/// A command that runs, and is run again.
///
/// On a thread and with `std` alone: tokio would wait for children by a signal handler,
/// and those are the host's.
pub(crate) struct Running {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    over: bool,
}

impl Running {
    /// Starts the command.
    pub(crate) fn start(argv: Vec<String>) -> io::Result<(Self, Receiver<Change>)> {
        let (lines, changes) = mpsc::channel(UNHEARD);
        let state = Arc::new(Mutex::new(State::default()));
        let output = spawn(&argv, &state)?;
        let theirs = state.clone();
        thread::Builder::new()
            .name("script".into())
            .spawn(move || read_on(&argv, &theirs, output, &lines))?;
        Ok((Self { state }, changes))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        end(state.child.take());
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _over_already = child.kill();
        let _status = child.wait();
    }
}

/// Starts the command unless nobody wants it any more; what it writes.
fn spawn(argv: &[String], state: &Mutex<State>) -> io::Result<Option<ChildStdout>> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    end(state.child.take());
    if state.over {
        return Ok(None);
    }
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take();
    state.child = Some(child);
    Ok(output)
}

fn read_on(
    argv: &[String],
    state: &Mutex<State>,
    mut output: Option<ChildStdout>,
    lines: &Sender<Change>,
) {
    loop {
        if let Some(output) = output.take() {
            read(output, lines);
        }
        tracing::warn!("`{}` has ended, and is started again", argv[0]);
        thread::sleep(REST);
        // Whatever it has missed.
        tell(lines, Change::Resync);
        match spawn(argv, state) {
            Ok(None) => return,
            Ok(again) => output = again,
            Err(error) => tracing::error!(%error, "`{}` cannot be started", argv[0]),
        }
    }
}

fn read(output: ChildStdout, lines: &Sender<Change>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut output).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => tell(lines, meaning(&line)),
        }
    }
}

fn tell(lines: &Sender<Change>, change: Change) {
    // Full: somebody will look anyway.
    let _looked_for_already = lines.try_send(change);
}

/// What a line says.
fn meaning(line: &[u8]) -> Change {
    match line.trim_ascii() {
        b"address" => Change::Address,
        b"link" => Change::Link,
        b"route" => Change::Route,
        _ => Change::Resync,
    }
}
