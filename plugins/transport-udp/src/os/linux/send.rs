//! `sendmmsg`, and `sendmsg` where there is one message.

#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

use super::control::Control;
use super::name::Name;
use super::{MOST, uninterrupted};
use crate::message::{Message, Pin};

/// What a header points to.
struct Parts {
    contents: libc::iovec,
    name: Name,
    control: Control,
}

/// Whether the kernel takes several messages in one call.
pub(super) fn takes_many(socket: impl AsFd) -> bool {
    // SAFETY: of no messages at all, none is read.
    let sent = unsafe { libc::sendmmsg(socket.as_fd().as_raw_fd(), ptr::null_mut(), 0, 0) };
    sent == 0
}

/// Sends up to [`MOST`] messages in one call.
///
/// # Errors
/// What is wrong with the first message.
pub(super) fn send<'a>(
    socket: BorrowedFd<'_>,
    messages: impl Iterator<Item = Message<'a>>,
) -> io::Result<usize> {
    let mut parts = [const { MaybeUninit::<Parts>::uninit() }; MOST];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MOST];
    let mut count = 0;
    for ((message, parts), header) in messages.zip(&mut parts).zip(&mut headers) {
        match Parts::of(&message) {
            Ok(ready) => header.write(parts.write(ready).header()),
            Err(errno) if count == 0 => return Err(errno.into()),
            // Its turn comes when it is the first.
            Err(_) => break,
        };
        count += 1;
    }
    let first = headers.as_mut_ptr().cast::<libc::mmsghdr>();
    let socket = socket.as_raw_fd();
    if count == 1 {
        // SAFETY: the first header was written above and points to parts on this
        // stack and to the contents that the message borrows. The kernel writes
        // to none of them.
        uninterrupted(|| unsafe { libc::sendmsg(socket, &raw const (*first).msg_hdr, 0) })?;
        return Ok(1);
    }
    // SAFETY: as above, for the first `count` headers. The kernel writes to their
    // `msg_len` alone.
    uninterrupted(|| unsafe { libc::sendmmsg(socket, first, count, 0) } as isize)
}

impl Parts {
    fn of(message: &Message<'_>) -> Result<Self, Errno> {
        let mut control = Control::NONE;
        let class = i32::from(message.dscp << 2 | message.ecn & 3).to_ne_bytes();
        let is_v4 = message.to.ip().to_canonical().is_ipv4();
        if class != [0; 4] {
            if is_v4 {
                control.push(libc::IPPROTO_IP, libc::IP_TOS, &class);
            } else {
                control.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &class);
            }
        }
        if let Some(pin) = message.pin {
            if is_v4 {
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &pin_v4(pin)?);
            } else {
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &pin_v6(pin)?);
            }
        }
        if let Some(bytes) = message.segment {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes());
        }
        let contents = libc::iovec {
            iov_base: message.contents.as_ptr().cast_mut().cast(),
            iov_len: message.contents.len(),
        };
        Ok(Self { contents, name: Name::of(message.to), control })
    }

    /// Points to these parts, which have to stay where they are.
    fn header(&mut self) -> libc::mmsghdr {
        // SAFETY: of numbers and pointers alone; zeros are "nothing" for all.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_namelen = self.name.len() as libc::socklen_t;
        header.msg_hdr.msg_name = self.name.room().as_mut_ptr().cast();
        header.msg_hdr.msg_iov = &raw mut self.contents;
        header.msg_hdr.msg_iovlen = 1;
        if self.control.len() > 0 {
            header.msg_hdr.msg_controllen = self.control.len() as _;
            header.msg_hdr.msg_control = self.control.room().as_mut_ptr().cast();
        }
        header
    }
}

/// Interface, source, and a field for receiving (`struct in_pktinfo`).
fn pin_v4(pin: Pin) -> Result<[u8; 12], Errno> {
    let source = match pin.source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => ip,
        Some(IpAddr::V6(_)) => return Err(Errno::EADDRNOTAVAIL),
        None => Ipv4Addr::UNSPECIFIED,
    };
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&index(pin)?);
    bytes[4..8].copy_from_slice(&source.octets());
    Ok(bytes)
}

/// Source and interface (`struct in6_pktinfo`).
fn pin_v6(pin: Pin) -> Result<[u8; 20], Errno> {
    let source = match pin.source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(ip)) => ip,
        Some(IpAddr::V4(_)) => return Err(Errno::EADDRNOTAVAIL),
        None => Ipv6Addr::UNSPECIFIED,
    };
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&source.octets());
    bytes[16..].copy_from_slice(&index(pin)?);
    Ok(bytes)
}

fn index(pin: Pin) -> Result<[u8; 4], Errno> {
    i32::try_from(pin.ifindex).map(i32::to_ne_bytes).map_err(|_| Errno::ENODEV)
}
