//! The interface plugin `tun` on a real kernel.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod common;
#[cfg(target_os = "linux")]
mod device;
#[cfg(target_os = "linux")]
mod joined;
#[cfg(target_os = "linux")]
mod super_packets;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::var_os(device::HOLDER).is_some() {
        return device::hold();
    }
    ntm_lab::sandbox::enter();
    let trials = [device::trials(), super_packets::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit_code()
}
