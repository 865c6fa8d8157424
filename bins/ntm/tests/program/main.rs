//! The program itself, as a process in namespaces: what it refuses and what is
//! left then, signals, commands, and a life without a complaint.
#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are tests"
)]

#[cfg(target_os = "linux")]
mod clean;
#[cfg(target_os = "linux")]
mod commands;
#[cfg(target_os = "linux")]
mod conflicts;
#[cfg(target_os = "linux")]
mod domain;
#[cfg(target_os = "linux")]
mod inspected;
#[cfg(all(target_os = "linux", feature = "lab"))]
mod lab;
#[cfg(target_os = "linux")]
mod libraries;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
mod stage;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    #[cfg(feature = "lab")]
    if let Ok(role) = std::env::var(lab::ROLE) {
        lab::play(&role);
    }
    ntm_lab::sandbox::enter();
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Processes are counted and looked for: tests do not run beside each other.
    arguments.test_threads.get_or_insert(1);
    let rooms = [
        refusals::trials(),
        conflicts::trials(),
        signals::trials(),
        commands::trials(),
        clean::trials(),
        inspected::trials(),
        libraries::trials(),
        #[cfg(feature = "lab")]
        lab::trials(),
    ];
    libtest_mimic::run(&arguments, rooms.into_iter().flatten().collect()).exit_code()
}
