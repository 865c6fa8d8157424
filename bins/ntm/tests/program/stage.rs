//! A machine with a folder, in which the program is started and looked after.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use ntm_lab::scenario::program;
use ntm_lab::{Netns, Process};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

/// Longer than anything here takes, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// RFC 7748, section 6.1: Alice's private and public key.
pub(crate) const PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
pub(crate) const PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

/// All roles in one node, short enough to know its lines by heart: whatever a
/// node can leave behind, this one can.
pub(crate) const HUB: &str = r#"[node]
name = "hub.example"
role = ["dc", "rs", "terminal"]
key = "hub.key"
[[dc]]
addresses = ["127.0.0.1:4330"]
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
[coordinator]
public = ["203.0.113.1:4330"]
[control]
socket = "control/hub.sock"
[registry.config]
path = "hub.redb"
[[transport]]
plugin = "udp"
config = { bind = "[::]:4330" }
[interface]
plugin = "tun"
config = { name = "ntm0" }
[vip]
plugin = "pool"
config = { ipv4 = "198.18.0.0/16" }
"#;

/// A machine of its own and a folder with a node's files.
pub(crate) struct Stage {
    pub(crate) netns: Netns,
    pub(crate) folder: PathBuf,
}

/// What there is on a stage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    interfaces: BTreeSet<String>,
    routes: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
    processes: Vec<String>,
}

impl Stage {
    /// With the hub's key and file.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("stage{}", MADE.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new("/run/stages").join(&name);
        fs::create_dir_all(&folder).unwrap();
        let stage = Self { netns: Netns::new(&name).unwrap(), folder };
        stage.write("ntm.toml", HUB, 0o644);
        stage.write("hub.key", PRIVATE, 0o600);
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The program with these arguments, without anything of the caller's
    /// environment that it would read.
    pub(crate) fn ntm(&self, args: &[&str]) -> Command {
        let mut command = program(Path::new(env!("CARGO_BIN_EXE_ntm")));
        command.args(args);
        command
    }

    /// `ntm run` with the folder's file and these arguments.
    pub(crate) fn run(&self, args: &[&str]) -> Command {
        let mut command = self.ntm(&["run", "--config"]);
        command.arg(self.path("ntm.toml")).args(args);
        command
    }

    pub(crate) fn start(&self, command: Command) -> Process {
        Process::start(&self.netns, command).unwrap()
    }

    /// As [`start`](Self::start), from a thread that `deprive` was called on:
    /// namespaces and bounds of rights are handed down.
    pub(crate) fn start_deprived(&self, command: Command, deprive: fn()) -> Process {
        thread::scope(|scope| {
            let deprived = scope.spawn(|| {
                deprive();
                self.start(command)
            });
            deprived.join().unwrap()
        })
    }

    /// What there is now.
    pub(crate) fn scene(&self) -> Scene {
        let netlink = self.netns.netlink();
        let mut files = BTreeSet::new();
        list(&self.folder, &mut files);
        Scene {
            interfaces: netlink.interfaces().unwrap().into_iter().map(|it| it.name).collect(),
            routes: netlink.routes().unwrap().iter().map(|route| format!("{route:?}")).collect(),
            files,
            processes: self.processes(),
        }
    }

    /// The command lines of processes that were told of the folder.
    fn processes(&self) -> Vec<String> {
        let folder = self.folder.display().to_string();
        let pids = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        pids.filter_map(|pid| fs::read(pid.join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&folder))
            .collect()
    }
}

impl Scene {
    /// The same with one more file.
    pub(crate) fn with(mut self, file: PathBuf) -> Self {
        self.files.insert(file);
        self
    }
}

/// What a program wrote to one of its streams.
pub(crate) fn said(process: &Process, stderr: bool) -> String {
    let lines = process.lines().into_iter().filter(|line| line.from_stderr == stderr);
    lines.map(|line| line.text + "\n").collect()
}

/// Takes these rights from what this thread starts, root or not.
pub(crate) fn without(rights: &[CapabilitySet]) {
    for right in rights {
        remove_capability_from_bounding_set(*right).unwrap();
    }
}

/// Lays an empty folder over this one, for this thread and what it starts.
pub(crate) fn hide(folder: &str) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(Some("none"), folder, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
}

fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            list(&path, files);
        }
        files.insert(path);
    }
}
