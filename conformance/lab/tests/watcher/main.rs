//! The three watchers on a real kernel: each way in which a machine moves, and
//! what a watcher gets wrong easily, as a named test.
//!
//! Not tried here: an error on the netlink socket, since a kernel gives none but
//! lost events (the crates' unit tests bend a socket), and Android and macOS.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are tests")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod agreement;
#[cfg(target_os = "linux")]
mod blind;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod moves;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod storm;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    ntm_lab::sandbox::enter();
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Latencies are measured here: tests do not run beside each other.
    arguments.test_threads.get_or_insert(1);
    let rooms = [
        moves::trials(),
        netlink::trials(),
        blind::trials(),
        storm::trials(),
        agreement::trials(),
        latency::trials(),
    ];
    libtest_mimic::run(&arguments, rooms.into_iter().flatten().collect()).exit_code()
}

/// The functions named, as `fn trials()`: each once for every kind of watcher in
/// its list, which it is given.
#[cfg(target_os = "linux")]
#[macro_export]
macro_rules! trials_of_kinds {
    ($($test:ident for $($kind:ident)|+),* $(,)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$($({
                let name = format!("{}::{}", Kind::$kind, stringify!($test));
                libtest_mimic::Trial::test(name, || {
                    $test(Kind::$kind);
                    Ok(())
                })
            }),+),*]
        }
    };
}
