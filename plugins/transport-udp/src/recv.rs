use std::io;

use rustix::io::Errno;

/// Errors of earlier sends that the system may report at a receive (RFC 1122,
/// section 4.1.3.3), and passing shortages. None says anything about the socket.
const PASSING: [Errno; 14] = [
    Errno::CONNREFUSED,
    Errno::CONNRESET,
    Errno::NETUNREACH,
    Errno::HOSTUNREACH,
    Errno::NETDOWN,
    Errno::HOSTDOWN,
    Errno::MSGSIZE,
    Errno::OPNOTSUPP,
    Errno::PROTO,
    Errno::NOPROTOOPT,
    Errno::ACCESS,
    Errno::TIMEDOUT,
    Errno::NOMEM,
    Errno::NOBUFS,
];

/// A socket keeps one such error at a time, so more in a row are new ones:
/// leave the turn to others before going on.
const MAX_SKIPPED: usize = 16;

/// Receives, passing over errors that say nothing about the socket.
///
/// # Errors
/// As [`ntm_core::plugin::Lane::try_recv`].
pub(crate) fn skip_passing(mut receive: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    for _ in 0..MAX_SKIPPED {
        match receive() {
            Err(error) if Errno::from_io_error(&error).is_some_and(|it| PASSING.contains(&it)) => {
                tracing::trace!(%error, "skipped the error of an earlier send");
            }
            result => return result,
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_earlier_sends_are_skipped_and_those_of_the_socket_are_not() {
        let mut results = vec![Ok(3), Err(Errno::CONNREFUSED), Err(Errno::HOSTUNREACH)];
        let result = skip_passing(|| Ok(results.pop().unwrap()?));
        assert_eq!(result.ok(), Some(3));
        let result = skip_passing(|| Err(Errno::BADF.into()));
        assert_eq!(result.map_err(|error| Errno::from_io_error(&error)), Err(Some(Errno::BADF)));
    }

    #[test]
    fn errors_without_end_do_not_hold_the_worker() {
        let result = skip_passing(|| Err(Errno::CONNREFUSED.into()));
        assert_eq!(result.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }
}
