//! Which plugins there are, without running any of a library's code.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ntm::Exit;
use ntm::plugins::{BUILT_IN, Kinds, Library, Refusal, Summary, inspect, schema};
use serde_json::{Value, json};

use super::new_plugin::New;
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
    /// Instead, what this plugin can be told, as a JSON Schema; a library may also be
    /// named by its file.
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// The plugin of this kind, where several have the name.
    #[arg(long, value_name = "KIND", requires = "schema")]
    kind: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  ntm plugins
  ntm plugins --folder target/release --json
  ntm plugins --schema udp
  ntm plugins --schema ./libmine.so

Of libraries only the header is read; nothing in them runs, but for `--schema`, which
loads the one that it asks.";

/// Look at plugins in libraries, and write one.
#[derive(Subcommand)]
pub(super) enum Plugin {
    /// What a library says of itself, and whether this program would load it.
    #[command(after_help = EXIT_CODES)]
    Inspect(Inspect),
    New(New),
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
        if let Some(name) = &self.schema {
            let schema = self.schema(name)?;
            let compact = self.json.then(|| schema.to_string());
            output::say(compact.unwrap_or_else(|| format!("{schema:#}")));
            return Ok(());
        }
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

/// Who may have the schema that was asked for.
enum Described {
    BuiltIn(&'static str, &'static str),
    Library(PathBuf, &'static str),
}

impl List {
    fn schema(&self, name: &str) -> Result<Value, Failure> {
        let mut all = self.named(name)?;
        let of = |it: &Described| match it {
            Described::BuiltIn(kind, _) | Described::Library(_, kind) => *kind,
        };
        if let Some(kind) = &self.kind {
            all.retain(|it| of(it) == kind);
        }
        let one = match &all[..] {
            [one] => one,
            [] => {
                let kind = self.kind.as_deref().map(|kind| format!(" for {kind}"));
                let message = format!(
                    "there is no plugin `{name}`{}; `ntm plugins` lists them, and a file has a \
                     name with `/`",
                    kind.unwrap_or_default()
                );
                return Err(Failure::new(Exit::Missing, message));
            }
            several => {
                let kinds = several.iter().map(of).collect::<Vec<_>>().join(", ");
                let message = format!(
                    "`{name}` is the name of several plugins ({kinds}); choose one with `--kind`, \
                     or name its file"
                );
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let silent = || {
            let message = format!("plugin `{name}` does not describe its configuration");
            Failure::new(Exit::Unsupported, message)
        };
        match one {
            Described::BuiltIn(kind, name) => schema(kind, name).ok_or_else(silent),
            Described::Library(file, kind) => {
                let failed = |said: String| Failure::new(Exit::Failed, said);
                let library = Library::load(file).map_err(|error| failed(error.to_string()))?;
                let said = library.schema(Kinds::named(kind));
                said.map_err(|error| failed(error.to_string()))?.ok_or_else(silent)
            }
        }
    }

    /// The plugins that have this name, or are in this file.
    fn named(&self, name: &str) -> Result<Vec<Described>, Failure> {
        if name.contains('/') {
            let file = PathBuf::from(name);
            let looked = inspect(&file);
            let it = looked.map_err(|it| Failure::new(Exit::Failed, it.to_string()))?;
            return Ok(it.kinds.names().map(|it| Described::Library(file.clone(), it)).collect());
        }
        let built_in = BUILT_IN.iter().filter(|(_, known)| *known == name);
        let mut all: Vec<_> = built_in.map(|(kind, name)| Described::BuiltIn(kind, name)).collect();
        for (file, looked) in found(&self.folders)? {
            let Ok(it) = looked else { continue };
            if it.name == name {
                all.extend(it.kinds.names().map(|it| Described::Library(file.clone(), it)));
            }
        }
        Ok(all)
    }
}

impl Plugin {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Inspect { file, json } = match self {
            Self::Inspect(inspect) => inspect,
            Self::New(new) => return new.execute(),
        };
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
