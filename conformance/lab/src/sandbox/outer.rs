use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, exit};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::{SignalFd, siginfo};
use nix::unistd::{Pid, getegid, geteuid, pipe2};

use super::refusal::Refusal;
use super::{INIT, STAGE, WITH_PARENT, forwarded};

/// Makes the namespaces, starts the init and ends with its exit code.
pub(super) fn run() -> Result<(), Refusal> {
    check_tun()?;
    make_namespaces()?;
    if env::var_os(WITH_PARENT).is_some() {
        // Not sooner: the kernel forgets it where powers change.
        prctl::set_pdeathsig(Signal::SIGKILL)
            .map_err(|e| Refusal::step("ask for a death signal", e))?;
    }
    let signals = watch_signals().map_err(|e| Refusal::step("watch for signals", e))?;
    let (mut init, lifeline) = start_init()?;
    let status = wait(&mut init, &signals)?;
    drop(lifeline);
    exit(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Starts the program itself again, at this stage.
pub(super) fn again(stage: &str) -> Command {
    // The child's own executable is ours, even if the file has been replaced.
    let mut command = Command::new("/proc/self/exe");
    let mut args = env::args_os();
    command.arg0(args.next().unwrap_or_else(|| OsString::from("ntm-lab")));
    command.args(args).env(STAGE, stage);
    command
}

/// Blocks what we forward, to read it instead.
pub(super) fn watch_signals() -> nix::Result<SignalFd> {
    let signals = forwarded();
    signals.thread_block()?;
    SignalFd::new(&signals)
}

/// The signal to pass on inwards, if it is for the inner program and has not
/// reached it already.
pub(super) fn passes_on(signal: &siginfo) -> Option<Signal> {
    // A terminal (the kernel) signals all its processes, the inner ones too.
    let from_terminal = signal.ssi_code == libc::SI_KERNEL;
    let signal = Signal::try_from(i32::try_from(signal.ssi_signo).ok()?).ok()?;
    (signal != Signal::SIGCHLD && !from_terminal).then_some(signal)
}

fn check_tun() -> Result<(), Refusal> {
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    device.map(drop).map_err(|error| Refusal::tun(&error))
}

fn make_namespaces() -> Result<(), Refusal> {
    let worlds = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (geteuid(), getegid());
    // A root that may do this needs no user namespace; one in a container may
    // need it as anybody does.
    if !(uid.is_root() && unshare(worlds).is_ok()) {
        unshare(worlds | CloneFlags::CLONE_NEWUSER).map_err(Refusal::namespaces)?;
        let write = |file: &str, text: String| {
            fs::write(file, text).map_err(|e| Refusal::step(&format!("write {file}"), e))
        };
        write("/proc/self/setgroups", "deny".to_owned())?;
        write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    }
    // Where the system takes the new root's powers away again, it shows here.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)
        .map_err(Refusal::powers)
}

/// The init, and the end of a pipe that tells it when we have ended.
fn start_init() -> Result<(Child, OwnedFd), Refusal> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|e| Refusal::step("make a pipe", e))?;
    fcntl(&read, FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|e| Refusal::step("share a pipe", e))?;
    let init = again(&format!("{INIT}{}", read.as_raw_fd()))
        .spawn()
        .map_err(|e| Refusal::step("start the program again in its sandbox", e))?;
    Ok((init, write))
}

/// Waits for the init's end, passing on what it should hear of.
fn wait(init: &mut Child, signals: &SignalFd) -> Result<ExitStatus, Refusal> {
    let pid = Pid::from_raw(init.id().cast_signed());
    loop {
        if let Some(status) = init.try_wait().map_err(|e| Refusal::step("wait", e))? {
            return Ok(status);
        }
        match signals.read_signal() {
            Ok(Some(signal)) => {
                if let Some(signal) = passes_on(&signal) {
                    let _ = kill(pid, signal);
                }
            }
            Ok(None) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Refusal::step("read a signal", error)),
        }
    }
}
