//! Programs in namespaces; this program itself plays them.

use std::env;
use std::fs;
use std::io::{Write, stdout};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use ntm_lab::{Netns, Process};

ntm_lab::trials![
    lines_of_both_streams_are_kept_and_logged,
    a_line_is_awaited_and_its_absence_is_explained,
    a_program_ends_when_asked_and_is_killed_when_it_does_not,
    a_dropped_program_is_dead,
    a_program_sees_its_own_namespace,
];

const LIMIT: Duration = Duration::from_secs(10);

/// What this program does when it is started as another.
pub(crate) fn play(role: &str) {
    match role {
        "speak" => {
            println!("one\ntwo");
            eprintln!("three");
            stdout().write_all(b"bad \xff byte, no end").unwrap();
            std::process::exit(3);
        }
        "idle" => {
            println!("idle");
            sleep(Duration::from_secs(600));
        }
        "stubborn" => {
            SigSet::from(Signal::SIGTERM).thread_block().unwrap();
            println!("stubborn");
            sleep(Duration::from_secs(600));
        }
        "look" => println!("{}", fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap()),
        other => panic!("no such role: {other}"),
    }
}

pub(crate) const ROLE: &str = "NTM_LAB_TEST_ROLE";

fn lines_of_both_streams_are_kept_and_logged() {
    let (netns, log) = (Netns::new("a").unwrap(), "/run/speak.log");
    let mut process = Process::start_logged(&netns, copy("speak"), Some(log.as_ref())).unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().code(), Some(3));
    let said = |stderr| {
        let lines = process.lines().into_iter().filter(move |line| line.from_stderr == stderr);
        lines.map(|line| line.text).collect::<Vec<_>>()
    };
    assert_eq!(said(false), ["one", "two", "bad \u{fffd} byte, no end"]);
    assert_eq!(said(true), ["three"]);
    assert_eq!(process.lines_matching("o").len(), 3);
    let log = fs::read(log).unwrap();
    assert_eq!(log.len(), "one\ntwo\nthree\nbad x byte, no end".len());
}

fn a_line_is_awaited_and_its_absence_is_explained() {
    let netns = Netns::new("a").unwrap();
    let process = Process::start(&netns, copy("speak")).unwrap();
    assert_eq!(process.wait_for_line("thr", LIMIT).unwrap().text, "three");
    let complaint = process.wait_for_line("four", LIMIT).unwrap_err().to_string();
    assert!(complaint.contains("before it ended") && complaint.contains("two"), "{complaint}");
    let process = Process::start(&netns, copy("idle")).unwrap();
    let complaint = process.wait_for_line("four", Duration::from_millis(50)).unwrap_err();
    assert!(complaint.to_string().contains("in time"), "{complaint}");
}

fn a_program_ends_when_asked_and_is_killed_when_it_does_not() {
    let netns = Netns::new("a").unwrap();
    let mut willing = Process::start(&netns, copy("idle")).unwrap();
    willing.wait_for_line("idle", LIMIT).unwrap();
    assert_eq!(signal(willing.terminate(LIMIT).unwrap()), Some(15));
    let mut stubborn = Process::start(&netns, copy("stubborn")).unwrap();
    stubborn.wait_for_line("stubborn", LIMIT).unwrap();
    assert_eq!(signal(stubborn.terminate(Duration::from_millis(50)).unwrap()), Some(9));
}

fn a_dropped_program_is_dead() {
    let netns = Netns::new("a").unwrap();
    let process = Process::start(&netns, copy("idle")).unwrap();
    let proc = format!("/proc/{}", process.id());
    assert!(fs::exists(&proc).unwrap());
    drop(process);
    assert!(!fs::exists(&proc).unwrap());
}

fn a_program_sees_its_own_namespace() {
    let netns = Netns::new("a").unwrap();
    netns.set_sysctl("net.ipv4.ip_forward", 1).unwrap();
    let process = Process::start(&netns, copy("look")).unwrap();
    process.wait_for_line("1", LIMIT).unwrap();
}

fn copy(role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ROLE, role);
    command
}

fn signal(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}
