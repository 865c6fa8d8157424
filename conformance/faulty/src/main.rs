//! Prints which fault was found by which promise.
#![forbid(unsafe_code)]

use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ntm_faulty::FAULTS;
use ntm_faulty::matrix::{Libraries, Row, many};
use serde_json::{Value, json};

/// Tests plugins that each break one promise, and says which promise found it.
#[derive(Parser)]
#[command(name = "ntm-faulty", version, after_help = AFTER)]
struct Cli {
    /// Try every promise of the kind, not only the one that is broken; minutes.
    #[arg(long)]
    all: bool,
    /// Faults whose name contains this alone.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// A folder with the libraries `ntm_faulty_*_dyn`: their faults are tried
    /// through the boundary, too.
    #[arg(long, value_name = "FOLDER")]
    libraries: Option<PathBuf>,
    /// Say it as JSON.
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Exit codes:
  0  every fault was found by the promise that it breaks
  1  one was not
  2  wrong usage";

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    ntm_lab::sandbox::serve_if_called();
    let cli = Cli::parse();
    // Folders are named from here; the sandbox has the same.
    #[cfg(target_os = "linux")]
    ntm_lab::sandbox::enter();
    // Faults that panic are told of with the others.
    std::panic::set_hook(Box::new(|_| {}));
    let wanted = |name: &str| cli.only.as_deref().is_none_or(|text| name.contains(text));
    let faults: Vec<_> = FAULTS.iter().filter(|fault| wanted(fault.name)).copied().collect();
    let libraries = cli.libraries.as_deref().map(Libraries::of).unwrap_or_default();
    let rows = match many(&faults, &libraries, cli.all) {
        Ok(rows) => rows,
        Err(error) => {
            let _nobody_listens = writeln!(stderr(), "ntm-faulty: {error}");
            return ExitCode::FAILURE;
        }
    };
    let found = rows.iter().filter(|row| row.is_caught()).count();
    if cli.json {
        let rows: Vec<Value> = rows.iter().map(Row::to_json).collect();
        say(&format!("{:#}", json!({ "faults": rows })));
    } else {
        rows.iter().for_each(show);
        say(&format!("{found} of {} faults were found by the promise that they break", rows.len()));
    }
    // Those that hang are left behind.
    if found == rows.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(row: &Row) {
    let kind = row.fault.mistake.kind();
    let via = if row.via == "linked" { "linked" } else { "library" };
    let mark = if row.is_caught() { "found" } else { "MISSED" };
    let (name, breaks) = (row.fault.name, row.fault.breaks);
    let others: Vec<_> = row.caught.iter().map(|(id, _)| *id).filter(|id| *id != breaks).collect();
    let others =
        if others.is_empty() { String::new() } else { format!("; also {}", others.join(" ")) };
    say(&format!("{:<10} {name:<36} {via:<8} {breaks:<7} {mark}{others}", kind.name()));
    let how = row.caught.iter().find(|(id, _)| *id == breaks).map(|(_, how)| how.as_str());
    if let Some(how) = how {
        let short: String = how.chars().take(140).collect();
        say(&format!("{:<10} {short}", ""));
    }
}

/// Writes a line for the caller. A reader that has gone is no error.
fn say(line: &str) {
    let _reader_gone = writeln!(stdout(), "{line}");
}
