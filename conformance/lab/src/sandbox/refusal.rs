use std::fmt;
use std::fs;
use std::io;

use nix::errno::Errno;

/// Why this machine does not let us make a sandbox: one sentence that says what
/// is missing and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// `/dev/net/tun` could not be opened.
    pub(super) fn tun(error: &io::Error) -> Self {
        let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
            "let this user open it (`sudo chmod 666 /dev/net/tun`) or run as root"
        } else {
            "load the driver (`sudo modprobe tun`) or, in a container, pass the device in"
        };
        Self(format!("The lab needs /dev/net/tun, which cannot be opened ({error}): {remedy}."))
    }

    /// `unshare` with all the namespaces failed.
    pub(super) fn namespaces(errno: Errno) -> Self {
        Self(format!(
            "The kernel does not let this user make namespaces ({errno}): {}.",
            namespace_remedy(errno, &switch)
        ))
    }

    /// The namespaces are there, but being root in them is worth nothing.
    pub(super) fn powers(errno: Errno) -> Self {
        Self(format!(
            "This user's namespaces come without any rights ({errno}): {}.",
            if switch(APPARMOR).as_deref() == Some("1") {
                format!("run as root, or `sudo sysctl {APPARMOR}=0`")
            } else {
                "run as root".to_owned()
            }
        ))
    }

    /// Another step failed that works wherever namespaces do.
    pub(super) fn step(what: &str, error: impl Into<io::Error>) -> Self {
        Self(format!("The lab cannot {what} in its sandbox ({}): run as root.", error.into()))
    }
}

/// What to do about `unshare`'s refusal, by what the system's switches say.
fn namespace_remedy(errno: Errno, switch: &dyn Fn(&str) -> Option<String>) -> String {
    let is = |name: &str, value: &str| switch(name).as_deref() == Some(value);
    if errno == Errno::ENOSPC {
        return match LIMITS.iter().find(|limit| is(limit, "0")) {
            Some(limit) => format!("run as root, or `sudo sysctl {limit}=10000`"),
            None => "end other namespaces, or raise user.max_*_namespaces".to_owned(),
        };
    }
    if errno == Errno::EINVAL {
        return "enter before any thread is started, on a kernel with CONFIG_USER_NS".to_owned();
    }
    for (name, bad, good) in [(DEBIAN, "0", "1"), (APPARMOR, "1", "0")] {
        if is(name, bad) {
            return format!("run as root, or `sudo sysctl {name}={good}`");
        }
    }
    "run as root, in a container with --privileged".to_owned()
}

/// What stands in this kernel switch.
fn switch(name: &str) -> Option<String> {
    let file = format!("/proc/sys/{}", name.replace('.', "/"));
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

/// Ubuntu since 23.10.
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";
/// Debian up to 10, and hardened kernels.
const DEBIAN: &str = "kernel.unprivileged_userns_clone";
const LIMITS: [&str; 4] = [
    "user.max_user_namespaces",
    "user.max_net_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with only this switch.
    fn system(name: &'static str, value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |asked| (asked == name).then(|| value.to_owned())
    }

    #[test]
    fn the_remedy_names_the_switch_that_is_to_blame() {
        let cases = [
            (Errno::EPERM, APPARMOR, "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
            (Errno::EPERM, DEBIAN, "0", "kernel.unprivileged_userns_clone=1"),
            (Errno::ENOSPC, LIMITS[0], "0", "user.max_user_namespaces=10000"),
            (Errno::ENOSPC, LIMITS[1], "0", "user.max_net_namespaces=10000"),
        ];
        for (errno, name, value, remedy) in cases {
            let said = namespace_remedy(errno, &system(name, value));
            assert!(said.contains(remedy), "{errno}, {name}={value}: {said}");
        }
    }

    #[test]
    fn a_switch_that_allows_is_not_blamed() {
        let said = namespace_remedy(Errno::EPERM, &system(APPARMOR, "0"));
        assert!(!said.contains("sysctl"), "{said}");
    }

    #[test]
    fn a_forbidden_device_and_a_missing_one_have_different_remedies() {
        let denied = Refusal::tun(&io::Error::from(io::ErrorKind::PermissionDenied)).to_string();
        let missing = Refusal::tun(&io::Error::from(io::ErrorKind::NotFound)).to_string();
        assert!(denied.contains("chmod 666"), "{denied}");
        assert!(missing.contains("modprobe tun"), "{missing}");
    }
}
