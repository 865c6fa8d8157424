//! `ntm lab` where the kernel does not let it, without root, and killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use ntm_lab::Process;
use ntm_lab::scenario::until;
use serde_json::Value;

use crate::stage::{LIMIT, Stage, hide, said};

ntm_lab::trials![
    what_the_kernel_forbids_is_said_in_one_sentence,
    a_missing_device_is_said_in_one_sentence,
    no_root_is_needed,
    nothing_survives_a_killed_lab,
];

/// As whom the program is started, and the kernel's limit that is 0 for it.
pub(crate) const ROLE: &str = "PROGRAM_ROLE";

/// Becomes the program with this process's arguments, in a user namespace where
/// the role's user is all there is.
pub(crate) fn play(role: &str) -> ! {
    let (user, limit) = role.split_once(' ').unwrap();
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", format!("{user} {uid} 1")).unwrap();
    fs::write("/proc/self/gid_map", format!("{user} {gid} 1")).unwrap();
    if !limit.is_empty() {
        fs::write(format!("/proc/sys/user/{limit}"), "0").unwrap();
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_ntm"));
    panic!("{}", program.args(std::env::args_os().skip(1)).env_remove(ROLE).exec());
}

fn start_as(stage: &Stage, role: &str, args: &[&str]) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).env(ROLE, role);
    stage.start(command)
}

fn what_the_kernel_forbids_is_said_in_one_sentence() {
    let stage = Stage::new();
    for (user, limit) in [(1000, "max_user_namespaces"), (0, "max_net_namespaces")] {
        let mut lab = start_as(&stage, &format!("{user} {limit}"), &["lab", "paper"]);
        let code = lab.wait(LIMIT).unwrap().code();
        assert_eq!(
            said(&lab, true),
            format!(
                "ntm: The kernel does not let this user make namespaces (ENOSPC: No space left on \
                 device): run as root, or `sudo sysctl user.{limit}=10000`.\n"
            )
        );
        assert_eq!((code, said(&lab, false).as_str()), (Some(4), ""));
    }
}

fn a_missing_device_is_said_in_one_sentence() {
    let stage = Stage::new();
    for args in [&["lab", "paper"][..], &["lab", "grid", "--quick"]] {
        let mut lab = stage.start_deprived(stage.ntm(args), || hide("/dev/net"));
        let code = lab.wait(LIMIT).unwrap().code();
        assert_eq!(
            said(&lab, true),
            "ntm: The lab needs /dev/net/tun, which cannot be opened (No such file or directory \
             (os error 2)): load the driver (`sudo modprobe tun`) or, in a container, pass the \
             device in.\n"
        );
        assert_eq!((code, said(&lab, false).as_str()), (Some(4), ""));
    }
}

fn no_root_is_needed() {
    let stage = Stage::new();
    let args = ["lab", "paper", "--moves", "1", "--size", "4", "--json"];
    let mut lab = start_as(&stage, "1000 ", &args);
    let code = lab.wait(3 * LIMIT).unwrap().code();
    assert_eq!((code, said(&lab, true).as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&said(&lab, false)).unwrap();
    assert_eq!(report["checksum_ok"], true);
    assert_eq!(report["path_id_before"], report["path_id_after"]);
}

fn nothing_survives_a_killed_lab() {
    let stage = Stage::new();
    let before = namespaces();
    let mut lab = stage.start(stage.ntm(&["lab", "paper", "--moves", "1000"]));
    until("two terminals that run", LIMIT, || {
        let nodes = commands().into_iter().filter(|command| command.contains(" run --config "));
        Ok((nodes.count() == 4).then_some(()))
    })
    .unwrap();
    assert!(namespaces().len() >= before.len() + 8, "machines have namespaces of their own");
    assert_eq!(lab.kill().unwrap().signal(), Some(9));
    until("all processes and namespaces are gone", LIMIT, || {
        let nobody =
            !commands().iter().any(|it| it.contains("lab paper") || it.contains(" run --"));
        Ok((nobody && namespaces() == before).then_some(()))
    })
    .unwrap();
}

/// The command lines of all processes.
fn commands() -> Vec<String> {
    let lines = processes().filter_map(|process| fs::read(process.join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

/// The namespaces that processes are in.
fn namespaces() -> BTreeSet<PathBuf> {
    let kinds = ["net", "mnt", "pid", "user"];
    let of = |process: PathBuf| kinds.map(|kind| fs::read_link(process.join("ns").join(kind)));
    processes().flat_map(of).flatten().collect()
}

fn processes() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path())
}
