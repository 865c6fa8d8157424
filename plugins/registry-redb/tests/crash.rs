//! Killed at any moment and out of room at any moment: what was acknowledged is
//! there. This file runs itself as the process that dies.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

mod common;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{block_on, load, open, reached, writes};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ntm_core::plugin::Registry as _;
use ntm_registry_redb::Redb;
use tempfile::TempDir;

/// Where the child's registry is.
const FILE: &str = "NTM_TEST_REGISTRY";
/// What the child removes to have room again; else it raises its own limit.
const FILLER: &str = "NTM_TEST_FILLER";

#[test]
fn nothing_acknowledged_is_lost_by_sigkill() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dc.redb");
    let mut total = 0;
    for round in 0..30 {
        let before = if path.exists() { reached(&load(&path)) } else { 0 };
        let mut child = spawn(Command::new(std::env::current_exe().unwrap()), "commits", &path);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // A last line may be cut short.
        let mut acknowledged = stderr
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_suffix('.')?.parse().ok())
            .fuse();
        // Some are killed while they open the file, the others in the middle of
        // a commit.
        let opening = round < 10;
        let wanted = if opening { 0 } else { 1 + random(40) as usize };
        let seen: Option<u64> = acknowledged.by_ref().take(wanted).last();
        std::thread::sleep(Duration::from_micros(random(if opening { 20_000 } else { 4000 })));
        child.kill().unwrap();
        child.wait().unwrap();
        // The pipe keeps what was said before.
        let acknowledged = acknowledged.last().or(seen).unwrap_or(before);
        let after = if path.exists() { reached(&load(&path)) } else { 0 };
        assert!(after >= acknowledged, "round {round}: {acknowledged} acknowledged, {after} there");
        assert!(after <= acknowledged + OVERLAP, "round {round}: more than was under way");
        total += after - before;
    }
    assert!(total > 30, "{total} commits in all: the child hardly ran");
}

/// Commits that the child has under way at once.
const OVERLAP: u64 = 4;

#[test]
#[ignore = "the process that another test kills"]
fn commits() {
    let Ok(path) = std::env::var(FILE) else { return };
    let registry = open(path.as_ref()).unwrap();
    block_on(async {
        let commit = async |number: u64| {
            registry.commit(writes(number)).await.unwrap();
            eprintln!("{number}.");
        };
        let mut next = reached(&registry.load().await.unwrap()) + 1;
        loop {
            tokio::join!(biased;
                commit(next), commit(next + 1), commit(next + 2), commit(next + 3));
            next += OVERLAP;
        }
    });
}

#[test]
fn a_file_that_may_not_grow_costs_a_refusal_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    // The shell makes the signal of the limit an error of the write.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(std::env::current_exe().unwrap());
    fills(shell, &folder.path().join("dc.redb"));
}

#[test]
fn a_full_disk_costs_a_refusal_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mount = |then: &str| {
        let mut unshare = Command::new("unshare");
        let script = format!(r#"mount -t tmpfs -o size=384k none "$ROOM" && {then}"#);
        unshare.args(["-Urm", "sh", "-c", &script]).env("ROOM", folder.path());
        unshare
    };
    if !mount("true").status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system lets nobody mount a file system of their own");
        return;
    }
    let mut inside = mount(r#"head -c 128k /dev/zero > "$ROOM/filler" && exec "$0" "$@""#);
    inside.arg(std::env::current_exe().unwrap());
    inside.env(FILLER, folder.path().join("filler"));
    fills(inside, &folder.path().join("dc.redb"));
}

/// Runs the child that fills its disk; it checks by itself.
fn fills(command: Command, path: &Path) {
    let mut child = spawn(command, "commits_until_there_is_no_room", path);
    let lines: Vec<String> =
        BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    let status = child.wait().unwrap();
    assert!(status.success() && lines.iter().any(|line| line == "went on"), "{lines:#?}");
}

#[test]
#[ignore = "the process that another test gives little room"]
fn commits_until_there_is_no_room() {
    let Ok(path) = std::env::var(FILE) else { return };
    let path = Path::new(&path);
    let registry = open(path).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    let filler = std::env::var(FILLER).ok();
    if filler.is_none() {
        let limit = fs::metadata(path).unwrap().len() + 100_000;
        setrlimit(Resource::RLIMIT_FSIZE, limit, hard).unwrap();
    }
    let (last, error) = fill(&registry);
    eprintln!("{last} commits, then: {error}");
    assert!(error.remedy.contains("make room"), "{error}");
    // It stays an error, whatever the database thinks of its file by now.
    assert!(fill(&registry).0 <= last);
    match filler {
        Some(filler) => fs::remove_file(filler).unwrap(),
        None => setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap(),
    }
    block_on(async {
        assert_eq!(bulk::reached(&registry.load().await.unwrap()), last);
        registry.commit(bulk::writes(last + 1)).await.unwrap();
    });
    drop(registry);
    assert_eq!(bulk::reached(&load(path)), last + 1);
    eprintln!("went on");
}

/// Commits until one is refused: the last that was not, and the refusal.
fn fill(registry: &Redb) -> (u64, ntm_core::plugin::PluginError) {
    block_on(async {
        let mut last = registry.load().await.map_or(0, |records| bulk::reached(&records));
        while last < 10_000 {
            match registry.commit(bulk::writes(last + 1)).await {
                Ok(()) => last += 1,
                Err(error) => return (last, error),
            }
        }
        panic!("there was room for {last} commits");
    })
}

/// A history that only grows.
mod bulk {
    use ntm_core::plugin::{Record, Write};

    use crate::common::node;

    pub(crate) fn writes(number: u64) -> Vec<Write> {
        (0..10).map(|part| Write::Put(node(number * 10 + part))).collect()
    }

    pub(crate) fn reached(records: &[Record]) -> u64 {
        assert_eq!(records.len() % 10, 0, "half a commit");
        let number = records.len() as u64 / 10;
        let mut expected: Vec<_> = (10..number * 10 + 10).map(node).collect();
        expected.sort_by_key(Record::key);
        assert_eq!(records, expected);
        number
    }
}

/// Runs one of this file's children; what it says comes by standard error,
/// since the test harness writes to standard output.
fn spawn(mut command: Command, test: &str, path: &Path) -> Child {
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(FILE, path).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn random(below: u64) -> u64 {
    RandomState::new().hash_one(0) % below
}
