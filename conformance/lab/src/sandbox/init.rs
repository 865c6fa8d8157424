use std::fs::{self, File};
use std::io::{self, Read};
use std::process::exit;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, close};

use super::outer::{again, passes_on, watch_signals};
use super::refusal::Refusal;
use super::{INSIDE, MARK, complain};
use crate::netlink::Netlink;

/// Process 1: prepares the world, starts the inner program in it and ends with
/// its exit code. `lifeline` is the number of the descriptor that ends with the
/// outer process.
pub(super) fn run(lifeline: &str) -> ! {
    exit(live(lifeline).unwrap_or_else(|refusal| {
        complain(&refusal.to_string());
        1
    }))
}

fn live(lifeline: &str) -> Result<i32, Refusal> {
    // The signal comes at once but is missed if the outer process is dead
    // already; the pipe is seen in any case.
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| Refusal::step("ask for a death signal", e))?;
    let lifeline = take_lifeline(lifeline).map_err(|e| Refusal::step("find the lifeline", e))?;
    make_mounts()?;
    Netlink::here()
        .and_then(|netlink| netlink.set_up("lo"))
        .map_err(|e| Refusal::step("set the loopback up", io::Error::other(e)))?;
    let signals = watch_signals().map_err(|e| Refusal::step("watch for signals", e))?;
    die_with(lifeline);
    // Not waited for through this handle: reaping takes every child's status.
    let inner = again(INSIDE)
        .spawn()
        .map_err(|e| Refusal::step("start the program again in its sandbox", e))?;
    let inner = Pid::from_raw(inner.id().cast_signed());
    reap_until_end_of(inner, &signals).map_err(|e| Refusal::step("wait", e))
}

/// Opens the lifeline anew and closes the inherited number, so that no child
/// inherits it.
fn take_lifeline(number: &str) -> io::Result<File> {
    let file = File::open(format!("/proc/self/fd/{number}"))?;
    if let Ok(number) = number.parse::<i32>() {
        close(number)?;
    }
    Ok(file)
}

fn make_mounts() -> Result<(), Refusal> {
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    match mount(Some("proc"), "/proc", Some("proc"), strict, None::<&str>) {
        // A container that hides parts of /proc forbids a fresh one. The old
        // one does; it only shows more processes.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(Refusal::step("mount /proc", error)),
    }
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ntm-lab"), "/run", Some("tmpfs"), safe, Some("mode=755"))
        .map_err(|e| Refusal::step("mount a tmpfs on /run", e))?;
    fs::create_dir("/run/netns").map_err(|e| Refusal::step("make /run/netns", e))?;
    fs::write(MARK, "").map_err(|e| Refusal::step("mark /run as ours", e))
}

fn die_with(mut lifeline: File) {
    thread::spawn(move || {
        // Nothing is ever written: any return means that the other end is gone.
        let _ = lifeline.read(&mut [0]);
        exit(128 + libc::SIGKILL);
    });
}

/// Reaps whatever ends, passes signals on, and returns the inner program's exit
/// code.
fn reap_until_end_of(inner: Pid, signals: &SignalFd) -> nix::Result<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == inner => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == inner => {
                return Ok(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => match signals.read_signal() {
                Ok(Some(signal)) => {
                    if let Some(signal) = passes_on(&signal) {
                        let _ = kill(inner, signal);
                    }
                }
                Ok(None) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            },
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
}
