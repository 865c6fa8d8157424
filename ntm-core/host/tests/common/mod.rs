//! Builds the libraries that tests load.
#![allow(dead_code, reason = "each test uses some of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Builds a C file of `tests/c` with these definitions into `out`.
pub(crate) fn cc(source: &str, definitions: &[&str], out: &Path) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(here.join("../abi/include"))
        .args(definitions.iter().map(|definition| format!("-D{definition}")))
        .arg(here.join("tests/c").join(source))
        .arg("-o")
        .arg(out)
        .status();
    assert!(status.expect("a C compiler is needed: cc").success());
}

/// Builds the shared object of a crate of this workspace.
pub(crate) fn shared_object(package: &str) -> PathBuf {
    // target/debug/deps/test, or target/TRIPLE/debug/deps/test where cargo is told the
    // triple, as it is for sanitizers.
    let exe = std::env::current_exe().unwrap();
    let mut target = exe.ancestors().nth(3).unwrap();
    let triple = std::env::var("CARGO_BUILD_TARGET").unwrap_or_default();
    if target.ends_with(&triple) && !triple.is_empty() {
        target = target.parent().unwrap();
    }
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "-p", package, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success());
    let name = format!("lib{}{}", package.replace('-', "_"), std::env::consts::DLL_SUFFIX);
    target.join(triple).join("debug").join(name)
}

/// Waits until `what` holds; its absence is a failure after a long time.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
