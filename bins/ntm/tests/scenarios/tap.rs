//! Who listens in a network, keeps what he hears, and sends it again.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use ntm_core::wire::Kind;
use ntm_lab::Netns;

/// A datagram that passed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) datagram: Vec<u8>,
}

/// Hears every UDP datagram over IPv4 that passes a machine, once.
pub(crate) struct Tap {
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Seen {
    pub(crate) fn is(&self, kind: Kind) -> bool {
        Kind::of(&self.datagram) == Ok(kind)
    }

    fn read(frame: &[u8]) -> Option<Self> {
        const ETHERNET: usize = 14;
        let ip = frame.get(ETHERNET..)?;
        if frame[12..14] != [8, 0] || ip.first()? >> 4 != 4 || *ip.get(9)? != 17 {
            return None;
        }
        let udp = ip.get(usize::from(ip[0] & 15) * 4..)?;
        let address = |at: usize| -> Option<Ipv4Addr> {
            Some(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?.into())
        };
        let number = |at: usize| -> Option<u16> {
            Some(u16::from_be_bytes(udp.get(at..at + 2)?.try_into().ok()?))
        };
        let from = SocketAddrV4::new(address(12)?, number(0)?).into();
        let to = SocketAddrV4::new(address(16)?, number(2)?).into();
        let datagram = udp.get(8..usize::from(number(4)?))?.to_vec();
        Some(Self { from, to, datagram })
    }
}

impl Tap {
    pub(crate) fn on(netns: &Netns) -> Self {
        let protocol = SockProtocol::EthAll;
        let open = || socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), protocol);
        let socket = netns.run(open).unwrap();
        setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(20)).unwrap();
        let (seen, ended) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicBool>::default());
        let (into, end) = (seen.clone(), ended.clone());
        let thread = thread::spawn(move || {
            // A machine that passes something on is heard twice.
            let (mut known, mut frame) = (BTreeSet::new(), vec![0; 65_600]);
            while !end.load(Ordering::Relaxed) {
                let Ok(length) = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) else {
                    continue;
                };
                if let Some(seen) = Seen::read(&frame[..length])
                    && known.insert(seen.datagram.clone())
                {
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
                }
            }
        });
        Self { seen, ended, thread: Some(thread) }
    }

    /// What it has heard so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Sends a datagram once more from this machine, as if from where it first came.
pub(crate) fn send_again(netns: &Netns, seen: &Seen) {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (seen.from, seen.to) else {
        panic!("IPv4 alone is heard")
    };
    let length = seen.datagram.len() as u16;
    // The kernel fills in the length and the checksum of the header; that of UDP may
    // be left out.
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend([from.port(), to.port(), 8 + length, 0].map(u16::to_be_bytes).concat());
    packet.extend(&seen.datagram);
    let open = || {
        socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw).unwrap()
    };
    let socket = netns.run(open);
    let to = SockaddrIn::from(SocketAddrV4::new(*to.ip(), 0));
    sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty()).unwrap();
}

/// Whether an address is one of these.
pub(crate) fn is_one_of(ip: IpAddr, of: &[SocketAddr]) -> bool {
    of.iter().any(|one| one.ip() == ip)
}
