//! The inspector reads any bytes: the seeds of its fuzzing, and mutants of them, the
//! same ones in every run.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use ntm_core::Rng;

#[path = "../fuzz/src/lib.rs"]
pub mod fuzzed;

/// Libraries of several machines and systems, and a real one of this.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = fs::read_dir(here.join("fuzz/corpus/inspect")).unwrap();
    let mut files: Vec<_> = corpus.map(|entry| entry.unwrap().path()).collect();
    files.push(here.join("tests/fixture/x86_64-linux.so"));
    files.sort();
    let read = |file: std::path::PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(file).unwrap())
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_seed_is_read_for_what_it_is() {
    let seeds = seeds();
    assert!(seeds.len() >= 9);
    for (name, data) in &seeds {
        fuzzed::inspect(data);
        let found = ntm_host::read(data).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        let wide = if name.starts_with("i386") { 4 } else { 8 };
        assert_eq!(found.pointer_width, wide, "{name}");
        assert_eq!(found.little_endian, !name.starts_with("powerpc"), "{name}");
        let system = if name.contains("macos") { "macOS" } else { "Linux" };
        assert_eq!(found.system.0, system, "{name}");
        let machine = name.split('-').next().unwrap().replace("arm64", "aarch64");
        assert_eq!(found.machine.0, machine, "{name}");
    }
}

fn below(rng: &mut Rng, limit: usize) -> usize {
    (u64::from_le_bytes(rng.bytes()) % limit.max(1) as u64) as usize
}

/// Changes a file where it hurts: in the tables at its ends, more often than elsewhere.
fn mutate(rng: &mut Rng, data: &mut Vec<u8>) {
    for _ in 0..=below(rng, 4) {
        let len = data.len();
        let at = match below(rng, 3) {
            0 => below(rng, len.min(512)),
            1 => len - 1 - below(rng, len.min(2048)),
            _ => below(rng, len),
        };
        match below(rng, 8) {
            0 => data[at] ^= 1 << below(rng, 8),
            1 => data[at] = rng.bytes::<1>()[0],
            2..=5 => {
                let wide = [1, 2, 4, 8][below(rng, 4)];
                let at = at / wide * wide;
                let value = match below(rng, 6) {
                    0 => 0,
                    1 => u64::MAX,
                    2 => len as u64 - below(rng, 200).min(len) as u64,
                    3 => u64::MAX / 2,
                    4 => below(rng, 2 * len) as u64,
                    _ => u64::from_le_bytes(rng.bytes()),
                };
                let end = (at + wide).min(len);
                data[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            6 => {
                let from = below(rng, len);
                let count = below(rng, 64).min(len - at.max(from));
                data.copy_within(from..from + count, at);
            }
            _ => data.truncate(at.max(1)),
        }
    }
}

#[test]
fn no_mutant_of_a_library_is_too_much() {
    let asked = std::env::var("NTM_MUTANTS").ok();
    let count = asked.map_or(40_000, |count| count.parse().unwrap());
    let seeds = seeds();
    let mut rng = Rng::from_seed([5; 32]);
    let mut read = 0_usize;
    for nth in 0..count {
        let (name, data) = &seeds[nth % seeds.len()];
        let mut mutant = data.clone();
        mutate(&mut rng, &mut mutant);
        let looked = catch_unwind(|| fuzzed::inspect(&mutant));
        if looked.is_err() {
            let kept = std::env::temp_dir().join(format!("ntm-mutant-{nth}"));
            fs::write(&kept, &mutant).unwrap();
            panic!("mutant {nth} of {name} is too much; it is kept as {}", kept.display());
        }
        read += usize::from(ntm_host::read(&mutant).is_ok());
    }
    // Else it would be refusals alone that were tried.
    assert!(read > count / 20 && read < count, "{read} of {count} were read");
}
