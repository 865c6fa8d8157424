//! What is promised of packets, with the program on real kernels: whole downloads
//! with everything switched off that a system may lack, marks, sizes, order, and
//! the same through a relay.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]

#[cfg(target_os = "linux")]
mod fallbacks;
#[cfg(target_os = "linux")]
mod marks;
#[cfg(target_os = "linux")]
mod narrow;
#[cfg(target_os = "linux")]
mod order;
#[cfg(target_os = "linux")]
mod relayed;
#[cfg(target_os = "linux")]
mod sizes;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod traffic;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    ntm_lab::sandbox::enter();
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Each test is a network of machines that share the processors.
    arguments.test_threads.get_or_insert(1);
    let rooms = [
        fallbacks::trials(),
        marks::trials(),
        sizes::trials(),
        narrow::trials(),
        order::trials(),
        relayed::trials(),
    ];
    libtest_mimic::run(&arguments, rooms.into_iter().flatten().collect()).exit_code()
}
