use std::io;
use std::net::SocketAddr;

use ntm_core::plugin::{Fault, PluginError};
use rustix::io::Errno;

/// Why no socket could be opened at `bind`, and what to do about it.
pub(crate) fn cannot_listen(bind: SocketAddr, error: &io::Error) -> PluginError {
    let mut failure = PluginError::io(format_args!("listen at UDP {bind}"), error, remedy(error));
    match Errno::from_io_error(error) {
        Some(Errno::ADDRNOTAVAIL) => failure.fault = Fault::Config,
        Some(Errno::AFNOSUPPORT) => failure.fault = Fault::Unsupported,
        _ => {}
    }
    failure.at("bind")
}

fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => {
            "stop the program that uses the port, or choose another one with `bind`"
        }
        Some(Errno::ADDRNOTAVAIL) => {
            "no interface has this address; use `[::]` to listen at all of them"
        }
        Some(Errno::ACCESS) => "choose a port above 1023, or give the program CAP_NET_BIND_SERVICE",
        Some(Errno::AFNOSUPPORT) => "this machine has no IPv6; use an IPv4 address",
        _ => "",
    }
}

/// A lane of a transport that was closed.
pub(crate) fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the transport is closed")
}
