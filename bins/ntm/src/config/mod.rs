//! One `ntm.toml` describes a node.
//!
//! # Layers
//!
//! The file, over it environment variables that begin with `NTM_`, over them
//! the arguments of `--set KEY=VALUE`:
//!
//! | file | environment | argument |
//! | --- | --- | --- |
//! | `mode = "seed"` in `[handover]` | `NTM_HANDOVER__MODE=seed` | `--set handover.mode=seed` |
//! | `bind` in the first `[[transport]]` | `NTM_TRANSPORT__0__CONFIG__BIND=…` | `--set transport[0].config.bind=…` |
//!
//! `NTM_LOG` and `NTM_LOG_FORMAT` stand for options of the command line, and what
//! begins with `NTM_LAB_` is the lab's; they are no part of this. A value there that begins like a list, a table or a quoted text of TOML is
//! read as one; whole numbers, `true` and `false` are what they look like;
//! anything else is text.
//!
//! # Errors
//!
//! Every problem has a place: file, line and column with the line itself, or the
//! variable or argument that said so. Unknown keys are problems and come with
//! the nearest valid one, so that no slip of the finger goes unnoticed; valid
//! keys are what serde derives from the structs here, and nothing else. What can
//! be found at once is reported at once.
//!
//! A plugin's own `config` stays opaque until the plugin is chosen; then
//! [`Sources::decode_plugin`] reads it with the same care, and
//! [`Sources::plugin_error`] points at the line that made a plugin refuse.
//!
//! # To read on
//!
//! [`Config`] and its sections; then `layers` (merging), `sources` (positions),
//! `decode` and `value` (collecting problems), `check` (what no single section
//! can tell).

mod check;
mod coordinator;
mod decode;
mod key;
mod layers;
mod node;
mod path;
mod paths;
mod plugin;
mod problem;
mod sources;
mod value;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

pub use self::coordinator::{Coordinator, Member, Relay, RelayQuota};
pub use self::key::{parse_key, read_key, write_key};
pub use self::node::{
    Cipher, Control, Dc, DscpMode, Handover, HandoverMode, Log, LogFormat, Node, Priority, Role,
    Tunnel, Workers,
};
pub use self::paths::{IpVersion, LinkKeys, Paths};
pub use self::plugin::{Mtu, Plugin};
pub use self::problem::{ConfigError, Place, Problem};
pub use self::sources::Sources;

use self::decode::Decoder;
use self::node::{ControlKeys, NodeKeys};
use self::plugin::{InterfaceKeys, PluginKeys};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[node]`: who it is.
    pub node: Node,
    /// `[[dc]]`: the coordinators of a terminal or relay server.
    pub dc: Vec<Dc>,
    /// `[[transport]]`, in the order of preference; `udp` where there is none.
    pub transport: Vec<Plugin>,
    /// `[watcher]`; `netlink` on Linux, else `ifwatch`.
    pub watcher: Plugin,
    /// `[traversal]`, on a coordinator; `rs`.
    pub traversal: Plugin,
    /// `[interface]`, on a terminal; `tun`.
    pub interface: Plugin,
    /// The largest packet that crosses it.
    pub mtu: Mtu,
    /// `[vip]`, on a coordinator; `pool`.
    pub vip: Plugin,
    /// `[registry]`, on a coordinator; `redb`.
    pub registry: Plugin,
    /// `[handover]`: how a terminal moves.
    pub handover: Handover,
    /// `[paths]`: which of a terminal's links are better.
    pub paths: Paths,
    /// `[tunnel]`: how packets travel.
    pub tunnel: Tunnel,
    /// `[control]`: where `ntm status` and others reach the node.
    pub control: Control,
    /// `[coordinator]`: how it serves.
    pub coordinator: Coordinator,
    /// `[[member]]`: who belongs to the coordinator's domain.
    pub member: Vec<Member>,
    /// `[relay]`: how a relay server serves.
    pub relay: Relay,
    /// `[log]`: how it tells what it does.
    pub log: Log,
}

/// A configuration and what is known about it.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is not wrong, but probably not meant.
    pub warnings: Vec<Problem>,
    /// Where its values come from.
    pub sources: Sources,
}

/// What a configuration is read from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The file's name, for messages and for paths relative to it.
    pub file: &'a Path,
    /// What is in the file.
    pub text: String,
    /// Environment variables; those that do not begin with `NTM_` are passed
    /// over.
    pub variables: BTreeMap<String, String>,
    /// The arguments of `--set`, in their order.
    pub sets: &'a [String],
}

/// Reads the file, lays the process's environment and `sets` over it, and
/// checks the result. Neither the key file nor anything that a plugin needs is
/// looked at.
///
/// # Errors
/// All problems that can be found at once.
pub fn load(file: &Path, sets: &[String]) -> Result<Loaded, ConfigError> {
    let unreadable =
        |message| ConfigError::new(vec![Problem { place: Place::File(file.to_owned()), message }]);
    let text = fs::read_to_string(file).map_err(|error| {
        unreadable(if error.kind() == ErrorKind::NotFound {
            "there is no such file; name another with `--config`".into()
        } else if error.kind() == ErrorKind::InvalidData {
            "this is not TOML: it is not text in UTF-8".into()
        } else {
            format!("cannot read it: {error}")
        })
    })?;
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| is_ours(name))?;
            Some((name, value.to_string_lossy().into_owned()))
        })
        .collect();
    parse(Input { file, text, variables, sets })
}

/// Whether an environment variable is part of the configuration: those of the
/// command line and of the lab, in which nodes may run, are not.
fn is_ours(name: &str) -> bool {
    name.starts_with(layers::PREFIX) && !name.starts_with(LAB) && !COMMAND_LINE.contains(&name)
}

/// Variables that stand for options of the command line.
const COMMAND_LINE: [&str; 2] = ["NTM_LOG", "NTM_LOG_FORMAT"];
/// What variables of the lab begin with.
const LAB: &str = "NTM_LAB_";

/// The same from values, without looking at the file system or the process.
///
/// # Errors
/// All problems that can be found at once.
pub fn parse(input: Input<'_>) -> Result<Loaded, ConfigError> {
    let Input { file, text, mut variables, sets } = input;
    variables.retain(|name, _| name.starts_with(layers::PREFIX));
    let (json, sources) = layers::merge(file, text, &variables, sets).map_err(ConfigError::new)?;
    let mut decoder = Decoder { sources: &sources, problems: Vec::new() };
    let config = decode(&mut decoder, json);
    let mut problems = decoder.problems;
    match config {
        Some(config) if problems.is_empty() => {
            let (errors, warnings) = check::check(&config, &sources);
            problems.extend(errors);
            if problems.is_empty() {
                return Ok(Loaded { config, warnings, sources });
            }
        }
        Some(_) | None => {}
    }
    Err(ConfigError::new(problems))
}

/// The sections as they stand in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    node: Option<Json>,
    dc: Option<Json>,
    transport: Option<Json>,
    watcher: Option<Json>,
    traversal: Option<Json>,
    interface: Option<Json>,
    vip: Option<Json>,
    registry: Option<Json>,
    handover: Option<Json>,
    paths: Option<Json>,
    tunnel: Option<Json>,
    control: Option<Json>,
    coordinator: Option<Json>,
    member: Option<Json>,
    relay: Option<Json>,
    log: Option<Json>,
}

fn decode(decoder: &mut Decoder<'_>, json: Json) -> Option<Config> {
    let all: Sections = decoder.decode(&path::KeyPath::default(), json)?;
    let sources = decoder.sources;
    // All of them before the first `?`, so that each gets to say what is wrong.
    // Where a section is unknown it may be this one.
    let node = match all.node {
        None if !decoder.problems.is_empty() => None,
        node => decoder.section::<NodeKeys>("node", node),
    };
    let dc = decoder.sections("dc", all.dc);
    let transport = decoder.sections::<PluginKeys>("transport", all.transport);
    let mut plugin = |name, value, default| {
        let keys = decoder.section::<PluginKeys>(name, value)?;
        decoder.plugin(&path::KeyPath::default().key(name), keys, Some(default))
    };
    let watcher = if cfg!(target_os = "linux") { "netlink" } else { "ifwatch" };
    let watcher = plugin("watcher", all.watcher, watcher);
    let traversal = plugin("traversal", all.traversal, "rs");
    let vip = plugin("vip", all.vip, "pool");
    let registry = plugin("registry", all.registry, "redb");
    let interface = decoder.section::<InterfaceKeys>("interface", all.interface);
    let interface = interface.map(InterfaceKeys::split).and_then(|(keys, mtu)| {
        let at = path::KeyPath::default().key("interface");
        Some((decoder.plugin(&at, keys, Some("tun"))?, mtu))
    });
    let handover = decoder.section("handover", all.handover);
    let paths = decoder.section("paths", all.paths);
    let tunnel = decoder.section("tunnel", all.tunnel);
    let control = decoder.section::<ControlKeys>("control", all.control);
    let coordinator = decoder.section("coordinator", all.coordinator);
    let member = decoder.sections("member", all.member);
    let relay = decoder.section("relay", all.relay);
    let log = decoder.section("log", all.log);
    let transport = decoder.transports(transport);

    let node = node?.resolve(sources);
    let (interface, mtu) = interface?;
    let control = control?.resolve(&node.name, sources);
    Some(Config {
        node,
        dc: dc?,
        transport: transport?,
        watcher: watcher?,
        traversal: traversal?,
        interface,
        mtu,
        vip: vip?,
        registry: registry?,
        handover: handover?,
        paths: paths?,
        tunnel: tunnel?,
        control,
        coordinator: coordinator?,
        member: member?,
        relay: relay?,
        log: log?,
    })
}
