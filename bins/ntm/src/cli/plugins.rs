//! Which plugins there are, without running any of a library's code.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ntm::Exit;
use ntm::plugins::{BUILT_IN, Refusal, Summary, inspect};
use serde_json::{Value, json};

use super::{EXIT_CODES, Failure, output};

/// Where packages put plugins.
const FOLDERS: [&str; 2] = ["/usr/local/lib/ntm", "/usr/lib/ntm"];

/// Which plugins there are: the built-in ones, and those in libraries.
#[derive(Args)]
#[command(after_help = format!("{LIST_EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct List {
    /// Look for libraries here; may be repeated. By default /usr/local/lib/ntm and
    /// /usr/lib/ntm.
    #[arg(long = "folder", value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  ntm plugins
  ntm plugins --folder target/release --json

Of libraries only the header is read; nothing in them runs.";

/// Look at plugins in libraries.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// What a library says of itself, and whether this program would load it.
    #[command(after_help = EXIT_CODES)]
    Inspect(Inspect),
}

#[derive(Args)]
pub(super) struct Inspect {
    /// The library.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

type Looked = Result<Summary, Refusal>;

impl List {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let found = found(&self.folders)?;
        if self.json {
            let built_in = BUILT_IN.iter().map(|(kind, name)| {
                json!({
                    "name": name, "kinds": [kind], "file": null, "abi": null, "refused": null,
                    "version": env!("CARGO_PKG_VERSION"),
                })
            });
            let libraries = found.iter().map(|(file, looked)| entry(file, looked));
            output::say(Value::from_iter(built_in.chain(libraries)).to_string());
            return Ok(());
        }
        let head = ["NAME", "KIND", "FROM", "VERSION", "ABI", "STATE"].map(String::from).to_vec();
        let mut rows = vec![head];
        let version = env!("CARGO_PKG_VERSION");
        rows.extend(BUILT_IN.iter().map(|(kind, name)| {
            [name, kind, "built-in", version, "-", "ready"].map(String::from).to_vec()
        }));
        rows.extend(found.iter().map(|(file, looked)| row(file, looked)));
        output::table(&rows);
        Ok(())
    }
}

impl Plugin {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self::Inspect(Inspect { file, json }) = self;
        let looked = inspect(&file);
        if json {
            output::say(entry(&file, &looked).to_string());
        } else if let Some(it) = summary(&looked) {
            for (key, value) in [
                ("name", it.name.clone()),
                ("version", it.version.clone()),
                ("kinds", it.kinds.to_string()),
                ("abi", format!("{}.{}", it.abi.0, it.abi.1)),
                ("needs", format!("{}.{}", it.abi.0, it.needs_minor)),
                ("built with", format!("{}, {}", it.sdk, it.toolchain)),
                ("built for", format!("{} on {}", it.system.0, it.machine.0)),
            ] {
                output::say(format!("{key:<10}  {value}"));
            }
        }
        match looked {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Failure::new(Exit::Failed, refusal.to_string())),
        }
    }
}

/// The libraries in these folders, in a stable order.
fn found(folders: &[PathBuf]) -> Result<Vec<(PathBuf, Looked)>, Failure> {
    let usual = folders.is_empty();
    let folders: Vec<&Path> = match usual {
        true => FOLDERS.iter().map(Path::new).collect(),
        false => folders.iter().map(PathBuf::as_path).collect(),
    };
    let mut files = Vec::new();
    for folder in folders {
        match folder.read_dir() {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            // Nobody has put anything there.
            Err(_) if usual => {}
            Err(error) => {
                let message = format!("cannot look into {}: {error}", folder.display());
                return Err(Failure::new(Exit::Missing, message));
            }
        }
    }
    let end = std::env::consts::DLL_EXTENSION;
    files.retain(|file| file.extension().is_some_and(|it| it == end));
    files.sort();
    let looked = files.into_iter().map(|file| {
        let looked = inspect(&file);
        (file, looked)
    });
    Ok(looked.collect())
}

fn summary(looked: &Looked) -> Option<&Summary> {
    looked.as_ref().map_or_else(Refusal::summary, Some)
}

fn row(file: &Path, looked: &Looked) -> Vec<String> {
    let told = |tell: fn(&Summary) -> String| summary(looked).map_or_else(|| "-".into(), tell);
    vec![
        told(|it| it.name.clone()),
        told(|it| it.kinds.to_string()),
        file.display().to_string(),
        told(|it| it.version.clone()),
        told(|it| format!("{}.{}", it.abi.0, it.abi.1)),
        looked.as_ref().map_or_else(|refusal| format!("refused: {refusal}"), |_| "ready".into()),
    ]
}

fn entry(file: &Path, looked: &Looked) -> Value {
    let it = summary(looked);
    json!({
        "name": it.map(|it| &it.name),
        "kinds": it.map(|it| it.kinds.names().collect::<Vec<_>>()),
        "file": file.display().to_string(),
        "version": it.map(|it| &it.version),
        "abi": it.map(|it| format!("{}.{}", it.abi.0, it.abi.1)),
        "needs": it.map(|it| format!("{}.{}", it.abi.0, it.needs_minor)),
        "sdk": it.map(|it| &it.sdk),
        "toolchain": it.map(|it| &it.toolchain),
        "refused": looked.as_ref().err().map(ToString::to_string),
    })
}
