//! A build that cannot load plugins says so by name, whatever it is asked to load.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(all(target_os = "linux", not(feature = "dynamic")))]

mod common;

use ntm_host::{Library, Why, inspect};

#[test]
fn a_build_without_dynamic_plugins_says_so_and_runs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (library, trace) = (place.path().join("libmine.so"), place.path().join("trace"));
    common::cc("header.c", &["CREATE", &format!("TRACE=\"{}\"", trace.display())], &library);
    let refusal = inspect(&library).unwrap_err();
    assert!(matches!(refusal.why(), Why::StaticBuild(_)));
    let said = refusal.to_string();
    let sentence = "this build of ntm was made without the feature `dynamic`, and has no dynamic \
                    plugins; use another build";
    assert!(said.starts_with("plugin `mine` 1.2 (") && said.contains(sentence), "{said}");
    assert_eq!(Library::load(&library).unwrap_err(), refusal);
    assert!(!trace.exists(), "the library ran");
}
