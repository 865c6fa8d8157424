//! What fuzzing has found so far stays found: every target (`ntm-core/fuzz`)
//! runs on its seeds and on every file of its corpus.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
pub mod bodies;

use bodies::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|target| target.name.to_owned()).collect()
}

/// Replays a target; a panic names the input.
fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let folder = fuzz().join("corpus").join(name);
    let files = names(&folder);
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let input = std::fs::read(folder.join(&file)).expect("a file");
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(result.is_ok(), "{name} breaks on corpus/{name}/{file}");
    }
    (target.seeds)().iter().for_each(|seed| (target.run)(seed));
}

macro_rules! replays {
    ($($target:ident)*) => {
        mod corpus {
            $(#[test]
            fn $target() {
                super::replay(stringify!($target));
            })*
        }

        /// The targets that have a test of their own above.
        const REPLAYED: &[&str] = &[$(stringify!($target)),*];
    };
}

replays! {
    datagrams messages ticket handshake terminal coordinator relay
    lying_coordinator lying_member lying_peer packet super_packet capsule forwarder
}

#[test]
fn every_target_is_replayed_and_has_a_folder_and_a_program() {
    let replayed: BTreeSet<_> = REPLAYED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(replayed, targets());
    assert_eq!(names(&fuzz().join("corpus")), targets());
    let programs = names(&fuzz().join("fuzz_targets"));
    let programs: BTreeSet<_> =
        programs.iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(programs, targets());
}

#[test]
fn the_corpus_stays_small() {
    let files: Vec<_> = targets()
        .iter()
        .map(|name| fuzz().join("corpus").join(name))
        .flat_map(|folder| names(&folder).into_iter().map(move |name| folder.join(name)))
        .collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(files.len() < 300, "{} files: minimise before saving", files.len());
    assert!(bytes < 400 << 10, "{bytes} bytes: minimise before saving");
}
