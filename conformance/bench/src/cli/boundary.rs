use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Exit, Failure, machine, progress, say, write};
use crate::boundary::{self, Comparison, Plan};
use crate::stats::{median, span};

/// What it costs that a transport is in a shared object.
///
/// The transport `udp`, linked into this program and loaded from a library, sends and
/// receives over loopback; and a lane that does nothing is called in each way. The ways
/// take turns; ratios are of values of the same turn.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench boundary
  ntm-bench boundary --library target/release/libntm_transport_udp_dyn.so
  ntm-bench boundary --repeats 31 --json figures.json

Only a release build of both says something. Exit code 1 if the library has less
than 95 % of the linked one's throughput with 64 packets a call; with --quick it does
not judge.")]
pub(super) struct Boundary {
    /// The shared object; that beside this program if not given.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// How often each way gets its turn of 200 ms.
    #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Two short turns, to see that it works: no figures to keep.
    #[arg(long)]
    quick: bool,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is left of the linked one's throughput at least.
const LEAST: f64 = 0.95;

impl Boundary {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let beside = || {
            let own = std::env::current_exe().ok()?;
            Some(own.with_file_name("libntm_transport_udp_dyn.so"))
        };
        let library = self.library.clone().or_else(beside).unwrap_or_default();
        if !library.exists() {
            let message = format!(
                "there is no {}: build it with `cargo build --release -p ntm-transport-udp-dyn`, \
                 or name another with --library",
                library.display()
            );
            return Err(Failure::new(Exit::Missing, message));
        }
        let plan = match self.quick {
            true => Plan { repeats: 2, slice: Duration::from_millis(2) },
            false => Plan { repeats: self.repeats, slice: Duration::from_millis(200) },
        };
        let found = boundary::measure(&library, plan, progress)?;
        say(machine());
        for comparison in &found {
            table(comparison);
        }
        if let Some(file) = &self.json {
            let comparisons: Vec<_> = found.iter().map(Comparison::json).collect();
            let json = json!({ "schema": 1, "machine": machine(), "comparisons": comparisons });
            write(file, format!("{json:#}\n"))?;
        }
        let kept = found.first().and_then(|first| first.ratio(1)).map_or(0.0, |(ratio, _)| ratio);
        if kept < LEAST && !self.quick {
            let message = format!("the shared object has {:.1} % of the throughput", kept * 100.0);
            return Err(Failure::new(Exit::Failed, message));
        }
        Ok(())
    }
}

fn table(comparison: &Comparison) {
    let Comparison { what, unit, ways } = comparison;
    say(format!("\n{what}; medians, [least..most]:\n"));
    say(format!("| way           | {unit:>28} | ratio                |"));
    say("| ------------- | ---------------------------: | -------------------: |");
    for (at, (name, values)) in ways.iter().enumerate() {
        let (middle, ends) = (median(values).unwrap_or(f64::NAN), span(values).unwrap_or_default());
        let value = format!("{middle:.1} [{:.1}..{:.1}]", ends.0, ends.1);
        let ratio = comparison
            .ratio(at)
            .filter(|_| at > 0)
            .map(|(ratio, (least, most))| format!("{ratio:.3} [{least:.3}..{most:.3}]"));
        say(format!("| {name:<13} | {value:>28} | {:>20} |", ratio.unwrap_or_default()));
    }
}
