//! Network namespaces: a machine each, as far as networking goes.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Doing, Error, Result};
use crate::netlink::Netlink;
use crate::sandbox::STAGE;

/// A network namespace of its own, with a loopback that is up.
///
/// It lives as long as a clone of this handle or a process inside. Meanwhile it
/// is also found as `/run/netns/NAME`, so that `ip netns exec NAME …` works for
/// who looks around in the sandbox. A new one does not look for duplicates of
/// IPv6 addresses (`accept_dad=0`): they are usable at once.
#[derive(Clone)]
pub struct Netns(Arc<Inner>);

struct Inner {
    name: String,
    path: PathBuf,
    file: File,
    netlink: Netlink,
}

impl Netns {
    /// Makes a namespace with this name.
    ///
    /// # Errors
    /// The name is taken or not a file name, or we are not in a
    /// [sandbox](crate::sandbox) and the system refuses.
    pub fn new(name: &str) -> Result<Self> {
        if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
            return Err(Error::wrong(format!("{name:?} is no name for a namespace")));
        }
        let path = Path::new("/run/netns").join(name);
        File::create_new(&path).doing(|| format!("make a namespace at {}", path.display()))?;
        // From here on the guard removes what there is.
        let mut guard = Mounted { path: path.clone(), kept: false };
        let (file, netlink) =
            thread::scope(|scope| join(scope.spawn(|| unshare_and_bind(name, &path))))?;
        let this = Self(Arc::new(Inner { name: name.to_owned(), path, file, netlink }));
        guard.kept = true;
        this.netlink().set_up("lo")?;
        Ok(this)
    }

    /// Its name, for messages and for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A handle on its interfaces, addresses and routes.
    pub fn netlink(&self) -> &Netlink {
        &self.0.netlink
    }

    /// Runs a closure inside, on a thread made for it, and returns its result.
    /// Sockets opened there stay in this namespace wherever they are used.
    ///
    /// # Panics
    /// If the closure does, with its panic, or if the system has no thread left.
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            join(scope.spawn(|| {
                self.move_here();
                inside()
            }))
        })
    }

    /// Starts a program inside. [`Process`](crate::Process) does that and looks
    /// after it too.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command.env_remove(STAGE);
        self.run(|| command.spawn())
    }

    /// Sets a kernel switch of the namespace, such as `net.ipv4.ip_forward`.
    /// Interface names with dots are not understood.
    ///
    /// # Errors
    /// There is no such switch, or it does not belong to the namespace.
    pub fn set_sysctl(&self, name: &str, value: impl fmt::Display) -> Result<()> {
        let (file, value) = (sysctl_file(name), value.to_string());
        self.run(|| fs::write(file, &value)).doing(|| format!("set {name} to {value}"))
    }

    /// What a kernel switch of the namespace says.
    ///
    /// # Errors
    /// There is no such switch.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        let text = self.run(|| fs::read_to_string(sysctl_file(name)));
        Ok(text.doing(|| format!("read {name}"))?.trim().to_owned())
    }

    fn move_here(&self) {
        // Only a descriptor of something else or of a namespace of somebody
        // else's could be refused.
        setns(self, CloneFlags::CLONE_NEWNET).expect("our own network namespace is open to us");
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.file.as_fd()
    }
}

impl fmt::Debug for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Netns").field(&self.name()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(Mounted { path: std::mem::take(&mut self.path), kept: false });
    }
}

/// The name under `/run/netns`, removed with this value unless it is kept.
struct Mounted {
    path: PathBuf,
    kept: bool,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if !self.kept {
            let _ = umount2(&self.path, MntFlags::MNT_DETACH);
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives the calling thread a namespace of its own and a place for its name.
fn unshare_and_bind(name: &str, path: &Path) -> Result<(File, Netlink)> {
    const OWN: &str = "/proc/thread-self/ns/net";
    let what = || format!("make namespace {name}");
    unshare(CloneFlags::CLONE_NEWNET).doing(what)?;
    let file = File::open(OWN).doing(what)?;
    mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing(what)?;
    for scope in ["all", "default"] {
        match fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::system(what(), error));
            }
            // A kernel without IPv6 has nothing to switch.
            Ok(()) | Err(_) => {}
        }
    }
    Ok((file, Netlink::here()?))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn sysctl_file(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}
