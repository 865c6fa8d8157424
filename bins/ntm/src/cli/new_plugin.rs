//! The beginning of a plugin: a crate that builds, loads and passes its tests.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ntm::Exit;
use serde_json::json;

use super::{EXIT_CODES, Failure, output};

/// Begin a plugin: writes a crate that builds a library, with tests.
#[derive(Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(super) struct New {
    /// What it is called: lower-case letters, digits and `-`. A folder of this name is made.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is for.
    #[arg(long, value_name = "KIND")]
    kind: Kind,
    /// A checkout of ntm, whose crates it is built with; by default the one around this
    /// folder, or around this program.
    #[arg(long, value_name = "FOLDER")]
    ntm: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  ntm plugin new acme-radio --kind transport --ntm ~/src/ntm
  cd acme-radio && cargo test";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Transport,
    Watcher,
    Traversal,
    Vip,
    Interface,
    Registry,
}

/// What differs from kind to kind.
struct Template {
    section: &'static str,
    library: &'static str,
    test: &'static str,
    /// What `ntm-conformance` is to try it with.
    claims: &'static str,
    /// Crates of ntm and others that the library needs, besides `ntm-core` and `ntm-sdk`.
    needs: &'static [&'static str],
    /// Crates that the test needs, besides those of all.
    test_needs: &'static [&'static str],
}

macro_rules! template {
    ($kind:literal, $section:literal, $needs:expr, $test_needs:expr) => {
        Template {
            section: $section,
            library: include_str!(concat!("../../templates/", $kind, "/lib.rs.in")),
            test: include_str!(concat!("../../templates/", $kind, "/library.rs.in")),
            claims: include_str!(concat!("../../templates/", $kind, "/claims.toml.in")),
            needs: &$needs,
            test_needs: &$test_needs,
        }
    };
}

const MANIFEST: &str = include_str!("../../templates/Cargo.toml.in");
const README: &str = include_str!("../../templates/README.md.in");
const COMMON: &str = include_str!("../../templates/common.rs.in");

const ASYNC_TRAIT: &str = "async-trait = \"0.1\"";
const SERDE: &str = "serde = { version = \"1\", features = [\"derive\"] }";
const TOKIO: &str = "tokio = { version = \"1\", features = [\"macros\", \"net\", \"rt\", \"sync\", \
                     \"time\"] }";
const LANE: &str = "ntm-lane = { path = \"{ntm}/ntm-core/lane\" }";
const POLL: &str = "ntm-watcher-poll = { path = \"{ntm}/plugins/watcher-poll\" }";
const RS: &str = "ntm-traversal-rs = { path = \"{ntm}/plugins/traversal-rs\" }";
const RUSTIX: &str = "rustix = { version = \"1.1\", features = [\"event\"] }";

impl Kind {
    fn template(self) -> Option<Template> {
        Some(match self {
            Self::Transport => {
                template!("transport", "[[transport]]", [LANE, ASYNC_TRAIT, SERDE, TOKIO], [RUSTIX])
            }
            Self::Watcher => {
                template!("watcher", "[watcher]", [POLL, ASYNC_TRAIT, SERDE, TOKIO], [])
            }
            Self::Traversal => {
                template!("traversal", "[traversal]", [RS, ASYNC_TRAIT, SERDE], [])
            }
            Self::Vip => template!("vip", "[vip]", [ASYNC_TRAIT, SERDE], []),
            Self::Interface | Self::Registry => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Watcher => "watcher",
            Self::Traversal => "traversal",
            Self::Vip => "vip",
            Self::Interface => "interface",
            Self::Registry => "registry",
        }
    }

    /// The built-in plugin that shows how it is done.
    fn built_in(self) -> &'static str {
        match self {
            Self::Transport => "plugins/transport-udp",
            Self::Watcher => "plugins/watcher-netlink",
            Self::Traversal => "plugins/traversal-rs",
            Self::Vip => "plugins/vip-pool",
            Self::Interface => "plugins/interface-tun",
            Self::Registry => "plugins/registry-redb",
        }
    }
}

impl New {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let Self { name, kind, ntm, json } = &self;
        check(name)?;
        let Some(template) = kind.template() else {
            let message = format!(
                "there is no template of a plugin for {kind}: copy {} and its `-dyn` crate",
                kind.built_in(),
                kind = kind.name(),
            );
            return Err(Failure::new(Exit::Unsupported, message));
        };
        let checkout = checkout(ntm.as_deref())?;
        let files = files(name, *kind, &template, &checkout);
        let folder = Path::new(name);
        write(folder, &files).map_err(|(path, error)| {
            let path = path.display();
            if error.kind() == ErrorKind::AlreadyExists {
                return Failure::new(
                    Exit::Busy,
                    format!("{path} is there already; choose another name"),
                );
            }
            let denied = error.kind() == ErrorKind::PermissionDenied;
            let exit = if denied { Exit::Permission } else { Exit::Failed };
            Failure::new(exit, format!("cannot write {path}: {error}"))
        })?;
        if *json {
            let files: Vec<_> = files.iter().map(|(file, _)| file).collect();
            output::say(
                json!({ "folder": folder, "kind": kind.name(), "files": files }).to_string(),
            );
        } else {
            output::say(format!(
                "{name}/ is a {} that works; go on in {name}/src/lib.rs",
                kind.name()
            ));
            output::say(format!("  cd {name} && cargo test"));
        }
        Ok(())
    }
}

/// A name that is a crate's, a file's and a header's.
fn check(name: &str) -> Result<(), Failure> {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    // What Rust or cargo has another use for.
    let taken = ["build", "core", "deps", "examples", "incremental", "std", "test"];
    if begins && name.len() <= 40 && name.chars().all(known) && !taken.contains(&name) {
        return Ok(());
    }
    let message = format!(
        "`{name}` cannot be a plugin's name; use at most 40 lower-case letters, digits and `-`, a \
         letter first, and no word of cargo's"
    );
    Err(Failure::new(Exit::Usage, message))
}

/// The checkout of ntm that the plugin is to be built with.
fn checkout(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let is_one = |folder: &Path| folder.join("ntm-core/sdk/Cargo.toml").is_file();
    let found = match named {
        Some(folder) => is_one(folder).then(|| folder.to_owned()),
        None => {
            let here = std::env::current_dir().ok();
            let program = std::env::current_exe().ok();
            let around = [here, program];
            around
                .iter()
                .flatten()
                .find_map(|it| it.ancestors().find(|it| is_one(it)).map(Into::into))
        }
    };
    let found: Option<PathBuf> = found.and_then(|folder| folder.canonicalize().ok());
    found.ok_or_else(|| {
        let message =
            "its crates are not published yet: name a checkout of ntm with `--ntm FOLDER`";
        let message = match named {
            Some(folder) => format!("{} is no checkout of ntm", folder.display()),
            None => message.to_owned(),
        };
        Failure::new(Exit::Missing, message)
    })
}

/// What goes where.
fn files(
    name: &str,
    kind: Kind,
    template: &Template,
    checkout: &Path,
) -> Vec<(&'static str, String)> {
    let lines = |needs: &[&str]| needs.iter().map(|it| format!("{it}\n")).collect::<String>();
    let fill = |text: &str| {
        text.replace("{dependencies}", &lines(template.needs))
            .replace("{test_dependencies}\n", &lines(template.test_needs))
            .replace("{section}", template.section)
            .replace("{kind}", kind.name())
            .replace("{crate}", &name.replace('-', "_"))
            .replace("{name}", name)
            .replace("{ntm}", &checkout.display().to_string())
    };
    let mut files = vec![
        (".gitignore", "/target\n".to_owned()),
        ("Cargo.toml", fill(MANIFEST)),
        ("README.md", fill(README)),
        ("src/lib.rs", fill(template.library)),
        ("tests/library.rs", fill(COMMON) + &fill(template.test)),
        ("claims.toml", fill(template.claims)),
    ];
    // The versions that ntm itself is tested with; cargo leaves out what is not needed.
    if let Ok(lock) = fs::read_to_string(checkout.join("Cargo.lock")) {
        files.push(("Cargo.lock", lock));
    }
    files
}

fn write(folder: &Path, files: &[(&'static str, String)]) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |error| (path, error)
    };
    for part in [folder, &folder.join("src"), &folder.join("tests")] {
        fs::create_dir(part).map_err(failed(part))?;
    }
    for (file, text) in files {
        let path = folder.join(file);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}
