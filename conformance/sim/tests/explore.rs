//! Anything happens to a pair, and in the end all is well: see
//! [`ntm_sim::explore`]. For hours: `just soak`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::path::Path;

use common::setup;
use ntm_core::terminal::Mode;
use ntm_sim::explore::{Course, run};

/// Seeds tried here; `just soak` goes on with others.
const FRESH: u64 = 24;

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
    let mut failed = Vec::new();
    for seed in 0..FRESH {
        let course = Course::of(seed);
        if let Err(what) = run(setup(0, Mode::Fast), &course) {
            failed.push(format!("seed {seed}: {what}\n{}", course.to_text()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
