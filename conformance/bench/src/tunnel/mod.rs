//! What is compared: `ntm`, other tunnels, and none.

mod fastd;
mod nebula;
mod ntm;
mod openvpn;
mod strongswan;
mod tinc;
mod wireguard;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ntm_lab::scenario::domain::Transport;
use ntm_lab::{Error, Netns, Process, Result};

use crate::bed::{Bed, Way, doing, finish, program};
use crate::crowd::Crowd;
use crate::measure::echo;
use ntm::{Others, Outfit};

/// Something that packets can be sent through.
pub(crate) struct Tunnel {
    /// As it is called on the command line and in every table.
    pub(crate) name: &'static str,
    /// What it does to packets.
    pub(crate) what: &'static str,
    /// Asks a program for its version; the first line that it says counts.
    version: Option<(&'static str, &'static [&'static str])>,
    start: fn(&Context<'_>) -> Result<Running>,
}

/// Where a tunnel is started.
pub(crate) struct Context<'a> {
    pub(crate) bed: &'a Bed,
    /// An empty folder of its own.
    pub(crate) folder: PathBuf,
    pub(crate) programs: &'a Programs,
    /// Hears what is being done, where that takes long.
    pub(crate) say: &'a dyn Fn(&str),
}

/// The builds of `ntm` to measure, and what they are given.
pub(crate) struct Programs {
    pub(crate) ntm: PathBuf,
    /// Built with a cipher that does nothing.
    pub(crate) null: Option<PathBuf>,
    /// The folder of the shared objects of plugins.
    pub(crate) libraries: PathBuf,
    /// Paths that a relay of many has besides.
    pub(crate) paths: usize,
}

/// A tunnel that is up, until this is dropped.
pub(crate) struct Running {
    /// Left's and right's address inside.
    pub(crate) left: Ipv4Addr,
    pub(crate) right: Ipv4Addr,
    /// The programs on the path of every packet.
    pub(crate) path: Vec<Process>,
    /// What they need besides.
    pub(crate) others: Vec<Process>,
    /// Where left and right can be asked how they are: nodes of ours alone.
    pub(crate) sockets: Option<[PathBuf; 2]>,
    /// Who has tunnels besides.
    crowd: Option<Crowd>,
}

/// What stands at the hub besides, where a tunnel has such a thing.
const LIGHTHOUSE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 254);
/// The addresses inside every tunnel that lets us choose.
const LEFT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// How long a tunnel may take until the first packet goes through.
const START: Duration = Duration::from_secs(20);

/// Others that a node of many tunnels has one with.
const CROWD: usize = 1000;

/// Paths of a relay of many, unless it is told.
pub(crate) const PATHS: u32 = 10_000;

/// `ntm` as it is.
pub(crate) const NTM: Tunnel = Tunnel {
    name: "ntm",
    what: "the cipher that both ends agree on",
    version: None,
    start: |context| ntm::start(context, &Outfit::of(&context.programs.ntm)),
};

/// All that can be measured, in the order of the tables.
pub(crate) const ALL: [Tunnel; 14] = [
    Tunnel { name: "none", what: "no tunnel", version: None, start: none },
    NTM,
    Tunnel {
        name: "ntm-chacha",
        what: "ChaCha20-Poly1305",
        version: None,
        start: |context| {
            let sections = "[tunnel]\nciphers = [\"chacha20-poly1305\"]\n";
            ntm::start(context, &Outfit { sections, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-realtime",
        what: "packet workers with real-time priority",
        version: None,
        start: |context| {
            let sections = "[tunnel]\npriority = \"realtime\"\n";
            ntm::start(context, &Outfit { sections, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-quic",
        what: "by the transport quic",
        version: None,
        start: |context| {
            let transport = Transport::Quic;
            ntm::start(context, &Outfit { transport, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-libraries",
        what: "transport and interface in shared objects",
        version: None,
        start: |context| {
            let libraries = Some(&*context.programs.libraries);
            ntm::start(context, &Outfit { libraries, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-crowd",
        what: "one end has 1,000 other tunnels besides",
        version: None,
        start: |context| {
            let others = Others::WithLeft(CROWD);
            ntm::start(context, &Outfit { others, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-paths",
        what: "--path relayed: the relay has other paths besides, 10,000 or --paths",
        version: None,
        start: |context| {
            let others = Others::ThroughRelay(context.programs.paths);
            ntm::start(context, &Outfit { others, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "ntm-null",
        what: "a cipher that does nothing",
        version: None,
        start: |context| {
            let program = context.programs.null.as_deref().ok_or_else(|| Error::Missing {
                what: "a build without a cipher".to_owned(),
                remedy: "name one with `--ntm-null`".to_owned(),
            })?;
            ntm::start(context, &Outfit::of(program))
        },
    },
    Tunnel {
        name: "nebula",
        what: "AES-256-GCM",
        version: Some(("nebula", &["-version"])),
        start: nebula::start,
    },
    Tunnel {
        name: "wireguard-go",
        what: "ChaCha20-Poly1305",
        version: Some(("wireguard-go", &["--version"])),
        start: wireguard::start,
    },
    Tunnel {
        name: "openvpn",
        what: "AES-256-GCM",
        version: Some(("openvpn", &["--version"])),
        start: openvpn::start,
    },
    Tunnel {
        name: "tinc",
        what: "AES-256-CBC and SHA-256",
        version: Some(("tincd", &["--version"])),
        start: tinc::start,
    },
    Tunnel {
        name: "fastd",
        what: "Salsa20/12 and UMAC",
        version: Some(("fastd", &["--version"])),
        start: fastd::start,
    },
];

/// Those whose ends may move, set up for it.
pub(crate) const ROAMING: [Tunnel; 6] = [
    NTM,
    Tunnel {
        name: "ntm-seed",
        what: "the paper's sequence of messages",
        version: None,
        start: |context| {
            let sections = "[handover]\nmode = \"seed\"\n";
            ntm::start(context, &Outfit { sections, ..Outfit::of(&context.programs.ntm) })
        },
    },
    Tunnel {
        name: "nebula",
        what: "with a lighthouse",
        version: Some(("nebula", &["-version"])),
        start: nebula::start_roaming,
    },
    Tunnel {
        name: "wireguard-go",
        what: "without keep-alives, as it comes",
        version: Some(("wireguard-go", &["--version"])),
        start: wireguard::start,
    },
    Tunnel {
        name: "openvpn",
        what: "a client, and a server with --float",
        version: Some(("openvpn", &["--version"])),
        start: openvpn::start_roaming,
    },
    Tunnel {
        name: "strongswan",
        what: "IKEv2 with MOBIKE, ESP in user space",
        version: Some(("ipsec", &["--version"])),
        start: strongswan::start,
    },
];

impl Tunnel {
    /// Whether it is a build or configuration of ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("ntm")
    }

    /// What its program calls itself.
    pub(crate) fn version(&self, programs: &Programs) -> Option<String> {
        let (file, arguments) = match (self.name, self.version) {
            ("ntm-null", _) => (programs.null.clone()?, &["--version"][..]),
            (_, Some((name, arguments))) => (program(name).ok()?, arguments),
            (_, None) if self.is_ours() => (programs.ntm.clone(), &["--version"][..]),
            (_, None) => return None,
        };
        let output = Command::new(file).args(arguments).output().ok()?;
        // `openvpn --version` ends with 1, and some say it to standard error.
        let said = [output.stdout, output.stderr].concat();
        let line = String::from_utf8_lossy(&said).lines().next()?.trim().to_owned();
        Some(line).filter(|line| !line.is_empty())
    }

    /// Starts it, and returns once a packet has been there and back; `say` hears of what
    /// takes long.
    ///
    /// # Errors
    /// It is not installed, or does not do what we ask: with its own words.
    pub(crate) fn start(
        &self,
        bed: &Bed,
        programs: &Programs,
        folder: &Path,
        say: &dyn Fn(&str),
    ) -> Result<Running> {
        let folder = folder.join(self.name);
        // What the last run left would be found by this one.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(doing("empty a folder"))?;
        }
        fs::create_dir_all(&folder).map_err(doing("make a folder"))?;
        let context = Context { bed, folder, programs, say };
        let running = (self.start)(&context)?;
        echo::wait(&bed.left, running.right, START).map_err(|error| {
            let processes = running.path.iter().chain(&running.others);
            let words: Vec<_> = processes.flat_map(Process::lines).map(|line| line.text).collect();
            let last = words[words.len().saturating_sub(6)..].join("; ");
            Error::Wrong(format!("nothing comes through ({error}); it said: {last}"))
        })?;
        Ok(running)
    }
}

impl Running {
    /// The process ids of what is on the path of every packet.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.path.iter().map(Process::id).collect()
    }

    /// Whether it is what it was when it was started: others have their tunnels still.
    ///
    /// # Errors
    /// They have not.
    pub(crate) fn must_be_whole(&self) -> Result<()> {
        self.crowd.as_ref().map_or(Ok(()), Crowd::must_be_joined)
    }
}

impl Programs {
    /// This build, with the shared objects beside our own program.
    pub(crate) fn of(ntm: PathBuf) -> Self {
        let own = std::env::current_exe().ok();
        let libraries = own.and_then(|own| Some(own.parent()?.to_owned())).unwrap_or_default();
        Self { ntm, null: None, libraries, paths: PATHS as usize }
    }
}

impl Context<'_> {
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, content).map_err(doing(&format!("write {}", file.display())))?;
        Ok(file)
    }

    /// Starts a program that stays, in the context's folder.
    fn stay(&self, machine: &Netns, mut command: Command) -> Result<Process> {
        command.current_dir(&self.folder);
        Process::start(machine, command)
    }

    /// Runs a program to its end, in the context's folder.
    fn call(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program(name)?);
        command.args(arguments).current_dir(&self.folder);
        finish(Process::start(&self.bed.left, command)?, START)
    }

    /// For those that only go from one end to the other.
    fn must_be_direct(&self) -> Result<()> {
        match self.bed.way {
            Way::Direct => Ok(()),
            Way::Relayed => Err(Error::Wrong("it has no relays, or we do not use them".into())),
        }
    }

    /// Both ends, with their names, addresses on the cable and addresses inside.
    fn ends(&self) -> [End<'_>; 2] {
        let (left, right) = (self.bed.left_address, self.bed.right_address);
        [
            End { name: "left", machine: &self.bed.left, address: left, inside: LEFT },
            End { name: "right", machine: &self.bed.right, address: right, inside: RIGHT },
        ]
    }
}

/// One end of a tunnel.
#[derive(Clone, Copy)]
struct End<'a> {
    name: &'static str,
    machine: &'a Netns,
    address: Ipv4Addr,
    inside: Ipv4Addr,
}

fn none(context: &Context<'_>) -> Result<Running> {
    if context.bed.way == Way::Relayed {
        return Err(Error::Wrong("the ends cannot reach each other".into()));
    }
    let (left, right) = (context.bed.left_address, context.bed.right_address);
    Ok(Running { left, right, path: Vec::new(), others: Vec::new(), sockets: None, crowd: None })
}
