//! Shared objects of this workspace, for tests that load them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds that of a crate into a folder that nobody else may write.
pub(crate) fn shared_object(package: &str, folder: &Path) -> PathBuf {
    // target/debug/deps/test
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--offline", "-p", package, "--target-dir"]).arg(target);
    assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    let name = format!("lib{}.so", package.replace('-', "_"));
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let to = folder.join(&name);
    fs::copy(target.join("debug").join(name), &to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    to
}
