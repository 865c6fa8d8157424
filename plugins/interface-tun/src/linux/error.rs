use std::io;

use ntm_core::plugin::{Fault, PluginError};
use rustix::io::Errno;

use super::IPV6_MTU;
use crate::settings::Failed;

const GIVE_CAPABILITY: &str = "run it as root, or give the program CAP_NET_ADMIN \
    (in a container: `--cap-add NET_ADMIN`)";

/// Why there is no device.
pub(super) fn cannot_open(name: &str, errno: Errno) -> PluginError {
    match errno {
        // The node is missing, or nothing is behind it.
        Errno::NOENT | Errno::NODEV | Errno::NXIO => PluginError::new(
            Fault::Missing,
            "this machine has no /dev/net/tun",
            "load the module with `modprobe tun`, or in a container pass `--device /dev/net/tun`",
        ),
        Errno::PERM | Errno::ACCESS => PluginError::new(
            Fault::Permission,
            format!("not allowed to make the interface {name}: {errno}"),
            GIVE_CAPABILITY,
        ),
        Errno::BUSY => in_use(name),
        _ => PluginError::io(format_args!("make the interface {name}"), &errno.into(), ""),
    }
}

/// The name belongs to another interface.
pub(super) fn in_use(name: &str) -> PluginError {
    PluginError::new(
        Fault::Busy,
        format!("there is an interface {name} already"),
        format!("choose another name, or remove it with `ip link del {name}`"),
    )
    .at("name")
}

/// Why the interface could not be given what it should have.
pub(super) fn cannot_configure(name: &str, failed: &Failed) -> PluginError {
    let error = io::Error::from(failed.errno);
    let remedy = match failed.errno {
        Errno::PERM | Errno::ACCESS => GIVE_CAPABILITY,
        Errno::NODEV => "the interface was removed; start the node again",
        _ => "",
    };
    let mut failure = PluginError::io(format_args!("{} {name}", failed.what), &error, remedy);
    if failed.errno == Errno::NODEV {
        failure.fault = Fault::Missing;
    }
    failure
}

/// The machine keeps IPv6 off the interface.
pub(super) fn ipv6_refused(name: &str, errno: Errno) -> PluginError {
    let (reason, remedy) = match errno {
        Errno::ACCESS => (
            "net.ipv6.conf.default.disable_ipv6 is 1".to_owned(),
            "set net.ipv6.conf.default.disable_ipv6 to 0 and start the node again",
        ),
        _ => (format!("{errno}"), "use a kernel with IPv6"),
    };
    let message = format!("{name} gets no IPv6 address on this machine: {reason}");
    PluginError::new(Fault::Unsupported, message, remedy)
}

/// Below this size IPv6 does not work, and the kernel takes its addresses away.
pub(super) fn mtu_too_small(name: &str, mtu: u16) -> PluginError {
    PluginError::new(
        Fault::Config,
        format!("an MTU of {mtu} bytes is too small for an IPv6 address on {name}"),
        format!("set it to {IPV6_MTU} or more"),
    )
}
