use std::array;
use std::io::{self, IoSliceMut};

use ntm_core::plugin::{Addr, RxSlot};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::io::Errno;
use socket2::Socket;

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

/// Fills slots with one batch from `socket`, straight into their buffers.
///
/// # Errors
/// As [`ntm_core::plugin::Lane::try_recv`].
pub(crate) fn recv(
    state: &UdpSocketState,
    socket: &Socket,
    slots: &mut [RxSlot<'_>],
) -> io::Result<usize> {
    let lent = slots.len().min(BATCH_SIZE);
    if lent == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    let mut lenders = slots.iter_mut();
    let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
        array::from_fn(|_| IoSliceMut::new(lenders.next().map_or(&mut [], RxSlot::buffer)));
    let filled = skip_passing(|| state.recv(socket.into(), &mut buffers[..lent], &mut metas))?;
    for (slot, meta) in slots.iter_mut().zip(&metas[..filled]) {
        describe(slot, meta);
    }
    Ok(filled)
}

fn skip_passing(mut receive: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
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

fn describe(slot: &mut RxSlot<'_>, meta: &RecvMeta) {
    let is_run = meta.stride < meta.len;
    slot.fill(meta.len, if is_run { meta.stride.try_into().unwrap_or(0) } else { 0 });
    let mut remote = meta.addr;
    remote.set_ip(remote.ip().to_canonical());
    slot.remote = remote.into();
    slot.local = meta.dst_ip.map_or(Addr::NONE, |ip| ip.to_canonical().into());
    slot.ifindex = meta.interface_index.unwrap_or(0);
    slot.ecn = meta.ecn.map_or(0, |ecn| ecn as u8);
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
