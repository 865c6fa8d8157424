//! Builds the libraries in C that tests load.
#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Builds a C file of `tests/c` with these definitions into `out`, which nobody else
/// may write.
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
    // Whatever the umask of who runs the test.
    fs::set_permissions(out, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until `what` holds; its absence is a failure after a long time.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
