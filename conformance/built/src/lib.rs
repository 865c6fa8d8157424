//! What cargo builds for tests: shared objects and programs of this workspace, which a
//! test cannot depend on.
//!
//! They land where the test itself did. What cannot be built or copied is a panic: the
//! test is over.
#![forbid(unsafe_code)]

use std::env::{self, consts};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the shared object of a package, as cargo does unless it is told otherwise.
///
/// # Panics
/// It does not build.
pub fn shared_object(package: &str) -> PathBuf {
    // One at a time: together they would have other features, and be built anew.
    build(&["-p", package]);
    library(package)
}

/// Where [`shared_object`] puts that of a package.
///
/// # Panics
/// The test is not where cargo puts tests.
pub fn library(package: &str) -> PathBuf {
    let name = format!("lib{}{}", package.replace('-', "_"), consts::DLL_SUFFIX);
    folder().with_file_name("debug").join(name)
}

/// Builds the program of a package, both of this name, in the profile of the test.
///
/// # Panics
/// It does not build.
pub fn program(package: &str) -> PathBuf {
    let release = if cfg!(debug_assertions) { &[][..] } else { &["--release"] };
    build(&[&["-p", package, "--bin", package], release].concat());
    beside(package)
}

/// The program of the test's own package, which cargo has built with the test.
///
/// # Panics
/// The test is not where cargo puts tests.
pub fn beside(name: &str) -> PathBuf {
    folder().join(format!("{name}{}", consts::EXE_SUFFIX))
}

/// Copies a library into a folder, and sees to it that nobody else may write there.
///
/// # Panics
/// The system does not do so.
pub fn copied(library: &Path, folder: &Path) -> PathBuf {
    let to = folder.join(library.file_name().expect("the name of a file"));
    let only_ours =
        |path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::create_dir_all(folder).expect("a folder for the copy");
    only_ours(folder);
    fs::copy(library, &to).expect("a copy");
    only_ours(&to);
    to
}

/// `target/debug` of `target/debug/deps/test`; where cargo is told a triple, as it is for
/// sanitizers, `target/TRIPLE/debug`.
fn folder() -> PathBuf {
    let test = env::current_exe().expect("a test has a file");
    test.ancestors().nth(2).expect("cargo puts tests two folders down").to_owned()
}

fn build(what: &[&str]) {
    let folder = folder();
    let triple = env::var("CARGO_BUILD_TARGET").unwrap_or_default();
    let mut target = folder.parent().expect("cargo has a folder for each profile");
    if !triple.is_empty() && target.ends_with(triple) {
        target = target.parent().expect("cargo has a folder for each triple");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--target-dir"]).arg(target).args(what);
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(status.success(), "cargo does not build {what:?}");
}
