//! A world of one's own: user, network, mount and process namespaces around
//! the running program, with or without root.
//!
//! Three processes take part. The *outer* one is the program as it was
//! started; it makes the namespaces and waits. The *init* is the same program,
//! process 1 of the new process namespace: it prepares the mounts, reaps
//! orphans and dies when the outer one does. The *inner* one is the same
//! program with the same arguments once more, for which [`enter`] returns.
//! When the init dies, the kernel kills everything that is inside.

mod init;
mod outer;
mod refusal;

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process;

use nix::sys::signal::SigSet;

pub use refusal::Refusal;

use crate::dhcp;

/// Moves the program into a sandbox: it starts anew inside, with the same
/// arguments, and only there this function returns. Outside it waits, passes on
/// `SIGINT` and `SIGTERM`, and ends the process with the inner exit code
/// (128 + n after signal n). A refusal is said in one sentence on standard
/// error and ends the process with code 1.
///
/// Call it first thing in `main`: the process must have one thread, and the lab
/// starts the program again as the script of its DHCP clients.
/// Inside, the user is root, the network namespace is empty but for a loopback
/// that is up, `/run` is a fresh tmpfs, and nothing survives the outer process.
pub fn enter() {
    if let Err(refusal) = try_enter() {
        complain(&refusal.to_string());
        process::exit(1);
    }
}

/// As [`enter`], but a refusal is returned.
///
/// # Errors
/// This machine does not let us make namespaces or TAP devices. The process
/// may already be in half of them: say so and end.
pub fn try_enter() -> Result<(), Refusal> {
    dhcp::run_if_called();
    match env::var(STAGE) {
        Ok(stage) if stage == INSIDE && Path::new(MARK).exists() => {
            // The init blocks what it forwards, and a mask is inherited.
            let _ = forwarded().thread_unblock();
            Ok(())
        }
        Ok(stage) if stage.starts_with(INIT) => init::run(&stage[INIT.len()..]),
        _ => outer::run(),
    }
}

/// Does what the lab has started this program for, if it has, and ends the
/// process; else returns at once. A program whose `main` reads arguments before
/// it [enters](enter) must call this first, since its DHCP clients start it with
/// theirs.
pub fn serve_if_called() {
    dhcp::run_if_called();
}

/// Whether this process runs inside a sandbox of the lab.
pub fn is_inside() -> bool {
    env::var(STAGE).is_ok_and(|stage| stage == INSIDE) && Path::new(MARK).exists()
}

/// Tells the started program where it is. Children that make a sandbox of
/// their own must not see it: [`Netns::spawn`](crate::Netns::spawn) removes it.
pub(crate) const STAGE: &str = "NTM_LAB_STAGE";

/// In the environment of a program that enters a sandbox: it is killed, with all
/// that is inside, when the thread that started it ends.
pub const WITH_PARENT: &str = "NTM_LAB_WITH_PARENT";

/// The inner program's stage.
const INSIDE: &str = "inside";
/// The init's stage, followed by the descriptor of its lifeline.
const INIT: &str = "init:";
/// Only our own `/run` has it, so a stray variable fools nobody.
const MARK: &str = "/run/.ntm-lab";

/// The signals that travel from the outer process to the inner one, and the
/// death of children.
fn forwarded() -> SigSet {
    use nix::sys::signal::Signal::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().collect()
}

pub(crate) fn complain(sentence: &str) {
    let _ = writeln!(io::stderr(), "{sentence}");
}
