//! `include/ntm_plugin.h` says what `layout.txt` says, and so does the Rust
//! (`src/layout.rs`).
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const LAYOUT: &str = include_str!("../layout.txt");

/// Whether the C compiler takes this text, and what it says.
fn compiles(language: &str, text: &str) -> Result<(), String> {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let standard = if language == "c" { "-std=c11" } else { "-std=c++17" };
    let mut cc = Command::new("cc")
        .args(["-x", language, standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(include)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a C compiler is needed: cc");
    cc.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = cc.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

/// Asserts that the layout in C is this one.
fn assertions(layout: &str) -> String {
    let mut text = String::from("#include <stddef.h>\n#include \"ntm_plugin.h\"\n");
    for line in layout.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match (words[0].split_once('.'), &words[1..]) {
            (None, [size]) => {
                let name = words[0];
                writeln!(text, "_Static_assert(sizeof({name}) == {size}, \"{line}\");").unwrap();
            }
            (Some((name, field)), [offset, size]) => {
                let field_size = format!("sizeof((({name} *)0)->{field})");
                writeln!(
                    text,
                    "_Static_assert(offsetof({name}, {field}) == {offset} && {field_size} == \
                     {size}, \"{line}\");"
                )
                .unwrap();
            }
            _ => panic!("{line} is no line of a layout"),
        }
    }
    text
}

#[test]
#[cfg(target_pointer_width = "64")]
fn every_field_in_c_is_where_the_list_says() {
    compiles("c", &assertions(LAYOUT)).unwrap();
    // The assertions can fail.
    let moved = LAYOUT.replace("ntm_rx.len 16 8", "ntm_rx.len 24 8");
    let said = compiles("c", &assertions(&moved)).unwrap_err();
    assert!(said.contains("ntm_rx.len"), "{said}");
}

#[test]
fn every_struct_of_the_header_is_in_the_list() {
    let header = include_str!("../include/ntm_plugin.h");
    let structs = header.lines().filter_map(|line| line.strip_prefix("typedef struct "));
    let names: Vec<_> = structs.filter_map(|line| line.strip_suffix(" {")).collect();
    assert!(names.len() > 20);
    for name in names {
        assert!(LAYOUT.lines().any(|line| line.split(' ').next() == Some(name)), "{name}");
    }
}

#[test]
fn numbers_are_the_same_on_both_sides() {
    let mut text = String::from("#include \"ntm_plugin.h\"\n");
    let same: [(&str, i64); 30] = [
        ("NTM_ABI_MAJOR", ntm_abi::ABI_MAJOR.into()),
        ("NTM_ABI_MINOR", ntm_abi::ABI_MINOR.into()),
        ("NTM_TRANSPORT", ntm_abi::kind::TRANSPORT.into()),
        ("NTM_WATCHER", ntm_abi::kind::WATCHER.into()),
        ("NTM_TRAVERSAL", ntm_abi::kind::TRAVERSAL.into()),
        ("NTM_VIP", ntm_abi::kind::VIP.into()),
        ("NTM_INTERFACE", ntm_abi::kind::INTERFACE.into()),
        ("NTM_REGISTRY", ntm_abi::kind::REGISTRY.into()),
        ("NTM_OK", ntm_abi::status::OK.into()),
        ("NTM_PENDING", ntm_abi::status::PENDING.into()),
        ("NTM_FAILED", ntm_abi::status::FAILED.into()),
        ("NTM_PANIC", ntm_abi::status::PANIC.into()),
        ("NTM_LANE_PANIC", ntm_abi::lane::PANIC),
        ("NTM_FAULT_SYSTEM", ntm_abi::fault::SYSTEM.into()),
        ("NTM_FAULT_CONFIG", ntm_abi::fault::CONFIG.into()),
        ("NTM_FAULT_PERMISSION", ntm_abi::fault::PERMISSION.into()),
        ("NTM_FAULT_MISSING", ntm_abi::fault::MISSING.into()),
        ("NTM_FAULT_BUSY", ntm_abi::fault::BUSY.into()),
        ("NTM_FAULT_UNSUPPORTED", ntm_abi::fault::UNSUPPORTED.into()),
        ("NTM_ERROR", ntm_abi::level::ERROR.into()),
        ("NTM_TRACE", ntm_abi::level::TRACE.into()),
        ("NTM_CHANGE_ADDRESS", ntm_abi::change::ADDRESS.into()),
        ("NTM_CHANGE_RESYNC", ntm_abi::change::RESYNC.into()),
        ("NTM_RUNNING", ntm_abi::flag::RUNNING.into()),
        ("NTM_LOOPBACK", ntm_abi::flag::LOOPBACK.into()),
        ("NTM_USABLE", ntm_abi::flag::USABLE.into()),
        ("NTM_PREFERRED", ntm_abi::flag::PREFERRED.into()),
        ("NTM_BEGIN_RESPONDER", ntm_abi::begin::RESPONDER.into()),
        ("NTM_OFFLOAD_UDP", ntm_abi::offload::UDP.into()),
        ("NTM_WRITE_DELETE", ntm_abi::write::DELETE.into()),
    ];
    for (name, value) in same {
        writeln!(text, "_Static_assert({name} == {value}, \"{name}\");").unwrap();
    }
    compiles("c", &text).unwrap();
}

#[test]
fn it_is_c_plus_plus_too() {
    compiles("c++", "#include \"ntm_plugin.h\"\n").unwrap();
}

#[test]
fn what_a_plugin_must_not_write_it_cannot() {
    let text = "#include \"ntm_plugin.h\"\nvoid f(ntm_rx *slot) { slot->len = 1; }\n";
    compiles("c", text).unwrap();
    compiles("c", &text.replace("slot->len = 1", "slot->capacity = 1")).unwrap_err();
}
