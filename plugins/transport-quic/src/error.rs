use std::io;
use std::net::SocketAddr;

use ntm_core::plugin::{Fault, PluginError};
use rustix::io::Errno;

/// Why no socket could be opened at `bind`, and what to do about it.
pub(crate) fn cannot_listen(bind: SocketAddr, error: &io::Error) -> PluginError {
    let (fault, remedy) = match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => (
            None,
            "stop the program that uses the port (a web server with HTTP/3?), or choose another \
             one with `bind`",
        ),
        Some(Errno::ADDRNOTAVAIL) => (
            Some(Fault::Config),
            "no interface has this address; use `[::]` to listen at all of them",
        ),
        Some(Errno::ACCESS) => {
            (None, "choose a port above 1023, or give the program CAP_NET_BIND_SERVICE")
        }
        _ => (None, ""),
    };
    let mut failure = PluginError::io(format_args!("listen for QUIC at {bind}"), error, remedy);
    failure.fault = fault.unwrap_or(failure.fault);
    failure.at("bind")
}

/// Something that only a bug or a system without randomness brings about.
pub(crate) fn internal(what: &str, error: &dyn std::error::Error) -> PluginError {
    let message = format!("cannot {what}: {error}");
    PluginError::new(Fault::System, message, "use the transport `udp` alone, and report this")
}
