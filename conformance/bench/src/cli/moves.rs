use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Exit, FOLDER, Failure, enter, find_ntm, progress, say, write};
use crate::moves;
use crate::tunnel::{NTM, Programs};

/// One long transfer while an end moves again and again.
///
/// A TCP connection through the tunnel carries random data to an end that has two
/// uplinks and changes from one to the other: first without any network, then with
/// another address. Both ends sum up what they sent and received (SHA-256).
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench moves
  ntm-bench moves --gib 1 --every 0.5 --json moves.json

Exit code 1 if the data did not arrive whole or a node logged a warning; 4 if this
machine cannot have such networks.")]
pub(super) struct Moves {
    /// How much is sent, in GiB; a part will do.
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = part)]
    gib: f64,
    /// Seconds from one move to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = part)]
    every: f64,
    /// The program `ntm`; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    ntm: Option<PathBuf>,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn part(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (0.01..=10_000.0).contains(&value) {
        Ok(value)
    } else {
        Err("not from 0.01 to 10000".into())
    }
}

impl Moves {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let programs = Programs::of(find_ntm(self.ntm.as_deref())?);
        enter()?;
        let bytes = (self.gib * f64::from(1 << 30)) as u64;
        let interval = Duration::from_secs_f64(self.every);
        let outcome = moves::run(&NTM, &programs, Path::new(FOLDER), bytes, interval, progress)?;
        outcome.lines().iter().for_each(say);
        if let Some(file) = &self.json {
            write(file, format!("{:#}\n", outcome.json()))?;
        }
        if outcome.passed() {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "the transfer did not survive as it must; see above"))
    }
}
