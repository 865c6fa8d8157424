//! Notes which compiler builds the plugin, for messages that people read.

use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = said.unwrap_or_default();
    let version = version.lines().next().unwrap_or("rustc").to_owned();
    println!("cargo::rustc-env=NTM_SDK_TOOLCHAIN={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
