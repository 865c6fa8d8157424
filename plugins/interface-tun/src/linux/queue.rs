use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ntm_core::plugin::{RxSlot, TxPacket};
use rustix::io::{Errno, Result, read, readv, write, writev};

use super::header::Header;
use super::offload::Shared;
use super::receive::accept;
use super::send::send;

/// A queue of the device.
pub(crate) struct Queue {
    fd: OwnedFd,
    /// Before each packet stands a [`Header`].
    headers: bool,
    shared: Arc<Shared>,
}

impl Queue {
    pub(super) fn new(fd: OwnedFd, headers: bool, shared: Arc<Shared>) -> Self {
        Self { fd, headers, shared }
    }

    /// Reads one packet or super-packet; whether it made sense.
    pub(crate) fn read(&self, slot: &mut RxSlot<'_>) -> Result<bool> {
        let buffer = slot.buffer();
        if !self.headers {
            let len = read(&self.fd, buffer)?;
            slot.fill(len, 0);
            return Ok(true);
        }
        let mut header = [0; Header::LEN];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
        let accepted = match readv(&self.fd, &mut parts) {
            Ok(read) => read
                .checked_sub(Header::LEN)
                .and_then(|len| Some((len, buffer.get_mut(..len)?)))
                .and_then(|(len, packet)| Some((len, accept(Header::from_bytes(header), packet)?))),
            // The kernel has no words for a packet, and has dropped it.
            Err(Errno::INVAL) => None,
            Err(errno) => return Err(errno),
        };
        match accepted {
            Some((len, segment)) => slot.fill(len, segment),
            None => self.shared.count_malformed(),
        }
        Ok(accepted.is_some())
    }

    /// Writes one packet or super-packet.
    pub(crate) fn write(&self, packet: &TxPacket<'_>) -> Result<()> {
        send(packet.data(), packet.segment, &self.shared, |header, packet| {
            if !self.headers {
                return write(&self.fd, packet).map(drop);
            }
            let header = header.to_bytes();
            writev(&self.fd, &[IoSlice::new(&header), IoSlice::new(packet)]).map(drop)
        })
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    use ntm_core::packet::SuperPacket;
    use ntm_core::plugin::{Addr, Lane as _, Offload};

    use super::super::samples::{KINDS, SEGMENT, packet};
    use super::*;
    use crate::lane::TunLane;

    /// A lane whose kernel is a socket.
    fn lane(headers: bool) -> (TunLane, Arc<Shared>, UnixDatagram) {
        let (ours, kernel) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::new(Offload { tcp: headers, udp: headers }));
        (TunLane(Queue::new(ours.into(), headers, shared.clone())), shared, kernel)
    }

    fn behind(header: Header, packet: &[u8]) -> Vec<u8> {
        [&header.to_bytes(), packet].concat()
    }

    #[test]
    fn nonsense_is_counted_and_what_comes_behind_it_is_read() {
        let (lane, shared, kernel) = lane(true);
        let whole = packet(KINDS[0], 2500);
        let header = Header::of(&SuperPacket::parse(&whole, SEGMENT).unwrap(), SEGMENT);
        kernel.send(&behind(header, &whole[..2000])).unwrap();
        kernel.send(&behind(Header::NONE, b"single")).unwrap();
        kernel.send(b"short").unwrap();
        kernel.send(&behind(header, &whole)).unwrap();
        let mut buffers = [const { [0; 4096] }; 4];
        let mut slots = buffers.each_mut().map(|it| RxSlot::new(it));
        assert_eq!(lane.try_recv(&mut slots).unwrap(), 2);
        assert_eq!((slots[0].filled(), slots[0].segment), (&b"single"[..], 0));
        assert_eq!((slots[1].filled(), slots[1].segment), (&whole[..], SEGMENT));
        assert!(shared.facts().contains(&("malformed".to_owned(), "2".to_owned())));
        // A turn that brought nothing else is as if nothing had come.
        kernel.send(b"short").unwrap();
        let nothing = lane.try_recv(&mut slots).map_err(|error| error.kind());
        assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    }

    #[test]
    fn without_headers_packets_are_bare() {
        let (lane, _, kernel) = lane(false);
        let whole = packet(KINDS[0], 2500);
        let packets =
            [TxPacket::new(b"single", Addr::NONE), TxPacket::run(&whole, SEGMENT, Addr::NONE)];
        assert_eq!(lane.try_send(&packets).unwrap(), 2);
        let mut buffer = [0; 4096];
        let lengths = [6, 1040, 1040, 540];
        assert_eq!(lengths.map(|_| kernel.recv(&mut buffer).unwrap()), lengths);
        kernel.send(b"answer").unwrap();
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(lane.try_recv(std::slice::from_mut(&mut slot)).unwrap(), 1);
        assert_eq!((slot.filled(), slot.segment), (&b"answer"[..], 0));
    }
}
