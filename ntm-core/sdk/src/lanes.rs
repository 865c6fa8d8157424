use std::io;
use std::os::fd::AsRawFd as _;
use std::slice;
use std::sync::Arc;

use ntm_abi::{Handle, Lanes, RxSlot, TxPacket, lane};
use ntm_core::plugin::Lane;
use rustix::io::Errno;

use crate::guard::guard;
use crate::instance::{Instance, State};

/// What has lanes.
pub(crate) trait HasLanes: State {
    fn lanes(&self) -> &[Arc<dyn Lane>];
}

/// The entries of the lanes of `S`.
pub(crate) const fn shims<S: HasLanes>() -> Lanes {
    Lanes {
        lane_fd: Some(lane_fd::<S>),
        try_send: Some(try_send::<S>),
        try_recv: Some(try_recv::<S>),
    }
}

fn at<S: HasLanes>(state: &S, lane: u32) -> io::Result<&dyn Lane> {
    let lane = state.lanes().get(lane as usize);
    lane.map(|lane| &**lane).ok_or_else(|| Errno::NODEV.into())
}

unsafe extern "C" fn lane_fd<S: HasLanes>(handle: Handle, lane: u32) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { Instance::<S>::of(handle) };
        at(instance.state(), lane).map_or(-1, |lane| lane.fd().as_raw_fd())
    };
    guard(body).unwrap_or(-1)
}

unsafe extern "C" fn try_send<S: HasLanes>(
    handle: Handle,
    lane: u32,
    packets: *const TxPacket<'_>,
    count: usize,
) -> i64 {
    answer(|| {
        // SAFETY: the host gives back what `create` gave, and lends the packets.
        let (instance, packets) =
            unsafe { (Instance::<S>::of(handle), slice::from_raw_parts(packets, count)) };
        let _entered = instance.enter();
        at(instance.state(), lane)?.try_send(packets)
    })
}

unsafe extern "C" fn try_recv<S: HasLanes>(
    handle: Handle,
    lane: u32,
    slots: *mut RxSlot<'_>,
    count: usize,
) -> i64 {
    answer(|| {
        // SAFETY: the host gives back what `create` gave, and lends the slots.
        let (instance, slots) =
            unsafe { (Instance::<S>::of(handle), slice::from_raw_parts_mut(slots, count)) };
        let _entered = instance.enter();
        at(instance.state(), lane)?.try_recv(slots)
    })
}

fn answer(body: impl FnOnce() -> io::Result<usize>) -> i64 {
    match guard(body) {
        Ok(Ok(count)) => i64::try_from(count).unwrap_or(i64::MAX),
        Ok(Err(error)) => -i64::from(errno(&error)),
        Err(_) => lane::PANIC,
    }
}

/// The number of an error, always positive.
fn errno(error: &io::Error) -> i32 {
    if let Some(number) = error.raw_os_error().filter(|&number| number > 0) {
        return number;
    }
    let kinds = [
        (io::ErrorKind::WouldBlock, Errno::AGAIN),
        (io::ErrorKind::Interrupted, Errno::INTR),
        (io::ErrorKind::NetworkUnreachable, Errno::NETUNREACH),
        (io::ErrorKind::HostUnreachable, Errno::HOSTUNREACH),
        (io::ErrorKind::NetworkDown, Errno::NETDOWN),
        (io::ErrorKind::AddrNotAvailable, Errno::ADDRNOTAVAIL),
        (io::ErrorKind::InvalidInput, Errno::INVAL),
        (io::ErrorKind::NotConnected, Errno::NOTCONN),
        (io::ErrorKind::PermissionDenied, Errno::PERM),
        (io::ErrorKind::Unsupported, Errno::OPNOTSUPP),
    ];
    let known = kinds.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or(Errno::IO, |(_, errno)| errno).raw_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_crosses_as_its_number() {
        let crossed = |error| answer(|| Err(error));
        let back = |number: i64| io::Error::from_raw_os_error(i32::try_from(-number).unwrap());
        assert_eq!(
            back(crossed(io::ErrorKind::WouldBlock.into())).kind(),
            io::ErrorKind::WouldBlock
        );
        let unreachable = Errno::NETUNREACH;
        assert_eq!(crossed(unreachable.into()), -i64::from(unreachable.raw_os_error()));
        assert_eq!(crossed(io::Error::other("x")), -i64::from(Errno::IO.raw_os_error()));
        assert_eq!(answer(|| panic!("x")), lane::PANIC);
    }
}
