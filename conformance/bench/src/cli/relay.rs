use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{FOLDER, Failure, enter, find_ntm, progress, say, write};
use crate::relay;
use crate::stats::median;
use crate::tunnel::Programs;

/// What it costs a relay to forward a packet, beside coturn.
///
/// Of two terminals that cannot reach each other one sends small packets to the other
/// through a relay server; then the same sender sends as large ones through coturn, at
/// the same pace; and again. Counted are the packets that went through, and the time
/// that the relay's process alone was on a processor.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench relay
  ntm-bench relay --pace 100000 --seconds 10 --repeats 5 --json relay.json

Exit code 1 if a relay does not forward; 4 if this machine cannot have such
networks. Without coturn its part is left out.")]
pub(super) struct Relay {
    /// Packets a second to aim at.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pace: u32,
    /// Seconds of each run.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// The program `ntm`; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    ntm: Option<PathBuf>,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Relay {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let programs = Programs::of(find_ntm(self.ntm.as_deref())?);
        enter()?;
        let bed = relay::bed()?;
        let (pace, duration) = (self.pace.into(), Duration::from_secs(self.seconds.into()));
        let folder = Path::new(FOLDER);
        let mut found = [Vec::new(), Vec::new()];
        let mut why_not = None;
        for repeat in 1..=self.repeats {
            progress(&format!("{repeat} of {}: ntm", self.repeats));
            found[0].push(relay::ntm(&bed, &programs, folder, pace, duration)?);
            if why_not.is_none() {
                progress(&format!("{repeat} of {}: coturn", self.repeats));
                match relay::coturn(&bed, &folder.join("coturn"), pace, duration) {
                    Ok(forwarded) => found[1].push(forwarded),
                    Err(error) => why_not = Some(error.to_string()),
                }
            }
        }
        let each = |runs: &[relay::Forwarded], value: fn(&relay::Forwarded) -> f64| {
            median(&runs.iter().map(value).collect::<Vec<_>>())
        };
        say("| relay  | packets a CPU second | packets a second |");
        say("| ------ | -------------------: | ---------------: |");
        for (name, runs) in ["ntm", "coturn"].iter().zip(&found) {
            let cost = each(runs, relay::Forwarded::per_cpu_second);
            if let (Some(cost), Some(pace)) = (cost, each(runs, |run| run.pace)) {
                say(format!("| {name:<6} | {cost:>20.0} | {pace:>16.0} |"));
            }
        }
        let pairs = found[0].iter().zip(&found[1]);
        let ratios: Vec<_> =
            pairs.map(|(own, other)| own.per_cpu_second() / other.per_cpu_second()).collect();
        if let Some(ratio) = median(&ratios) {
            say(format!("\nntm divided by coturn, in the same repeat: {ratio:.2}"));
        }
        if let Some(why) = &why_not {
            say(format!("\ncoturn: not measured: {why}"));
        }
        if let Some(file) = &self.json {
            let json = serde_json::json!({
                "schema": 1,
                "ntm": found[0].iter().map(relay::Forwarded::json).collect::<Vec<_>>(),
                "coturn": found[1].iter().map(relay::Forwarded::json).collect::<Vec<_>>(),
                "ratio": median(&ratios),
                "why_not": why_not,
            });
            write(file, format!("{json:#}\n"))?;
        }
        Ok(())
    }
}
