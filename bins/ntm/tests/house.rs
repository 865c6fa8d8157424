//! The house stands as `ARCHITECTURE.md` says: who may depend on whom, and that
//! what it points to is there.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn is_plugin(name: &str) -> bool {
    ["interface", "registry", "transport", "traversal", "vip", "watcher"]
        .iter()
        .any(|kind| name.starts_with(&format!("ntm-{kind}-")))
}

/// What a crate of ours may use of ours, outside its tests.
fn allowed(name: &str) -> fn(&str) -> bool {
    match name {
        "ntm-abi" | "ntm-built" | "ntm-mutations" => |_| false,
        "ntm-core" => |on| on == "ntm-abi",
        "ntm-host" | "ntm-sdk" => |on| on == "ntm-abi" || on == "ntm-core",
        "ntm-lane" => |on| on == "ntm-core",
        "ntm-sim" | "ntm-lab" => |on| on == "ntm-core",
        // A shared object that tests load.
        "ntm-fault" => |on| ["ntm-core", "ntm-sdk", "ntm-transport-udp"].contains(&on),
        // Both sides of the boundary, and a plugin, are what it measures.
        "ntm-bench" => |on| {
            ["ntm-abi", "ntm-core", "ntm-host", "ntm-lab", "ntm-sdk", "ntm-transport-udp"]
                .contains(&on)
        },
        // What is tested is among what it stands on.
        "ntm-conformance" => |on| !["ntm", "ntm-bench", "ntm-model"].contains(&on),
        // Good plugins with one thing made wrong, and the suite that is to find it.
        "ntm-faulty" => {
            |on| on == "ntm-core" || on == "ntm-conformance" || on == "ntm-lab" || is_plugin(on)
        }
        faulty if faulty.starts_with("ntm-faulty-") => |on| on == "ntm-faulty" || on == "ntm-sdk",
        "ntm-model" => |on| ["ntm-core", "ntm-sim", "ntm-traversal-rs"].contains(&on),
        "ntm" => |on| !["ntm-bench", "ntm-model", "ntm-sim"].contains(&on),
        // The plugin itself, and what makes a shared object of it.
        plugin if is_plugin(plugin) && plugin.ends_with("-dyn") => {
            |on| on == "ntm-sdk" || (is_plugin(on) && !on.ends_with("-dyn"))
        }
        plugin if is_plugin(plugin) => |on| on == "ntm-core" || on == "ntm-lane",
        other => panic!("{other} has no place in the house yet"),
    }
}

#[test]
fn no_arrow_runs_up_and_no_plugin_uses_another() {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = command.current_dir(root()).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() >= 12);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let is_ours = on == "ntm" || on.starts_with("ntm-");
            if is_ours && dependency["kind"] != "dev" {
                assert!(allowed(name)(on), "{name} depends on {on}");
                let own = name
                    .strip_suffix("-dyn")
                    .is_none_or(|own| own.starts_with(on) || on == "ntm-sdk");
                assert!(own, "{name} makes a shared object of {on}");
            }
        }
    }
}

/// Every file and folder that is kept, from the root.
fn kept(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "target" || name == ".git" {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.insert(format!("{shown}/"));
            kept(&path, root, found);
        } else {
            found.insert(shown);
        }
    }
}

#[test]
fn every_test_that_is_ignored_is_listed_with_its_reason() {
    let root = root();
    let mut files = BTreeSet::new();
    kept(&root, &root, &mut files);
    let list = fs::read_to_string(root.join("docs/TESTING.md")).unwrap();
    let (_, list) = list.split_once("## Ignored tests").unwrap();
    let mut found = 0;
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let mut lines = text.lines().map(str::trim_start);
        while lines.any(|line| line.starts_with("#[ignore")) {
            let name = lines.find_map(|line| Some(line.split_once("fn ")?.1.split_once('(')?.0));
            let name = name.unwrap();
            found += 1;
            assert!(list.contains(&format!("| `{file}`: `{name}` |")), "{file}: {name}");
        }
    }
    assert_eq!(list.matches(".rs`: `").count(), found, "some are listed that are not there");
}

#[test]
fn what_the_documents_point_to_is_there() {
    let root = root();
    let mut files = BTreeSet::new();
    kept(&root, &root, &mut files);
    let mut tests = String::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        tests += &fs::read_to_string(root.join(file)).unwrap();
    }
    let lints = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut looked_at = 0;
    for document in ["ARCHITECTURE.md", "README.md", "docs/TESTING.md", "docs/BENCHMARKS.md"] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
            let is_file = quoted.ends_with(".rs") || quoted.ends_with(".toml");
            let is_folder =
                quoted.ends_with('/') && quoted.contains(|c: char| c.is_ascii_lowercase());
            if quoted.chars().all(is_path) && quoted.contains('/') && (is_file || is_folder) {
                looked_at += 1;
                let there = files.iter().any(|file| {
                    file == quoted
                        || file.ends_with(&format!("/{}", quoted.trim_start_matches('/')))
                });
                // Places on the reader's machine.
                let outside = quoted.starts_with('/');
                assert!(there || outside, "{document} points to {quoted}");
            }
            // The name of a test is a sentence, that of a lint is in the manifest.
            let is_name = quoted.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_name && quoted.matches('_').count() >= 3 {
                looked_at += 1;
                let known = tests.contains(&format!("fn {quoted}")) || lints.contains(quoted);
                assert!(known, "{document} names {quoted}");
            }
        }
    }
    assert!(looked_at > 50, "only {looked_at} places were found to look at");
}
