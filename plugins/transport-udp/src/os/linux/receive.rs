//! `recvmmsg`, and `recvmsg` where there is one slot.

#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::libc;
use ntm_core::plugin::{Addr, RxSlot};

use super::control::Control;
use super::name::Name;
use super::{MOST, uninterrupted};

/// What a header points to.
struct Parts {
    room: libc::iovec,
    name: Name,
    control: Control,
}

/// Whether the kernel gives several messages in one call.
pub(super) fn gives_many(socket: impl AsFd) -> bool {
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: of no messages at all, none is written, and there is no time limit.
    let got = unsafe { libc::recvmmsg(fd, ptr::null_mut(), 0, 0, ptr::null_mut()) };
    got == 0
}

/// Fills up to [`MOST`] slots in one call, straight into their buffers.
///
/// # Errors
/// `WouldBlock` when there is nothing; others as the kernel says.
pub(super) fn receive(socket: BorrowedFd<'_>, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<Parts>::uninit() }; MOST];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MOST];
    let count = slots.len().min(MOST);
    for ((slot, parts), header) in slots.iter_mut().zip(&mut parts).zip(&mut headers) {
        header.write(parts.write(Parts::of(slot)).header());
    }
    let first = headers.as_mut_ptr().cast::<libc::mmsghdr>();
    let socket = socket.as_raw_fd();
    let (filled, only) = match count {
        0 => return Err(io::ErrorKind::WouldBlock.into()),
        1 => {
            // SAFETY: the first header was written above. It points to parts on
            // this stack and to the slot's buffer, with their lengths.
            let receive = || unsafe { libc::recvmsg(socket, &raw mut (*first).msg_hdr, 0) };
            (1, Some(uninterrupted(receive)?))
        }
        _ => {
            let count = count as libc::c_uint;
            // SAFETY: as above, for the first `count` headers, each with its own
            // slot. There is no time limit.
            let receive = || unsafe { libc::recvmmsg(socket, first, count, 0, ptr::null_mut()) };
            (uninterrupted(|| receive() as isize)?, None)
        }
    };
    for ((slot, parts), header) in slots.iter_mut().zip(&mut parts).zip(&headers).take(filled) {
        // SAFETY: the first `count` of both were written, and no more are filled.
        let (parts, header) = unsafe { (parts.assume_init_mut(), header.assume_init_ref()) };
        parts.control.fill(header.msg_hdr.msg_controllen);
        parts.describe(slot, only.unwrap_or(header.msg_len as usize));
    }
    Ok(filled)
}

impl Parts {
    fn of(slot: &mut RxSlot<'_>) -> Self {
        let buffer = slot.buffer();
        let room = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        Self { room, name: Name::NONE, control: Control::NONE }
    }

    /// Points to these parts, which have to stay where they are.
    fn header(&mut self) -> libc::mmsghdr {
        // SAFETY: of numbers and pointers alone; zeros are "nothing" for all.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        let (name, control) = (self.name.room(), self.control.room());
        header.msg_hdr.msg_namelen = name.len() as libc::socklen_t;
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_iov = &raw mut self.room;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_controllen = control.len() as _;
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header
    }

    /// Says in the slot what came.
    fn describe(&self, slot: &mut RxSlot<'_>, len: usize) {
        slot.remote = self.name.addr().map_or(Addr::NONE, Addr::from);
        (slot.local, slot.ifindex, slot.ecn) = (Addr::NONE, 0, 0);
        let mut segment = 0;
        for (level, kind, contents) in self.control.iter() {
            match (level, kind, contents) {
                (libc::IPPROTO_IP, libc::IP_TOS, [class, ..]) => slot.ecn = class & 3,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[a, b, c, d]) => {
                    slot.ecn = (i32::from_ne_bytes([a, b, c, d]) & 3) as u8;
                }
                // Interface, address to answer from, address it was sent to.
                (libc::IPPROTO_IP, libc::IP_PKTINFO, info) => {
                    let Some((index, info)) = info.split_first_chunk() else { continue };
                    let Some(ip) = info.last_chunk::<4>() else { continue };
                    slot.ifindex = u32::from_ne_bytes(*index);
                    slot.local = IpAddr::from(Ipv4Addr::from(*ip)).into();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info) => {
                    let Some((ip, index)) = info.split_first_chunk::<16>() else { continue };
                    let Some(index) = index.first_chunk() else { continue };
                    slot.ifindex = u32::from_ne_bytes(*index);
                    slot.local = IpAddr::from(Ipv6Addr::from(*ip)).to_canonical().into();
                }
                (libc::SOL_UDP, libc::UDP_GRO, &[a, b, c, d]) => {
                    segment = i32::from_ne_bytes([a, b, c, d]).try_into().unwrap_or(0);
                }
                _ => {}
            }
        }
        let is_run = usize::from(segment) < len;
        slot.fill(len, if is_run { segment } else { 0 });
    }
}
