mod boundary;
mod handover;
mod moves;
mod relay;
mod stages;
mod throughput;

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ntm_lab::sandbox;

use crate::tunnel::Tunnel;

/// Measures `ntm` beside other tunnels, in namespaces made for it, and what its
/// parts cost.
#[derive(Parser)]
#[command(name = "ntm-bench", version, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  ntm-bench throughput --list
  ntm-bench throughput --quick
  ntm-bench throughput --only none --only ntm --only nebula --json figures.json
  ntm-bench moves --gib 1
  ntm-bench handover --rtt 20
  ntm-bench relay
  ntm-bench stages
  ntm-bench boundary

Exit codes:
  0  done
  1  a measurement failed
  2  wrong usage
  4  something is missing on this machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// How much goes through, how soon, and what it costs.
    Throughput(throughput::Throughput),
    /// One long transfer while an end moves again and again.
    Moves(moves::Moves),
    /// What a move costs a conversation, beside other tunnels.
    Handover(handover::Handover),
    /// What it costs a relay to forward a packet.
    Relay(relay::Relay),
    /// What each stage of a packet's way costs, without a network.
    Stages(stages::Stages),
    /// What it costs that a transport is in a shared object.
    Boundary(boundary::Boundary),
}

/// Why the program ends; the numbers are those of `ntm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Failed = 1,
    Usage = 2,
    Missing = 4,
}

/// A command that did not succeed: what to say, and the exit code.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<ntm_lab::Error> for Failure {
    fn from(error: ntm_lab::Error) -> Self {
        let exit = match error {
            ntm_lab::Error::Missing { .. } => Exit::Missing,
            ntm_lab::Error::System { .. }
            | ntm_lab::Error::Netlink { .. }
            | ntm_lab::Error::Timeout { .. }
            | ntm_lab::Error::Wrong(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

pub(crate) fn main() -> ExitCode {
    // The lab may have started this program as part of a network.
    sandbox::serve_if_called();
    let result = match Cli::parse().command {
        Command::Throughput(throughput) => throughput.execute(),
        Command::Moves(moves) => moves.execute(),
        Command::Handover(handover) => handover.execute(),
        Command::Relay(relay) => relay.execute(),
        Command::Stages(stages) => stages.execute(),
        Command::Boundary(boundary) => boundary.execute(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _nobody_listens = writeln!(stderr(), "ntm-bench: {}", failure.message);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Where tunnels keep their files; it ends with the sandbox.
const FOLDER: &str = "/run/ntm-bench";

/// Enters the sandbox. Outside it this does not return.
fn enter() -> Result<(), Failure> {
    sandbox::try_enter().map_err(|refusal| Failure::new(Exit::Missing, refusal.to_string()))
}

/// A build of `ntm` that can be started from any folder: this one, or that beside
/// this program.
fn find_ntm(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("ntm"));
    let program = named.map(Path::to_owned).or_else(beside);
    let program = program.unwrap_or_else(|| PathBuf::from("ntm"));
    std::fs::canonicalize(&program).map_err(|error| {
        let program = program.display();
        let message = format!("cannot find {program}: {error}; build it, or name another");
        Failure::new(Exit::Missing, message)
    })
}

/// The tunnels of these names; all, if there is no name.
fn chosen<'a>(all: &'a [Tunnel], only: &[String]) -> Result<Vec<&'a Tunnel>, Failure> {
    if let Some(name) = only.iter().find(|name| all.iter().all(|t| t.name != **name)) {
        let message = format!("there is no tunnel {name:?}; `--list` shows what there is");
        return Err(Failure::new(Exit::Usage, message));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    Ok(all.iter().filter(|tunnel| wanted(tunnel.name)).collect())
}

/// What the figures were taken on.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn write(file: &Path, content: String) -> Result<(), Failure> {
    std::fs::write(file, content).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {error}", file.display()))
    })
}

/// Writes a line for the caller. A reader that has gone is no error.
fn say(line: impl AsRef<str>) {
    let _reader_gone = writeln!(stdout(), "{}", line.as_ref());
}

/// What is being done at the moment, for somebody who watches.
fn progress(what: &str) {
    if stderr().is_terminal() {
        let _nobody_listens = writeln!(stderr(), "… {what}");
    }
}
