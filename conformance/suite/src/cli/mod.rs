mod explain;
mod place;
mod progress;
mod select;
mod table;
mod wire;

use std::io::{Write as _, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ntm_conformance::{Check, Kind, Report, Runner, Subject};
use ntm_core::plugin::{Fault, PluginError};
use serde_json::{Value, json};

/// Tests plugins against what plugins promise, and nodes against the protocol.
#[derive(Parser)]
#[command(name = "ntm-conformance", version, after_help = AFTER)]
struct Cli {
    /// A built-in plugin by its name, or a library by its file (with a `/` or an
    /// ending); may be repeated. By default every built-in plugin.
    #[arg(long = "plugin", value_name = "NAME|FILE")]
    plugins: Vec<String>,
    /// Plugins of this kind alone.
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// The plugin's configuration, in the place of that in its claims: JSON, or a
    /// file of JSON or TOML.
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
    /// What the plugin says it can do, in the place of its own claim file.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Say what is promised, and stop.
    #[arg(long)]
    list: bool,
    /// Promises of this identifier alone; `*` stands for anything. May be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Say what a promise is for and where it stands, and stop.
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Write the outcome as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the outcome for a build server.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also try what takes a network of whole nodes on the real kernel; minutes.
    #[arg(long)]
    lab: bool,
    /// A time limit for each promise, in the place of its own.
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    #[command(flatten)]
    wire: wire::Wire,
}

const AFTER: &str = "\
Examples:
  ntm-conformance                                        every built-in plugin
  ntm-conformance --plugin udp --plugin quic
  ntm-conformance --plugin ./libacme.so --config '{ \"port\": 443 }'
  ntm-conformance --plugin ./libacme.so --only 'TRN-*' --junit acme.xml
  ntm-conformance --explain TRN-1
  ntm-conformance --wire 192.0.2.1:4330 --key KEY --as a.example=a.key

What is tried needs network namespaces (Linux: root or user namespaces), or it is
told which promises could not be tried. Nothing leaves this machine, except to the
node that --wire names.

Exit codes:
  0  every promise that was tried is kept
  1  one is broken
  2  wrong usage, configuration or claims
  3  no permission
  4  a file is missing
  5  something is in use by somebody else
  6  this system or build cannot do it";

/// A run that came to no verdict: what to say, and the exit code.
struct Failure {
    exit: u8,
    message: String,
}

impl From<PluginError> for Failure {
    fn from(error: PluginError) -> Self {
        let exit = match error.fault {
            Fault::System => 1,
            Fault::Config => 2,
            Fault::Permission => 3,
            Fault::Missing => 4,
            Fault::Busy => 5,
            Fault::Unsupported => 6,
        };
        Self { exit, message: error.to_string() }
    }
}

fn usage(message: impl Into<String>, remedy: &str) -> Failure {
    PluginError::new(Fault::Config, message, remedy).into()
}

pub(crate) fn main() -> ExitCode {
    ntm_conformance::commit_if_called();
    place::serve_if_called();
    match Cli::parse().execute() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            let _nobody_listens = writeln!(stderr(), "ntm-conformance: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

impl Cli {
    /// Whether all is well.
    fn execute(self) -> Result<bool, Failure> {
        if let Some(id) = &self.explain {
            return explain::explain(id).map(|()| true);
        }
        if let Some(node) = self.wire.node()? {
            let checks = wire::checks(&self.only)?;
            return self.tell(&[wire::run(&node, &checks)]);
        }
        let checks = select::checks(&self.only, self.lab)?;
        if self.list {
            table::list(&checks, self.kind);
            wire::list(self.kind.is_some() || !self.only.is_empty());
            return Ok(true);
        }
        place::enter();
        self.tell(&self.run(&checks)?)
    }

    /// Whether all is well; says it to whoever wants to know.
    fn tell(&self, reports: &[Report]) -> Result<bool, Failure> {
        if let Some(file) = &self.json {
            let plugins: Vec<Value> = reports.iter().map(Report::to_json).collect();
            let document = json!({ "suite": env!("CARGO_PKG_VERSION"), "plugins": plugins });
            write(file, format!("{document:#}\n"))?;
        }
        if let Some(file) = &self.junit {
            write(file, Report::junit(reports))?;
        }
        for report in reports {
            say(report.to_string());
        }
        Ok(reports.iter().all(Report::passed))
    }

    fn run(&self, checks: &[&Check]) -> Result<Vec<Report>, Failure> {
        let limit = self.limit.map(Duration::from_secs);
        let runner = Runner { limit, ..Runner::default() };
        let mut reports = Vec::new();
        for subject in self.subjects()? {
            let of_kind = |check: &&&Check| check.requirement.kinds.contains(&subject.kind());
            let checks: Vec<Check> = checks.iter().filter(of_kind).map(|check| **check).collect();
            if checks.is_empty() {
                continue;
            }
            let bar = progress::Bar::new(subject.name());
            let report = runner.run(subject, &checks, |progress| bar.show(progress));
            bar.end();
            table::report(&report);
            reports.push(report);
        }
        if reports.is_empty() {
            return Err(usage("nothing is left to test", "`--list` shows what there is"));
        }
        Ok(reports)
    }

    fn subjects(&self) -> Result<Vec<Subject>, Failure> {
        if (self.config.is_some() || self.claims.is_some()) && self.plugins.len() != 1 {
            return Err(usage(
                "`--config` and `--claims` are about one plugin",
                "name it with one `--plugin`",
            ));
        }
        let config = self.config.as_deref().map(select::config).transpose()?;
        let subjects = select::subjects(&self.plugins, self.kind, self.claims.as_deref())?;
        let configured = |subject: Subject| match &config {
            Some(config) => subject.with_config(config.clone()),
            None => subject,
        };
        Ok(subjects.into_iter().map(configured).collect())
    }
}

fn write(file: &Path, content: String) -> Result<(), Failure> {
    std::fs::write(file, content).map_err(|error| {
        PluginError::io(format!("write {}", file.display()), &error, "choose another file").into()
    })
}

/// Writes a line for the caller. A reader that has gone is no error.
fn say(line: impl AsRef<str>) {
    let _reader_gone = writeln!(stdout(), "{}", line.as_ref());
}
