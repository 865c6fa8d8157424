//! Anything happens to a pair, and in the end all is well: see
//! [`ntm_sim::explore`]. For hours: `just soak`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::ops::Range;
use std::path::Path;
use std::time::UNIX_EPOCH;

use common::setup;
use ntm_core::terminal::Mode;
use ntm_sim::explore::{Course, run};

/// Seeds that are always tried; `just soak` goes on with others.
const FIXED: u64 = 24;

/// Where the fresh seeds of a day begin: beyond all that `just soak` begins with.
const FRESH: u64 = 1 << 32;
/// Seeds of a day.
const A_DAY: u64 = 1 << 20;

#[test]
fn what_once_failed_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut failed = Vec::new();
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let result = Course::from_text(&text).and_then(|course| run(setup(0, Mode::Fast), &course));
        if let Err(what) = result {
            failed.push(format!("{}: {what}", file.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn whatever_happens_all_is_well_in_the_end() {
    all_is_well(0..FIXED);
}

/// As many as `NTM_FRESH_SEEDS` says, others every day: `just fresh`. None without it:
/// one of some thousand fails yet, which would be no news of the change at hand.
#[test]
fn fresh_seeds_end_well_too() {
    let count = std::env::var("NTM_FRESH_SEEDS").map_or(0, |count| count.parse().unwrap());
    let day = UNIX_EPOCH.elapsed().unwrap().as_secs() / (24 * 3600);
    let first = FRESH + day * A_DAY;
    all_is_well(first..first + count);
}

fn all_is_well(seeds: Range<u64>) {
    let mut failed = Vec::new();
    for seed in seeds {
        let course = Course::of(seed);
        if let Err(what) = run(setup(0, Mode::Fast), &course) {
            let again =
                format!("cargo run --release -p ntm-sim --example soak -- 1 target/soak {seed}");
            failed.push(format!("seed {seed}: {what}\nto shorten and keep it: {again}\n"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
