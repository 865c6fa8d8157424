use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use ntm::Exit;
use ntm_lab::scenario::paper::{self, Options, Report};

use super::outfit::Outfit;
use super::{Mode, Progress, enter, keep_files};
use crate::cli::{Failure, output};

/// The paper's measurement.
///
/// MN behind NAT 1 talks to CN behind NAT 2, through RS; DC and RS are in the
/// open. MN moves into the network of the DC, and back, again and again. A
/// download runs through all moves, beside a packet a millisecond each way.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm lab paper
  ntm lab paper --mode seed --rtt 20 --plot move.svg
  ntm lab paper --transport quic
  ntm lab paper --transport udp,quic --block-udp
  ntm lab paper --libraries target/release
  ntm lab paper --moves 50 --json > figures.json
  ntm lab paper --files logs
  ntm lab paper --keep

Exit code 1 if the download did not arrive whole or the Path ID did not stay the
same; 4 if this machine cannot have such networks.")]
pub(in crate::cli) struct Paper {
    /// What terminals do when they move.
    #[arg(long, value_enum, default_value_t = Mode::Fast)]
    mode: Mode,
    #[command(flatten)]
    outfit: Outfit,
    /// The round trip between any two hosts, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10.0, value_parser = round_trip)]
    rtt: f64,
    /// How often MN moves into the network of the DC; half of all moves.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    moves: u32,
    /// Mebibytes of the download.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    size: u64,
    /// Write a picture (SVG) of the first move.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Keep the nodes' configurations and logs in this folder.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// Start a shell inside when all is done, while the nodes still run.
    #[arg(long)]
    keep: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn round_trip(text: &str) -> Result<f64, String> {
    let ms: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (0.0..=2000.0).contains(&ms) { Ok(ms) } else { Err("not from 0 to 2000 ms".into()) }
}

impl Paper {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let outfit = self.outfit.get()?;
        let (program, folder) = enter()?;
        let progress = Progress::new();
        let options = Options {
            mode: self.mode.into(),
            outfit,
            rtt: Duration::from_secs_f64(self.rtt / 1e3),
            moves: self.moves,
            bytes: self.size << 20,
            plot: self.plot.clone(),
        };
        let outcome = paper::run(
            &program,
            &folder,
            &options,
            |what| progress.say(what),
            |report| {
                self.print(report);
                if self.keep {
                    stay(&folder);
                }
                Ok(())
            },
        );
        if let Some(into) = &self.files {
            keep_files(&folder, into)?;
        }
        let report = outcome?;
        if report.passed() {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "communication did not survive as it must; see above"))
    }

    fn print(&self, report: &Report) {
        if self.json {
            match serde_json::to_string_pretty(report) {
                Ok(text) => output::say(text),
                Err(error) => output::complain(&error.to_string()),
            }
        } else {
            report.lines().iter().for_each(output::say);
        }
    }
}

/// Lets somebody look around until they leave the shell.
fn stay(folder: &Path) {
    let hints = format!(
        "This shell is inside; leave it and all is gone. The machines are mn, cn, dc, rs, nat1\n\
         and nat2; files, logs and sockets of the nodes are in {folder}. Try\n\
         \n\
         \x20   ntm status --socket {folder}/mn.sock\n\
         \x20   nsenter --net=/run/netns/mn bash\n",
        folder = folder.display()
    );
    output::note(&hints);
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    // So that `ntm` is this program.
    if let Some(own) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        let mut path = own.as_os_str().to_owned();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        command.env("PATH", path);
    }
    if let Err(error) = command.status() {
        output::complain(&format!("cannot start {}: {error}", shell.display()));
    }
}
