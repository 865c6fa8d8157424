//! What is refused is refused in a sentence, and runs nothing.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ntm_host::{Library, Why, inspect};
use serde_json::json;
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn library(&self, definitions: &[&str]) -> PathBuf {
        let path = self.at("libmine.so");
        common::cc("header.c", definitions, &path);
        path
    }
}

/// One sentence: who, what, and what to do.
fn refused(path: &Path) -> String {
    let said = inspect(path).unwrap_err().to_string();
    assert!(said.contains(path.to_str().unwrap()), "it does not say who: {said}");
    assert!(said.contains("; "), "it does not say what to do: {said}");
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn a_plugin_is_read_without_running_it() {
    let place = Place::new();
    let trace = place.at("trace");
    let library = place.library(&["CREATE", &format!("TRACE=\"{}\"", trace.display())]);
    let found = inspect(&library).unwrap();
    assert_eq!((found.name.as_str(), found.version.as_str()), ("mine", "1.2"));
    assert_eq!((found.abi, found.kinds.to_string().as_str()), ((1, 0), "vip"));
    assert!(!trace.exists(), "inspection ran the library");
    // The trace would show.
    Library::load(&library).unwrap();
    assert!(trace.exists());
}

#[test]
fn a_header_of_another_world_is_refused() {
    let place = Place::new();
    let cases: [(&[&str], &str); 6] = [
        (&["MAGIC=\"OTHERPL\""], "exports a NTM_PLUGIN_HEADER that is none"),
        (&["MAJOR=9"], "speaks plugin ABI 9.0, and this host 1.0; upgrade ntm"),
        (&["MINIMUM=5"], "needs plugin ABI 1.5 or newer, and this host offers 1.0; upgrade"),
        (&["WIDTH=4"], "has pointers of 32 bits, and this host of 64"),
        (&["KINDS=1024"], "offers no kind of plugin that this host knows"),
        (&["NO_HEADER"], "is a library, but no plugin of ntm"),
    ];
    for (definitions, sentence) in cases {
        let trace = place.at("trace");
        let trace_here = format!("TRACE=\"{}\"", trace.display());
        let library = place.library(&[definitions, &[trace_here.as_str()]].concat());
        let said = refused(&library);
        assert!(said.contains(sentence), "{definitions:?}: {said}");
        assert_eq!(Library::load(&library).unwrap_err().to_string(), said);
        assert!(!trace.exists(), "{definitions:?} ran");
    }
    let said = refused(&place.library(&["MAJOR=9"]));
    assert!(said.contains("plugin `mine` 1.2 (") && said.contains("by hand"), "{said}");
}

#[test]
fn a_library_for_another_machine_is_refused() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/inspect");
    let mut cases = vec![("arm64-macos", "is built for macOS; use its build for this system")];
    if cfg!(target_pointer_width = "64") {
        cases.push(("i386-linux", "has pointers of 32 bits, and this host of 64; use its build"));
    }
    if cfg!(target_arch = "x86_64") {
        let powerpc = "is built for powerpc64, and this host for x86_64; use its build";
        let arm = "is built for aarch64, and this host for x86_64; use its build for this machine";
        cases.extend([("powerpc64-linux", powerpc), ("aarch64-linux", arm)]);
    }
    for (name, sentence) in cases {
        let said = refused(&seeds.join(name));
        assert!(said.starts_with("plugin `seed` 1.0 (") && said.contains(sentence), "{said}");
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let place = Place::new();
    assert!(inspect(&place.at("absent.so")).unwrap_err().to_string().starts_with("there is no"));
    assert!(refused(place.0.path()).contains("is a folder"));
    for (name, bytes) in [("text", &b"#!/bin/sh\n"[..]), ("empty", b""), ("zeros", &[0; 4096])] {
        fs::write(place.at(name), bytes).unwrap();
        assert!(refused(&place.at(name)).contains("is no shared object"), "{name}");
    }
}

#[test]
fn a_truncated_library_is_refused_wherever_it_ends() {
    let place = Place::new();
    let whole = fs::read(place.library(&[])).unwrap();
    let cut = place.at("cut.so");
    for end in (0..whole.len()).step_by(97) {
        fs::write(&cut, &whole[..end]).unwrap();
        let refusal = inspect(&cut).unwrap_err();
        let known = matches!(refusal.why(), Why::NotLibrary | Why::Damaged(_));
        assert!(known, "cut at {end}: {refusal}");
    }
}

#[test]
fn root_does_not_load_what_others_may_write() {
    let place = Place::new();
    let library = place.library(&[]);
    let root = rustix::process::geteuid().is_root();
    for (mode, others) in [(0o755, false), (0o775, true), (0o757, true)] {
        fs::set_permissions(&library, fs::Permissions::from_mode(mode)).unwrap();
        match inspect(&library) {
            Err(refusal) => {
                assert!(others && root, "{refusal}");
                assert!(refusal.to_string().contains("run `chmod go-w "), "{refusal}");
            }
            Ok(_) => assert!(!(others && root), "{mode:o}"),
        }
    }
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    // Whoever may write the folder may put another file there; but for a sticky one.
    for (mode, others) in [(0o775, true), (0o1777, false), (0o755, false)] {
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(mode)).unwrap();
        let looked = inspect(&library);
        assert_eq!(looked.is_err(), others && root, "{mode:o}: {looked:?}");
        if let Err(refusal) = looked {
            let folder = place.0.path().canonicalize().unwrap();
            assert_eq!(refusal.why(), &Why::Writable(folder), "{refusal}");
            assert_eq!(Library::load(&library).unwrap_err(), refusal);
        }
    }
}

#[test]
fn tables_that_cannot_be_are_refused_by_what_they_lack() {
    let cases: [(&[&str], &str); 5] = [
        (&["NO_ENTRY"], "exports no ntm_plugin_entry_v1"),
        (&["REFUSE=\"not today\""], "would not start: not today"),
        (&[], "lacks the mandatory entry `create`: it is null"),
        (&["CREATE"], "lacks the mandatory entry `ranges`: it is null"),
        (&["CREATE", "SIZE=7"], "has a table of 7 bytes, which cannot be"),
    ];
    for (definitions, sentence) in cases {
        let place = Place::new();
        let library = place.library(definitions);
        let said = match Library::load(&library) {
            Err(refusal) => refusal.to_string(),
            Ok(library) => library.vip(&json!({})).err().unwrap().to_string(),
        };
        assert!(said.contains(sentence), "{definitions:?}: {said}");
    }
}

#[test]
fn another_kind_than_was_asked_for_is_refused() {
    let place = Place::new();
    let library = Library::load(&place.library(&["CREATE"])).unwrap();
    let said = library.watcher(&json!({})).err().unwrap().to_string();
    assert!(said.contains("is a plugin for vip, not for watcher; name a watcher here"), "{said}");
}

#[test]
fn what_the_loader_says_is_told() {
    let place = Place::new();
    let library = place.library(&[]);
    // A library that needs one which is not there.
    let needy = place.at("needy.so");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = std::process::Command::new("cc")
        .args(["-std=gnu11", "-shared", "-fPIC", "-I"])
        .arg(here.join("../abi/include"))
        .arg(here.join("tests/c/header.c"))
        .arg("-Wl,--no-as-needed")
        .arg(&library)
        .arg("-Wl,-soname,needy.so")
        .args(["-o"])
        .arg(&needy)
        .status()
        .unwrap();
    assert!(status.success());
    fs::set_permissions(&needy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&library).unwrap();
    let said = Library::load(&needy).unwrap_err().to_string();
    assert!(said.contains("cannot be loaded: ") && said.contains("libmine.so"), "{said}");
}
