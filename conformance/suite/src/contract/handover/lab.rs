//! Moves of whole nodes on real kernels.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ntm_core::address::TransportKind;
use ntm_lab::scenario::domain::{Domain, Mode, Node, Transport};
use ntm_lab::traffic::{Download, RunningDownload};
use ntm_lab::{Conditions, Error, Family, Host, Lab, Nat, Site, Tools};
use serde_json::{Map, Value, json};

use super::stage::play;
use crate::case::Case;
use crate::ensure;
use crate::kind::Kind;
use crate::outcome::{Note, Stop, Verdict};

/// Longer than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// What a download has to bring after each move.
const SOME: u64 = 256 << 10;
/// Bytes a second: enough to be under way at every move.
const PACE: u64 = 1 << 20;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Missing { .. } | Error::System { .. } | Error::Netlink { .. } => {
                Self::not_tried(error.to_string())
            }
            Error::Timeout { .. } | Error::Wrong(_) => Self::broken(error.to_string()),
        }
    }
}

/// The program `ntm`: beside this one, or in the search path.
fn program() -> Result<PathBuf, Stop> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(3).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let searched = std::env::split_paths(&path).collect::<Vec<_>>();
    let found = beside.chain(searched).map(|folder| folder.join("ntm")).find(|it| it.is_file());
    found.ok_or_else(|| {
        Stop::not_tried("the program `ntm` is neither beside this one nor in the search path")
    })
}

/// Every address with port 0 becomes everywhere, at this port.
fn at_port(config: &Value, port: u16) -> Value {
    match config {
        Value::String(text) if text.parse::<SocketAddr>().is_ok_and(|it| it.port() == 0) => {
            json!(format!("[::]:{port}"))
        }
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), at_port(value, port)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(_) | Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
            config.clone()
        }
    }
}

/// The section of a node's configuration that chooses the plugin.
fn section(case: &Case, port: u16) -> Result<String, Stop> {
    let subject = case.subject();
    let kind = subject.kind().name();
    let head = match subject.kind() {
        Kind::Transport => format!("[[{kind}]]"),
        Kind::Watcher | Kind::Traversal | Kind::Vip | Kind::Interface | Kind::Registry => {
            format!("[{kind}]")
        }
    };
    let file = Path::new(subject.origin());
    let choice = if file.is_file() {
        // A copy that nobody else may write, as nodes ask for.
        let copy = case.folder().join("plugin.so");
        fs::copy(file, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        format!("library = \"{}\"", copy.display())
    } else {
        format!("plugin = \"{}\"", subject.name())
    };
    let config = toml_edit::ser::to_string(&at_port(&case.config(), port))
        .map_err(|error| Stop::not_tried(format!("the configuration is no TOML: {error}")))?;
    Ok(format!("{head}\n{choice}\n[{kind}.config]\n{config}\n"))
}

/// A domain with the plugin under test, and what its terminals talk.
struct Scene {
    mn: Node,
    cn: Node,
    _servers: [Node; 2],
    mn_host: Host,
    cn_host: Host,
    sites: [Site; 4],
    _hosts: [Host; 2],
    domain: Domain,
    _lab: Lab,
}

/// What a move must not change.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    path: Value,
    vips: [Vec<IpAddr>; 2],
}

impl Scene {
    fn start(case: &Case, mode: Mode) -> Result<Self, Stop> {
        let _inside = case.world()?;
        let mut lab = Lab::new(Tools::detect())?;
        let core = lab.global("core")?;
        let other = lab.global("other")?;
        let home = lab.private("home", Nat::Cone, &core)?;
        let office = lab.private("office", Nat::Symmetric, &core)?;
        let mut host = |name: &str| -> Result<Host, Stop> {
            let host = lab.host(name, Conditions::round_trip(Duration::from_millis(4)))?;
            host.join(&core)?;
            Ok(host)
        };
        let (dc_host, rs_host) = (host("dc")?, host("rs")?);
        let (mn_host, cn_host) = (host("mn")?, host("cn")?);
        let folder = case.folder().join("domain");
        let mut domain = Domain::new(&program()?, &folder, &["dc", "rs", "mn", "cn"])?;
        configure(case, &mut domain)?;
        let dc = domain.start_dc(&dc_host)?;
        let rs = domain.start_relay(&rs_host)?;
        let mn = domain.start_terminal(&mn_host, mode)?;
        let cn = domain.start_terminal(&cn_host, mode)?;
        let (sites, servers) = ([core, other, home, office], [dc, rs]);
        let hosts = [dc_host, rs_host];
        Ok(Self {
            mn,
            cn,
            _servers: servers,
            mn_host,
            cn_host,
            sites,
            _hosts: hosts,
            domain,
            _lab: lab,
        })
    }

    fn download(&self) -> Result<RunningDownload, Stop> {
        let address = self.cn.vip(Family::V4)?;
        let download = Download { patience: LIMIT, ..Download::endless().paced(PACE) };
        Ok(download.start(self.cn_host.netns(), address, self.mn_host.netns())?)
    }

    fn identity(&self) -> Result<Identity, Stop> {
        let mn = self.mn.wait_for_tunnel_within(LIMIT, |_| true)?;
        let cn = self.cn.wait_for_tunnel_within(LIMIT, |_| true)?;
        let (path, other) = (mn["path_id"].clone(), &cn["path_id"]);
        ensure!(path == *other, "MN calls the path {path}, and CN {other}");
        for node in [&self.mn, &self.cn] {
            let status = node.status()?;
            let count = status["terminal"]["tunnels"].as_array().map_or(0, Vec::len);
            ensure!(count == 1, "{} has {count} tunnels to one peer", node.name);
        }
        let vips = |node: &Node| -> Result<Vec<IpAddr>, Stop> {
            Ok(vec![node.vip(Family::V4)?, node.vip(Family::V6)?])
        };
        Ok(Identity { path, vips: [vips(&self.mn)?, vips(&self.cn)?] })
    }
}

/// The same for every node: the plugin in its section.
fn configure(case: &Case, domain: &mut Domain) -> Result<(), Stop> {
    match case.subject().kind() {
        Kind::Transport => {
            let kind = case.transport(1)?.kind();
            let port = match kind {
                TransportKind::UDP => Transport::Udp.port(),
                TransportKind(_) => Transport::Quic.port(),
            };
            match kind {
                TransportKind::UDP => domain.set_transports(&[Transport::Udp]),
                TransportKind::QUIC => domain.set_transports(&[Transport::Quic]),
                TransportKind(other) => {
                    domain.set_transports(&[]);
                    domain.add_library(Path::new(case.subject().origin()), other, port);
                }
            }
            domain.set_transport_sections(&section(case, port)?);
        }
        Kind::Watcher => {
            for name in ["dc", "rs", "mn", "cn"] {
                domain.configure(name, &section(case, 0)?);
            }
        }
        Kind::Interface => {
            for name in ["mn", "cn"] {
                domain.configure(name, &section(case, 0)?);
            }
        }
        Kind::Traversal | Kind::Vip | Kind::Registry => domain.configure("dc", &section(case, 0)?),
    }
    Ok(())
}

fn goes_on(download: &RunningDownload, when: &str) -> Result<(), Stop> {
    let more = download.received() + SOME;
    let waited = download.wait_for(more, LIMIT);
    waited.map_err(|_| Stop::broken(format!("{when}, the download stands still for {LIMIT:?}")))
}

fn intact(download: RunningDownload) -> Verdict {
    download.end();
    let transfer = download.finish()?;
    ensure!(transfer.intact, "the download is not what was sent: {transfer:?}");
    let stall = transfer.longest_stall.as_millis();
    Ok(Note(format!("{} KiB, the longest stall {stall} ms", transfer.bytes >> 10)))
}

fn travel(case: &Case, mode: Mode) -> Verdict {
    play(case, |case| {
        let scene = Scene::start(case, mode)?;
        let download = scene.download()?;
        goes_on(&download, "at first")?;
        let before = scene.identity()?;
        let [core, other, home, office] = &scene.sites;
        for site in [other, home, office, core] {
            scene.mn_host.move_to(site)?;
            scene.mn_host.eth0().settle(site, LIMIT)?;
            goes_on(&download, &format!("after a move to {}", site.name()))?;
            let after = scene.identity()?;
            ensure!(after == before, "{}: {before:?} became {after:?}", site.name());
        }
        intact(download)
    })
}

pub(super) fn fast(case: &Case) -> Verdict {
    travel(case, Mode::Fast)
}

pub(super) fn seed(case: &Case) -> Verdict {
    travel(case, Mode::Seed)
}

pub(super) fn both_at_once(case: &Case) -> Verdict {
    play(case, |case| {
        let scene = Scene::start(case, Mode::Fast)?;
        let download = scene.download()?;
        goes_on(&download, "at first")?;
        let before = scene.identity()?;
        let [core, other, home, office] = &scene.sites;
        for (mn, cn) in [(home, other), (office, home), (other, core)] {
            scene.mn_host.move_to(mn)?;
            scene.cn_host.move_to(cn)?;
            scene.mn_host.eth0().settle(mn, LIMIT)?;
            scene.cn_host.eth0().settle(cn, LIMIT)?;
            goes_on(&download, &format!("MN moved to {} and CN to {}", mn.name(), cn.name()))?;
            let after = scene.identity()?;
            ensure!(after == before, "{before:?} became {after:?}");
        }
        intact(download)
    })
}

pub(super) fn killed(case: &Case) -> Verdict {
    play(case, |case| {
        let mut scene = Scene::start(case, Mode::Fast)?;
        let address = scene.cn.vip(Family::V4)?;
        let download = Download { patience: LIMIT, ..Download::of(SOME) };
        let netns = (scene.cn_host.netns().clone(), scene.mn_host.netns().clone());
        ensure!(download.run(&netns.0, address, &netns.1)?.intact, "the first download failed");
        let before = scene.identity()?;
        for round in 1..=2 {
            scene.mn.process.kill()?;
            scene.mn = scene.domain.start_terminal(&scene.mn_host, Mode::Fast)?;
            let transfer = download.run(&netns.0, address, &netns.1)?;
            ensure!(transfer.intact, "after `kill -9` the {round}. time: {transfer:?}");
            let after = scene.identity()?;
            ensure!(after == before, "{before:?} became {after:?} with `kill -9`");
        }
        Ok(Note::NONE)
    })
}
