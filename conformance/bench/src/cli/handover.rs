use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Exit, FOLDER, Failure, enter, find_ntm, machine, progress, say, write};
use crate::handover::{Ground, Plan, Report, Row, Variant, run};
use crate::tunnel::{Programs, ROAMING, Tunnel};

/// What a move costs a conversation.
///
/// Each end has two uplinks to a router and changes from one to the other, while a
/// packet a millisecond goes through the tunnel in each direction. Told are the longest
/// time without a packet since the new address was usable, at the end that moved and at
/// the other, and what was lost. A tunnel that is not installed is left out, and the
/// report says so.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench handover
  ntm-bench handover --only ntm --only wireguard-go --rtt 20 --moves 50
  ntm-bench handover --variant both,listening --json handover.json --plot handover.svg

Nothing else should run meanwhile: both ends, the links' delays and the probes share
this machine.
Exit code 1 if a node of ours was not measured; 4 if this machine cannot have such
networks.")]
pub(super) struct Handover {
    /// Only tunnels with these names; may be repeated, or a list with commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Only show the names.
    #[arg(long)]
    list: bool,
    /// Only these variants; may be repeated, or a list with commas.
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',')]
    variant: Vec<Variant>,
    /// Round trips between any two places, in milliseconds.
    #[arg(long, value_name = "MS", value_delimiter = ',', default_value = "20", value_parser = clap::value_parser!(u64).range(0..=2000))]
    rtt: Vec<u64>,
    /// Moves of each tunnel of ours in each variant.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    moves: u32,
    /// The same of each other tunnel: some take their time.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    others: u32,
    /// Seconds from a tunnel's recovery to its next move, at least.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.4, value_parser = seconds)]
    rest: f64,
    /// A tunnel that is silent for so many seconds is told so and moves no more.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = seconds)]
    limit: f64,
    /// The program `ntm`; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    ntm: Option<PathBuf>,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture (SVG) into this file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (0.1..=600.0).contains(&value) { Ok(value) } else { Err("not from 0.1 to 600".into()) }
}

const VARIANTS: [Variant; 6] = [
    Variant::Plain,
    Variant::Listening,
    Variant::Download,
    Variant::Lossy,
    Variant::Overlap,
    Variant::Both,
];

impl Handover {
    pub(super) fn execute(self) -> Result<(), Failure> {
        if self.list {
            ROAMING.iter().for_each(|tunnel| say(format!("{:<14}{}", tunnel.name, tunnel.what)));
            return Ok(());
        }
        let tunnels = super::chosen(&ROAMING, &self.only)?;
        let programs = Programs::of(find_ntm(self.ntm.as_deref())?);
        enter()?;
        let report = self.measure(&tunnels, &programs)?;
        report.lines().iter().for_each(say);
        if let Some(file) = &self.json {
            write(file, format!("{:#}\n", report.json()))?;
        }
        if let Some(file) = &self.plot {
            write(file, report.svg())?;
        }
        if report.is_whole() {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, "not every tunnel of ours was measured; see above"))
    }

    fn measure(&self, tunnels: &[&Tunnel], programs: &Programs) -> Result<Report, Failure> {
        let limit = Duration::from_secs_f64(self.limit);
        let rest = Duration::from_secs_f64(self.rest);
        let variants = if self.variant.is_empty() { &VARIANTS[..] } else { &self.variant };
        let mut report = Report { machine: machine(), limit, rows: Vec::new() };
        for rtt in &self.rtt {
            let mut ground = Ground::build(Duration::from_millis(*rtt))?;
            for variant in variants.iter().copied() {
                for tunnel in tunnels {
                    let here = format!("{rtt} ms, {}, {}", variant.name(), tunnel.name);
                    progress(&format!("{here}: starting"));
                    let moves = if tunnel.is_ours() { self.moves } else { self.others };
                    let plan = Plan { moves, limit, rest };
                    let outcome = run(
                        &mut ground,
                        tunnel,
                        variant,
                        programs,
                        Path::new(FOLDER),
                        &plan,
                        |what| progress(&format!("{here}: {what}")),
                    );
                    report.rows.push(Row {
                        tunnel: tunnel.name,
                        version: tunnel.version(programs),
                        variant,
                        round_trip: *rtt as f64,
                        measured: ground.round_trip.median.as_secs_f64() * 1e3,
                        outcome,
                    });
                }
            }
        }
        Ok(report)
    }
}
