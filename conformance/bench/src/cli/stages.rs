use std::path::PathBuf;

use clap::Args;

use super::{Exit, Failure, progress, say, write};
use crate::stages::baseline::Ratios;
use crate::stages::{self, Plan, REFERENCE};

/// What each stage of a packet's way costs, without a network.
///
/// Processor time of one thread for a packet (of `relay-run` for a run of 45); the
/// best of many rounds. Told as nanoseconds, and as so many times what it costs to
/// seal 1,400 bytes with AES-256-GCM, which is what other machines can be compared
/// by.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench stages
  ntm-bench stages --check conformance/bench/stages.json
  ntm-bench stages --write conformance/bench/stages.json

Only a release build says something. Exit code 1 if a stage is worse than the
baseline.")]
pub(super) struct Stages {
    /// Compare with this baseline, and fail if a stage is worse.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// How much worse it may be.
    #[arg(long, value_name = "TIMES", default_value_t = 2.0, value_parser = factor, requires = "check")]
    factor: f64,
    /// Make what is measured the baseline.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    write: Option<PathBuf>,
    /// One short round, to see that it works: no figures to keep.
    #[arg(long, conflicts_with_all = ["check", "write"])]
    quick: bool,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn factor(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (1.0..=1000.0).contains(&value) { Ok(value) } else { Err("not from 1 to 1000".into()) }
}

impl Stages {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let baseline = self.check.as_ref().map(|file| {
            let wrong = |why: String| {
                let message = format!("cannot read {}: {why}", file.display());
                Failure::new(Exit::Failed, message)
            };
            let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
            Ratios::read(&text).map_err(wrong)
        });
        let baseline = baseline.transpose()?;
        let plan = if self.quick { Plan::QUICK } else { Plan::WHOLE };
        let figures = stages::measure(plan, progress)?;
        let ratios = Ratios::of(&figures);
        say(format!("| stage            |       ns | × {REFERENCE} |"));
        say("| ---------------- | -------: | --------------: |");
        for figure in &figures {
            let ratio = ratios.get(&figure.name).unwrap_or(f64::NAN);
            say(format!("| {:<16} | {:>8.1} | {ratio:>15.3} |", figure.name, figure.nanos));
        }
        let mut lost = Vec::new();
        for pair in stages::pairs() {
            if let (Some(one), Some(many)) = (ratios.get(&pair.one), ratios.get(&pair.many)) {
                let share = 1.0 - one / many;
                say(format!(
                    "\n{}: {} has {:.1} % less throughput than {}",
                    pair.what,
                    pair.many,
                    share * 100.0,
                    pair.one
                ));
                lost.push((pair.many, share));
            }
        }
        if let Some(file) = &self.json {
            let nanos: serde_json::Map<_, _> =
                figures.iter().map(|it| (it.name.clone(), it.nanos.into())).collect();
            let lost: serde_json::Map<_, _> =
                lost.into_iter().map(|(name, share)| (name, share.into())).collect();
            let mut json = ratios.json();
            json["nanoseconds"] = nanos.into();
            json["throughput_lost"] = lost.into();
            write(file, format!("{json:#}\n"))?;
        }
        if let Some(file) = &self.write {
            write(file, format!("{:#}\n", ratios.json()))?;
        }
        let complaints = baseline.map(|before| ratios.complaints(&before, self.factor));
        match complaints.filter(|complaints| !complaints.is_empty()) {
            None => Ok(()),
            Some(complaints) => Err(Failure::new(Exit::Failed, complaints.join("\n"))),
        }
    }
}
