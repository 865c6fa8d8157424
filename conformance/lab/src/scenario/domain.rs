//! A coordinator, relays and terminals as running programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use super::node::Node;
use super::outfit::Outfit;
use super::program::program;
use crate::error::{Doing as _, Error, Result};
use crate::family::Family;
use crate::host::Host;
use crate::netns::Netns;
use crate::process::Process;
use crate::topology::Wired;

/// How long a node may take to be ready.
const START: Duration = Duration::from_secs(20);

/// What terminals do when they move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Tell everybody at once.
    #[default]
    Fast,
    /// The paper's sequence.
    Seed,
}

impl Mode {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Seed => "seed",
        }
    }
}

/// How datagrams travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Straight in UDP, port 4330.
    #[default]
    Udp,
    /// In QUIC, port 443.
    Quic,
}

impl Transport {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Quic => "quic",
        }
    }

    /// Where nodes of the lab listen.
    pub fn port(self) -> u16 {
        match self {
            Self::Udp => 4330,
            Self::Quic => 443,
        }
    }
}

/// A coordinator, relays and terminals of one domain: keys, configurations and
/// running programs.
#[derive(Debug)]
pub struct Domain {
    program: PathBuf,
    folder: PathBuf,
    keys: BTreeMap<String, String>,
    /// Where the coordinator is, as configurations write it.
    dc: Vec<String>,
    outfit: Outfit,
    /// A transport of others, behind these.
    library: Option<Library>,
    /// What nodes say of their transports, in the place of what follows from these.
    transport_sections: Option<String>,
    keep_alive: Duration,
    /// What a node's configuration says besides, by host name.
    more: BTreeMap<String, String>,
}

/// A transport in a shared object.
#[derive(Debug)]
struct Library {
    file: PathBuf,
    /// What the wire calls it.
    kind: u8,
    /// Where it listens.
    port: u16,
}

/// Where a node can run.
pub trait Machine {
    /// The namespace; its name is the node's.
    fn netns(&self) -> &Netns;

    /// Its address of a family.
    ///
    /// # Errors
    /// It has none.
    fn address(&self, family: Family) -> Result<IpAddr>;
}

impl Machine for Host {
    fn netns(&self) -> &Netns {
        self.netns()
    }

    fn address(&self, family: Family) -> Result<IpAddr> {
        self.address(family)
    }
}

impl Machine for Wired {
    fn netns(&self) -> &Netns {
        self.netns()
    }

    fn address(&self, family: Family) -> Result<IpAddr> {
        self.address(family)
    }
}

impl Domain {
    /// A domain whose nodes run `program` and keep their files in `folder`, with
    /// these members (host name and role, `terminal` or `relay`).
    ///
    /// # Errors
    /// The program does not make keys.
    pub fn new(program: &Path, folder: &Path, names: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder).doing(|| format!("make {}", folder.display()))?;
        let mut domain = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            keys: BTreeMap::new(),
            dc: Vec::new(),
            outfit: Outfit::default(),
            library: None,
            transport_sections: None,
            keep_alive: Duration::from_secs(25),
            more: BTreeMap::new(),
        };
        for name in names {
            let public = domain.make_key(name)?;
            domain.keys.insert((*name).to_owned(), public);
        }
        Ok(domain)
    }

    fn make_key(&self, name: &str) -> Result<String> {
        let mut command = program(&self.program);
        command.args(["key", "generate", "--out"]).arg(self.folder.join(format!("{name}.key")));
        let output = command.output().doing(|| format!("run {}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::wrong(format!("no key could be made: {}", said.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts the coordinator on this host, with every other name as a member:
    /// those that begin with `rs` as relays.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_dc(&mut self, host: &impl Machine) -> Result<Node> {
        let name = host.netns().name();
        let ips: Vec<_> =
            Family::BOTH.into_iter().filter_map(|family| host.address(family).ok()).collect();
        let at = |(kind, port): (String, u16)| {
            let at = |ip: &IpAddr| format!("\"{kind}:{}\"", SocketAddr::new(*ip, port));
            ips.iter().map(at).collect::<Vec<_>>()
        };
        let ways = self.outfit.transports.iter().map(|it| (it.name().to_owned(), it.port()));
        let library = self.library.iter().map(|it| (it.kind.to_string(), it.port));
        self.dc = ways.chain(library).flat_map(at).collect();
        let mut text = format!(
            "[vip.config]\nipv4 = \"198.18.0.0/16\"\nipv6 = \"fd53:6e74:6d00::/48\"\n\
             [registry.config]\npath = \"{}\"\n\
             [coordinator]\npublic = [{}]\nkeep_alive = {}\n",
            // A library does not know where the configuration is.
            self.folder.join(format!("{name}.redb")).display(),
            self.dc.join(", "),
            self.keep_alive.as_secs()
        );
        for (member, key) in &self.keys {
            if member != name {
                let role = if member.starts_with("rs") { "relay" } else { "terminal" };
                let _infallible = write!(
                    text,
                    "[[member]]\nname = \"{member}.example\"\npublic_key = \"{key}\"\nrole = \"{role}\"\n"
                );
            }
        }
        self.start(host, "dc", &text, "the registry is read")
    }

    /// Starts a relay on this host.
    ///
    /// # Errors
    /// It does not start, or does not register.
    pub fn start_relay(&self, host: &impl Machine) -> Result<Node> {
        self.start(host, "rs", &self.dc_section(), "registered with the coordinator")
    }

    /// Starts a terminal on this host.
    ///
    /// # Errors
    /// It does not start, or does not register.
    pub fn start_terminal(&self, host: &impl Machine, mode: Mode) -> Result<Node> {
        let text = format!("{}[handover]\nmode = \"{}\"\n", self.dc_section(), mode.name());
        self.start(host, "terminal", &text, "ready")
    }

    /// Sets the time between keep-alives for a coordinator started later, in
    /// whole seconds: in scenarios in which it dies, short ones show sooner that
    /// it did.
    pub fn set_keep_alive(&mut self, interval: Duration) {
        self.keep_alive = interval;
    }

    /// Sets what every node started later sends and listens by, best first; UDP alone
    /// where it is not set.
    pub fn set_transports(&mut self, transports: &[Transport]) {
        self.outfit.transports = transports.to_vec();
    }

    /// Sets what every node started later works with.
    pub fn set_outfit(&mut self, outfit: &Outfit) {
        self.outfit = outfit.clone();
    }

    /// Lets every node started later listen by the transport in this library, too, behind
    /// the others: what the wire calls it, and where it listens unless it is told.
    pub fn add_library(&mut self, file: &Path, kind: u8, port: u16) {
        self.library = Some(Library { file: file.to_owned(), kind, port });
    }

    /// Sets the sections, in TOML, by which every node started later says what it
    /// listens by, in the place of those that follow from the transports and the library.
    pub fn set_transport_sections(&mut self, sections: &str) {
        self.transport_sections = Some(sections.to_owned());
    }

    /// Adds sections to the configuration of a node started later, in TOML.
    pub fn configure(&mut self, name: &str, sections: &str) {
        self.more.entry(name.to_owned()).or_default().push_str(sections);
    }

    fn dc_section(&self) -> String {
        let addresses = self.dc.join(", ");
        let key = self.keys.get("dc").map_or("", String::as_str);
        format!("[[dc]]\naddresses = [{addresses}]\npublic_key = \"{key}\"\n")
    }

    fn start(&self, host: &impl Machine, role: &str, sections: &str, ready: &str) -> Result<Node> {
        let name = host.netns().name();
        let more = self.more.get(name).map_or("", String::as_str);
        let socket = self.folder.join(format!("{name}.sock"));
        let mut transports = self.outfit.transport_sections(self.library.is_some());
        if let Some(Library { file, .. }) = &self.library {
            transports += &format!("[[transport]]\nlibrary = \"{}\"\n", file.display());
        }
        let transports = self.transport_sections.as_ref().unwrap_or(&transports);
        let plugins = self.outfit.sections(role);
        self.outfit.prepare(host.netns())?;
        let text = format!(
            "[node]\nname = \"{name}.example\"\nrole = [\"{role}\"]\nkey = \"{name}.key\"\n\
             [control]\nsocket = \"{}\"\n{transports}{plugins}{sections}{more}",
            socket.display()
        );
        let file = self.folder.join(format!("{name}.toml"));
        fs::write(&file, text).doing(|| format!("write {}", file.display()))?;
        let mut command = program(&self.program);
        command.arg("run").arg("--config").arg(&file);
        command.args(["--log", "info,ntm::signal=debug", "--log-format", "json"]);
        let log = self.folder.join(format!("{name}.log"));
        let process = Process::start_logged(host.netns(), command, Some(&log))?;
        process.wait_for_line(ready, START)?;
        Ok(Node { name: name.to_owned(), process, socket })
    }
}
