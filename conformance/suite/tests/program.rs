//! The program as people and build servers use it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(ntm_built::beside("ntm-conformance")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_good_plugin_has_a_table_a_line_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let (json, junit) = (folder.path().join("out.json"), folder.path().join("out.xml"));
    let files = [json.to_str().unwrap(), junit.to_str().unwrap()];
    let output =
        run(&["--plugin", "pool", "--only", "VIP-*", "--json", files[0], "--junit", files[1]]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  VIP-1   passed")), "{text}");
    assert!(text.contains("\nntm conformance: pool "), "{text}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains('\r'), "a bar in a pipe");
    let json: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["plugins"][0]["name"], "pool");
    assert_eq!(json["plugins"][0]["results"][0]["id"], "VIP-1");
    assert!(std::fs::read_to_string(junit).unwrap().contains("classname=\"vip.pool\""));
}

#[test]
fn promises_are_listed_and_explained() {
    let listed = run(&["--list", "--kind", "vip"]);
    assert!(stdout(&listed).lines().all(|line| !line.starts_with("TRN")));
    assert!(stdout(&listed).lines().any(|line| line.starts_with("VIP-2 ")));
    let explained = run(&["--explain", "vip-2"]);
    assert!(stdout(&explained).contains("docs/plugins/PROMISES.md#vip"));
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    for (arguments, code, said) in [
        (&["--plugin", "poool"][..], 2, "there is no built-in plugin `poool`; use one of"),
        (&["--plugin", "pool", "--kind", "watcher"], 2, "there is no built-in watcher `pool`"),
        (&["--plugin", "./nowhere.so"], 4, "there is no plugin"),
        (&["--explain", "VIP-0"], 2, "`--list` shows"),
        (&["--only", "VIP-l"], 2, "the nearest is VIP-1"),
        (&["--config", "{}"], 2, "are about one plugin"),
        (&["--plugin", "pool", "--config", "{ \"ipv4\": 7 }", "--only", "VIP-1"], 1, ""),
        (&["--plugin", "pool", "--claims", "/nowhere.toml"], 4, "read the claims in /nowhere.toml"),
        (&["--kind", "vib"], 2, "there is no kind `vib`"),
        (&["--plugin", "pool", "--only", "VIP-1", "--json", "/nowhere/x"], 4, "write /nowhere/x"),
    ] {
        let output = run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
