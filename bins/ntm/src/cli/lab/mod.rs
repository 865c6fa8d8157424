//! `ntm lab`: moves in networks made for it.

mod beside;
mod grid;
mod journal;
mod outfit;
mod paper;
mod rows;

use std::fs;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Subcommand, ValueEnum};
use ntm::Exit;
use ntm_lab::sandbox;

use super::Failure;

/// Try moves in networks made for it.
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  ntm lab paper
  ntm lab paper --mode seed --rtt 20 --plot move.svg
  ntm lab rows --jobs 2
  ntm lab rows --only row4-v6-both-fast
  ntm lab grid --quick

It needs Linux, /dev/net/tun, and either root or user namespaces; DHCP and NAT
are real where udhcpd or dnsmasq, udhcpc and nft are installed. Everything is in
namespaces of its own, which end with this command.")]
pub(super) enum Lab {
    /// The paper's measurement: a download across a move, step by step.
    Paper(paper::Paper),
    /// The decision table: a download across a move in each of its rows.
    Rows(rows::Rows),
    /// IP versions, NATs and who moves: a download and a probe across a move in each.
    Grid(grid::Grid),
}

/// What terminals do when they move.
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// Tell everybody at once.
    Fast,
    /// The paper's sequence.
    Seed,
}

impl Lab {
    pub(super) fn execute(self) -> Result<(), Failure> {
        match self {
            Self::Paper(paper) => paper.execute(),
            Self::Rows(rows) => rows.execute(),
            Self::Grid(grid) => grid.execute(),
        }
    }
}

impl Mode {
    fn name(self) -> &'static str {
        ntm_lab::scenario::domain::Mode::from(self).name()
    }
}

impl From<Mode> for ntm_lab::scenario::domain::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Fast => Self::Fast,
            Mode::Seed => Self::Seed,
        }
    }
}

impl From<ntm_lab::Error> for Failure {
    fn from(error: ntm_lab::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

/// Enters the sandbox. Returns this program, for nodes to run, and a folder of
/// theirs that ends with the sandbox.
fn enter() -> Result<(PathBuf, PathBuf), Failure> {
    if let Err(refusal) = sandbox::try_enter() {
        return Err(Failure::new(Exit::Missing, refusal.to_string()));
    }
    let folder = PathBuf::from("/run/ntm");
    let made = fs::create_dir_all(&folder);
    made.map_err(|error| Failure::new(Exit::Failed, format!("cannot make {folder:?}: {error}")))?;
    // The file itself may have been replaced meanwhile.
    Ok((PathBuf::from("/proc/self/exe"), folder))
}

/// Keeps what nodes wrote, configurations and logs, and what is known of how they were.
fn keep_files(folder: &Path, into: &Path) -> Result<(), Failure> {
    let copy = || {
        fs::create_dir_all(into)?;
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            let kept =
                file.extension().is_some_and(|end| end == "log" || end == "toml" || end == "json");
            if let (true, Some(name)) = (kept, file.file_name()) {
                fs::copy(&file, into.join(name))?;
            }
        }
        std::io::Result::Ok(())
    };
    copy().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot keep files in {}: {error}", into.display()))
    })
}

/// What is being done at the moment, for somebody who watches.
struct Progress {
    watched: bool,
}

impl Progress {
    fn new() -> Self {
        Self { watched: stderr().is_terminal() }
    }

    fn say(&self, what: &str) {
        if self.watched {
            let _nobody_listens = writeln!(stderr(), "… {what}");
        }
    }

    /// How many cases have passed and failed, in place of what it showed before.
    fn bar(&self, begin: Instant, [passed, failed]: [usize; 2], of: usize) {
        const WIDTH: usize = 40;
        if !self.watched {
            return;
        }
        let done = passed + failed;
        let full = (WIDTH * done).checked_div(of).unwrap_or(WIDTH);
        let left = begin.elapsed().as_secs_f64() / 60.0 * (of - done) as f64 / done as f64;
        let left = if done > 0 { format!(", about {left:.0} min left") } else { String::new() };
        let _nobody_listens = write!(
            stderr(),
            "\r[{:<WIDTH$}] {done} of {of}, {failed} failed{left}\x1b[K",
            "#".repeat(full)
        );
    }

    /// Takes the bar away.
    fn end(&self) {
        if self.watched {
            let _nobody_listens = write!(stderr(), "\r\x1b[K");
        }
    }
}
