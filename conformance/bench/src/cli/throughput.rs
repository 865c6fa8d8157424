use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Exit, FOLDER, Failure, chosen, enter, find_ntm, machine, progress, say, write};
use crate::bed::{Bed, Cable, Way};
use crate::measure::suite::{self, Plan};
use crate::report::{Entry, Report};
use crate::tunnel::{self, Programs, Tunnel};

/// How much goes through, how soon, and what it costs.
///
/// Each tunnel in turn is started between two namespaces, measured and stopped; and
/// all again, as often as asked. A tunnel that is not installed is left out, and the
/// report says so.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm-bench throughput
  ntm-bench throughput --only none --only ntm --only nebula --repeats 5
  ntm-bench throughput --link plain --json plain.json --plot plain.svg
  ntm-bench throughput --path relayed --only ntm,ntm-paths
  ntm-bench throughput --only ntm,ntm-quic,ntm-libraries
  ntm-bench throughput --quick

Nothing else should run meanwhile: both ends and the probes share this machine.
Exit code 1 if a tunnel was measured in one repeat and failed in another, or none
was measured; 4 if this machine cannot have such networks.")]
pub(super) struct Throughput {
    /// Only tunnels with these names; may be repeated, or a list with commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Only show the names.
    #[arg(long)]
    list: bool,
    /// How the two ends are joined.
    #[arg(long, value_enum, default_value_t = Way::Direct)]
    path: Way,
    /// What the cables can do.
    #[arg(long, value_enum, default_value_t = Cable::Offload)]
    link: Cable,
    /// Seconds of each TCP run.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// How often every tunnel is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// How TCP avoids congestion, as the kernel calls it. BBR, which some machines
    /// prefer, fills queues until they lose.
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    congestion: String,
    /// One short repeat, to see that it works: no figures to keep.
    #[arg(long, conflicts_with_all = ["seconds", "repeats"])]
    quick: bool,
    /// The program `ntm`; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    ntm: Option<PathBuf>,
    /// A build of `ntm` whose cipher does nothing.
    #[arg(long, value_name = "PATH")]
    ntm_null: Option<PathBuf>,
    /// The folder of the shared objects of plugins, for `ntm-libraries`; by default that of
    /// this program.
    #[arg(long, value_name = "FOLDER")]
    libraries: Option<PathBuf>,
    /// Paths that the relay of `ntm-paths` has besides: 10,000; with --quick 100.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    paths: Option<u32>,
    /// Write all figures into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a picture (SVG) into this file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// With --quick.
const QUICK_PATHS: u32 = 100;

impl Throughput {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let tunnels = chosen(&tunnel::ALL, &self.only)?;
        if self.list {
            tunnels.iter().for_each(|tunnel| say(format!("{:<14}{}", tunnel.name, tunnel.what)));
            return Ok(());
        }
        let programs = self.programs()?;
        enter()?;
        let bed = Bed::new(self.path, self.link)?;
        let report = self.measure(&bed, &tunnels, &programs);
        report.lines().iter().for_each(say);
        if let Some(file) = &self.json {
            write(file, format!("{:#}\n", report.json()))?;
        }
        if let Some(file) = &self.plot {
            write(file, report.svg())?;
        }
        if !report.entries.iter().any(Entry::answered) {
            return Err(Failure::new(Exit::Failed, "nothing was measured; see above"));
        }
        if !report.is_whole() {
            return Err(Failure::new(Exit::Failed, "not every repeat was measured; see above"));
        }
        Ok(())
    }

    fn programs(&self) -> Result<Programs, Failure> {
        let null = self.ntm_null.as_deref().map(|file| find_ntm(Some(file))).transpose()?;
        let mut programs = Programs { null, ..Programs::of(find_ntm(self.ntm.as_deref())?) };
        if let Some(folder) = &self.libraries {
            // Nodes do not run where this command does.
            programs.libraries = folder.canonicalize().map_err(|error| {
                let message = format!("cannot find the folder {}: {error}", folder.display());
                Failure::new(Exit::Missing, message)
            })?;
        }
        let few = if self.quick { QUICK_PATHS } else { tunnel::PATHS };
        programs.paths = self.paths.unwrap_or(few) as usize;
        Ok(programs)
    }

    fn plan(&self) -> Plan {
        let congestion = self.congestion.clone();
        if self.quick {
            return Plan {
                congestion,
                seconds: 1,
                attempt: Duration::from_millis(100),
                precision: 1.5,
                overload: Duration::from_millis(200),
                echoes: 200,
            };
        }
        Plan {
            congestion,
            seconds: self.seconds,
            attempt: Duration::from_millis(300),
            precision: 1.06,
            overload: Duration::from_secs(1),
            echoes: 1000,
        }
    }

    fn measure(&self, bed: &Bed, tunnels: &[&'static Tunnel], programs: &Programs) -> Report {
        let entry = |tunnel: &&Tunnel| Entry {
            name: tunnel.name,
            what: tunnel.what,
            ours: tunnel.is_ours(),
            version: tunnel.version(programs),
            samples: Vec::new(),
            why_not: None,
        };
        let plan = self.plan();
        let mut report = Report {
            way: self.path,
            cable: self.link,
            repeats: if self.quick { 1 } else { self.repeats },
            plan: plan.clone(),
            paths: programs.paths,
            machine: machine(),
            entries: tunnels.iter().map(entry).collect(),
        };
        for repeat in 1..=report.repeats {
            for (tunnel, entry) in tunnels.iter().zip(&mut report.entries) {
                // One that could not be started will not be the next time.
                if repeat > 1 && !entry.answered() {
                    continue;
                }
                let here = format!("{repeat} of {}: {}", report.repeats, tunnel.name);
                let say = |what: &str| progress(&format!("{here}: {what}"));
                say("starting");
                let started = tunnel.start(bed, programs, Path::new(FOLDER), &say);
                entry.add(started.and_then(|running| suite::run(bed, &running, &plan, say)));
            }
        }
        report
    }
}
