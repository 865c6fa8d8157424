//! What an author or operator meets first is true: the page about the first plugin, the
//! templates, and the configurations among the examples.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a checkout in it, whose plugins build into the target folder of this
/// workspace, with its profile: what is built there already is not built again.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        symlink(checkout.canonicalize().unwrap(), desk.0.path().join("ntm")).unwrap();
        let cargo = desk.0.path().join(".cargo");
        fs::create_dir(&cargo).unwrap();
        let like_ours = "[net]\noffline = true\n[profile.dev]\ndebug = \"line-tables-only\"\n\
                         [profile.dev.package.\"*\"]\ndebug = false\n";
        fs::write(cargo.join("config.toml"), like_ours).unwrap();
        desk
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> Output {
        let ntm = Path::new(env!("CARGO_BIN_EXE_ntm")).parent().unwrap();
        let path = format!("{}:{}", ntm.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("PATH", path);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["NTM_", "CARGO", "RUST"].iter().any(|begin| name.starts_with(begin)) {
                command.env_remove(&*name);
            }
        }
        for kept in ["CARGO_HOME", "CARGO_INCREMENTAL", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.output().unwrap()
    }

    fn new_plugin(&self, arguments: &[&str]) -> Output {
        self.run("ntm", &[&["plugin", "new"], arguments].concat(), self.0.path())
    }

    /// A plugin's folder, which builds into ours.
    fn shares_target(&self, name: &str) -> PathBuf {
        let folder = self.0.path().join(name);
        // target/debug/deps/test
        let exe = std::env::current_exe().unwrap();
        symlink(exe.ancestors().nth(3).unwrap(), folder.join("target")).unwrap();
        folder
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            blocks.push((language, inside.map(|line| format!("{line}\n")).collect()));
        }
    }
    blocks
}

#[test]
fn the_page_about_the_first_plugin_is_true() {
    let page = include_str!("../../../docs/plugins/FIRST.md");
    let desk = Desk::new();
    let mut folder = desk.0.path().to_owned();
    let (mut before, mut commands) = (String::new(), 0);
    for (language, block) in blocks(page) {
        match language {
            "sh" => {
                commands += 1;
                // What follows a `cd` is done there, with a target folder that is ours.
                for part in block.split_inclusive("\ncd hello\n") {
                    let script = format!("set -eu; umask 022\n{}", part.replace("cd hello\n", ""));
                    let output = desk.run("bash", &["-c", &script], &folder);
                    before = said(&output);
                    assert!(output.status.success(), "{part}\n{before}");
                    if part.ends_with("cd hello\n") {
                        folder = desk.shares_target("hello");
                    }
                }
            }
            "diff" => {
                let patch = folder.join("change.diff");
                fs::write(&patch, block).unwrap();
                let apply = ["apply", "--unidiff-zero", "change.diff"];
                let output = desk.run("git", &apply, &folder);
                assert!(output.status.success(), "{}", said(&output));
                let code = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
                assert!(code.contains("config.every_ms"), "the change was passed over");
            }
            "text" => {
                for line in block.lines() {
                    assert!(
                        before.contains(line),
                        "the page has\n{line}\nand this was said:\n{before}"
                    );
                }
            }
            other => panic!("what is to be done with {other}?"),
        }
    }
    assert!(commands >= 5);
}

#[test]
fn a_plugin_of_each_kind_begins_whole() {
    let desk = Desk::new();
    for kind in ["transport", "traversal", "vip"] {
        let name = format!("new-{kind}");
        let made = desk.new_plugin(&[&name, "--kind", kind, "--ntm", "ntm", "--json"]);
        assert!(made.status.success(), "{}", said(&made));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        assert_eq!((&made["folder"], &made["kind"]), (&name.as_str().into(), &kind.into()));
        let folder = desk.shares_target(&name);
        for file in made["files"].as_array().unwrap() {
            assert!(folder.join(file.as_str().unwrap()).exists(), "{file}");
        }
        let tested = desk.run("cargo", &["test"], &folder);
        assert!(tested.status.success(), "{kind}: {}", said(&tested));
        assert!(said(&tested).contains("a_mistake_is_blamed_on_its_key ... ok"));
    }
}

#[test]
fn every_configuration_among_the_examples_is_right() {
    let desk = Desk::new();
    let examples = desk.0.path().join("ntm/examples").read_dir().unwrap();
    let mut checked = 0;
    for file in examples.map(|entry| entry.unwrap().path()) {
        if file.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        checked += 1;
        let text = fs::read_to_string(&file).unwrap();
        let key = text.lines().find_map(|line| line.strip_prefix("key = \"")).unwrap();
        let key = key.split_once('"').unwrap().0;
        let name = file.file_name().unwrap().to_str().unwrap();
        let folder = desk.0.path().join(format!("{name}-is-right"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), text.as_bytes()).unwrap();
        assert!(desk.run("ntm", &["key", "generate", "--out", key], &folder).status.success());
        let output = desk.run("ntm", &["run", "--config", name, "--check"], &folder);
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
    assert!(checked >= 4);
}

#[test]
fn what_cannot_be_begun_is_refused() {
    let desk = Desk::new();
    fs::create_dir(desk.0.path().join("there")).unwrap();
    let cases: [(&[&str], i32, &str); 7] = [
        (&["mine", "--kind", "interface", "--ntm", "ntm"], 6, "copy plugins/interface-tun"),
        (&["mine", "--kind", "registry", "--ntm", "ntm"], 6, "copy plugins/registry-redb"),
        (&["there", "--kind", "vip", "--ntm", "ntm"], 5, "there is there already"),
        (&["../mine", "--kind", "vip", "--ntm", "ntm"], 2, "cannot be a plugin's name"),
        (&["test", "--kind", "vip", "--ntm", "ntm"], 2, "cannot be a plugin's name"),
        (&["mine", "--kind", "vip", "--ntm", "there"], 4, "there is no checkout of ntm"),
        (&["mine", "--kind", "carrier"], 2, "possible values"),
    ];
    for (arguments, code, says) in cases {
        let refused = desk.new_plugin(arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", said(&refused));
        assert!(said(&refused).contains(says), "{arguments:?}: {}", said(&refused));
    }
    assert!(!desk.0.path().join("mine").exists());
}
