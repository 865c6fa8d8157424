//! The rooms of the lab, tried inside one sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are tests"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "each test looks at what it is about")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod links;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod records;
#[cfg(target_os = "linux")]
mod routers;
#[cfg(target_os = "linux")]
mod sites;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Ok(role) = std::env::var(processes::ROLE) {
        processes::play(&role);
        return std::process::ExitCode::SUCCESS;
    }
    ntm_lab::sandbox::enter();
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Delays are measured here: tests do not run beside each other.
    arguments.test_threads.get_or_insert(1);
    let rooms = [
        namespaces::trials(),
        processes::trials(),
        links::trials(),
        records::trials(),
        routers::trials(),
        sites::trials(),
    ];
    let trials = rooms.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
