use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use clap::Args;
use ntm::Exit;
use ntm_lab::scenario::grid::{self, Case, Cell, Report};
use serde_json::{Value, json};

use super::beside::Beside;
use super::journal::Journal;
use super::outfit::Outfit;
use super::{Mode, enter, keep_files};
use crate::cli::{Failure, output};

/// A grid of moves: IP versions before and after, who moves, behind which NAT.
///
/// In each cell, on real kernels, a checksummed download and a packet a millisecond
/// each way run across a move. It passes if the download arrives whole, the Path ID
/// and the virtual addresses stay the same, packets arrive both ways again, the path
/// is the one that the decision table asks for, and no node warns of anything. How
/// long nothing arrived, and what was lost, is told and not judged. No cell is tried
/// twice.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm lab grid --list
  ntm lab grid --quick
  ntm lab grid --only 'v4-v6-*' --only '*-cgnat'
  ntm lab grid --quick --transport udp,quic --block-udp
  ntm lab grid --quick --libraries target/release
  ntm lab grid --resume cells.jsonl --json > grid.json
  ntm lab grid --resume cells.jsonl --plot outages.svg

A cell is called BEFORE-AFTER-MOVER-NAT. Exit code 1 if one failed; its logs are kept.")]
pub(in crate::cli) struct Grid {
    /// Only cells whose names begin like this, where `*` stands for anything; may be
    /// repeated.
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// Only nine cells, in which every value occurs.
    #[arg(long)]
    quick: bool,
    /// Only show the names.
    #[arg(long)]
    list: bool,
    /// What terminals do when they move.
    #[arg(long, value_enum, default_value_t = Mode::Fast)]
    mode: Mode,
    #[command(flatten)]
    outfit: Outfit,
    /// How many cells run at once; as many as there are processors if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: Option<u32>,
    /// Write each cell to this file (JSON lines) when it is done, and leave out those
    /// that are in it already, passed or not.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Keep the nodes' configurations and logs of every cell here, in a folder each;
    /// without this, those of cells that failed, in a new folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// Write a picture (SVG) of how the outages are distributed.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// This process is to run the one cell chosen.
    #[arg(long, hide = true)]
    here: bool,
}

impl Grid {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let all = if self.quick { Case::quick() } else { Case::all() };
        let chosen = |case: &Case| {
            let name = case.to_string();
            self.only.is_empty() || self.only.iter().any(|pattern| begins(&name, pattern))
        };
        let cases: Vec<_> = all.into_iter().filter(chosen).collect();
        let [first, ..] = cases[..] else {
            let message = "no cell has such a name; `ntm lab grid --list` shows them";
            return Err(Failure::new(Exit::Usage, message));
        };
        if self.list {
            cases.iter().for_each(|case| output::say(case.to_string()));
            return Ok(());
        }
        if self.here {
            return self.run_here(first);
        }
        let outfit = self.outfit.get()?;
        let report = Report::new(self.mode.into(), &outfit, self.run_all(&cases)?);
        if let Some(path) = &self.plot {
            fs::write(path, report.svg()).map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
            })?;
        }
        if self.json {
            output::say(format!("{:#}", json!(report)));
        } else {
            report.lines().iter().for_each(output::say);
        }
        match report.failed {
            0 => Ok(()),
            failed => Err(Failure::new(Exit::Failed, format!("{failed} did not pass; see above"))),
        }
    }

    fn run_here(&self, case: Case) -> Result<(), Failure> {
        let outfit = self.outfit.get()?;
        let (program, folder) = enter()?;
        let cell = grid::run(&program, &folder, case, (self.mode.into(), &outfit));
        if let Some(into) = &self.files {
            keep_files(&folder, &into.join(case.to_string()))?;
        }
        output::say(json!(cell?).to_string());
        Ok(())
    }

    /// Runs all that are not in the journal, and returns all.
    fn run_all(&self, cases: &[Case]) -> Result<Vec<Cell>, Failure> {
        let names: Vec<_> = cases.iter().map(Case::to_string).collect();
        let (mut journal, mut cells) = match &self.resume {
            Some(path) => {
                let kind = json!({
                    "grid": 1, "mode": self.mode.name(), "outfit": self.outfit.arguments(),
                    "ntm": env!("CARGO_PKG_VERSION"),
                });
                let (journal, lines) = Journal::open(path, &kind)?;
                (Some(journal), read(path, lines)?)
            }
            None => (None, Vec::new()),
        };
        let is_done = |name: &String| cells.iter().any(|cell: &Cell| cell.id == *name);
        let left: Vec<_> = names.iter().filter(|name| !is_done(name)).cloned().collect();
        let own = tempfile::Builder::new().prefix("ntm-grid-").tempdir();
        let own = own.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot make a folder for logs: {error}"))
        })?;
        let files = self.files.as_deref().unwrap_or(own.path());
        let outfit = self.outfit.arguments();
        let arguments = ["grid", "--here", "--mode", self.mode.name()];
        let beside = Beside {
            arguments: arguments.into_iter().chain(outfit.iter().map(String::as_str)).collect(),
            files: Some(files),
            jobs: self.jobs.unwrap_or_else(|| {
                available_parallelism().map_or(1, |cores: NonZero<usize>| cores.get() as u32)
            }),
        };
        let mut ended = Ok(());
        beside.run(&left, |at, outcome| {
            let logs = files.join(&left[at]);
            let cell = match outcome {
                Ok(value) => serde_json::from_value(value).map_err(|error| error.to_string()),
                Err(broken) if broken.hopeless => {
                    ended = Err(Failure::new(Exit::Missing, broken.why));
                    return None;
                }
                Err(broken) => Err(broken.why),
            };
            let mut cell = cell.unwrap_or_else(|why| Cell::failed(&left[at], why));
            if cell.passed && self.files.is_none() {
                let _gone_with_the_rest_else = fs::remove_dir_all(&logs);
            } else {
                cell.logs = logs.exists().then_some(logs);
            }
            if let Some(journal) = &mut journal
                && let Err(failure) = journal.append(&json!(cell))
            {
                ended = Err(failure);
                return None;
            }
            let passed = cell.passed;
            cells.push(cell);
            Some(passed)
        });
        if cells.iter().any(|cell| cell.logs.as_ref().is_some_and(|logs| logs.starts_with(&own))) {
            let _kept = own.keep();
        }
        ended?;
        let mut in_order = Vec::new();
        for name in &names {
            in_order.extend(cells.iter().find(|cell| cell.id == *name).cloned());
        }
        Ok(in_order)
    }
}

fn read(path: &Path, lines: Vec<Value>) -> Result<Vec<Cell>, Failure> {
    let cells = lines.into_iter().enumerate().map(|(at, line)| {
        serde_json::from_value(line).map_err(|error| {
            let message = format!("line {} of {} is no cell: {error}", at + 2, path.display());
            Failure::new(Exit::Usage, message)
        })
    });
    cells.collect()
}

/// Whether a name begins as a pattern says, in which `*` stands for anything.
fn begins(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    parts.all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_beginning_with_anything_for_a_star() {
        for (pattern, yes) in [
            ("", true),
            ("v4", true),
            ("v4-dual-both-cgnat", true),
            ("dual", false),
            ("*-cgnat", true),
            ("*-mn-*", false),
            ("v4-*-both-*", true),
            ("*dual*both", true),
            ("*both*dual", false),
            ("v4-v*", false),
        ] {
            assert_eq!(begins("v4-dual-both-cgnat", pattern), yes, "{pattern}");
        }
    }
}
