//! Every mutation still applies to the sources as they are, and names tests that are
//! there. Whether they notice: `just mutations`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use ntm_mutations::{Catch, all, root};

#[test]
fn every_mutation_applies_to_the_present_sources() {
    let mutations = all(&root().join("conformance/mutations")).unwrap();
    assert!(mutations.len() >= 10, "{}", mutations.len());
    let stale = mutations.iter().filter_map(|mutation| {
        let what = mutation.patch.apply(&root()).err()?;
        Some(format!("{}: {what}", mutation.name))
    });
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "make these anew:\n{}", stale.join("\n"));
}

#[test]
fn every_test_that_has_to_notice_is_there() {
    let is_there = |catch: &Catch| {
        let metadata = root().join(match catch.package.as_str() {
            "ntm-core" => "ntm-core",
            "ntm-model" => "conformance/model",
            "ntm-sim" => "conformance/sim",
            other => panic!("where is {other}?"),
        });
        let name = catch.test.rsplit("::").next().unwrap_or(&catch.test).to_owned();
        has(&metadata, &format!("fn {name}()"))
    };
    for mutation in all(&root().join("conformance/mutations")).unwrap() {
        for catch in &mutation.caught_by {
            assert!(is_there(catch), "{}: there is no {}", mutation.name, catch.shown());
        }
    }
}

/// Whether a Rust file in a folder contains this.
fn has(folder: &std::path::Path, text: &str) -> bool {
    folder.read_dir().unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return has(&path, text);
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        is_rust && std::fs::read_to_string(&path).unwrap().contains(text)
    })
}
