//! Two links at once, with whole nodes on real kernels: a packet each way every
//! millisecond, none of which may be lost while the tunnel goes from one to the other.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(target_os = "linux")]
mod moves;
#[cfg(target_os = "linux")]
mod stage;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    ntm_lab::sandbox::enter();
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Each test is a network of machines that share the processors.
    arguments.test_threads.get_or_insert(1);
    libtest_mimic::run(&arguments, moves::trials()).exit_code()
}
