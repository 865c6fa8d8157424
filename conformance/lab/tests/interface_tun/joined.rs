//! Two devices in two namespaces, joined by a thread that hands over what comes
//! out of one to the other.

use std::io::{self, ErrorKind, PipeReader};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use ntm_core::packet::{Flow, mark};
use ntm_core::plugin::{Addr, Interface as _, Lane, Offload, RxSlot, TxPacket};
use ntm_interface_tun::{SuperPackets, Tun};
use ntm_lab::Netns;
use rustix::event::{PollFd, PollFlags, poll};

use crate::common::{LIMIT, device, settings};

/// The largest packet that applications may send in one piece.
pub(crate) const MTU: usize = 1400;

const LEFT: [&str; 2] = ["198.18.0.5", "fd18::5"];
const RIGHT: [&str; 2] = ["198.18.0.6", "fd18::6"];

/// The devices as they are opened, and what happens between them.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) left: SuperPackets,
    pub(crate) right: SuperPackets,
    pub(crate) lanes: usize,
    /// Every packet to the right that is a multiple of this is marked as having
    /// met congestion.
    pub(crate) mark_every: Option<usize>,
}

/// One end.
pub(crate) struct End {
    pub(crate) ns: Netns,
    /// IPv4 and IPv6.
    pub(crate) addresses: [IpAddr; 2],
    pub(crate) offload: Offload,
}

/// What came out of a device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
    /// Those of the packets that were super-packets.
    pub(crate) supers: usize,
    /// The longest that was none, or segment of one, in bytes of the IP packet.
    pub(crate) longest: usize,
    /// TCP packets with `CWR`.
    pub(crate) reduced: usize,
}

impl Setup {
    pub(crate) fn new(left: SuperPackets, right: SuperPackets) -> Self {
        Self { left, right, lanes: 1, mark_every: None }
    }

    /// What came out left and right while `test` ran.
    pub(crate) fn run(self, name: &str, test: impl FnOnce(&End, &End)) -> [Seen; 2] {
        let (left, left_end) = end(&format!("{name}_l"), self.left, self.lanes, LEFT);
        let (right, right_end) = end(&format!("{name}_r"), self.right, self.lanes, RIGHT);
        let (stopped, running) = io::pipe().unwrap();
        thread::scope(|scope| {
            let pump = scope.spawn(|| self.pump(&left.lanes(), &right.lanes(), &stopped));
            // Dropped by a failing test as well.
            let running = running;
            test(&left_end, &right_end);
            drop(running);
            pump.join().unwrap()
        })
    }

    /// Hands packets over until the other end of `stopped` is closed.
    fn pump(
        self,
        left: &[Arc<dyn Lane>],
        right: &[Arc<dyn Lane>],
        stopped: &PipeReader,
    ) -> [Seen; 2] {
        let mut seen = [Seen::default(); 2];
        let mut buffers = vec![vec![0; usize::from(u16::MAX)]; 8];
        loop {
            let mut fds = vec![PollFd::new(stopped, PollFlags::IN)];
            let both = left.iter().chain(right);
            fds.extend(both.map(|lane| PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)));
            poll(&mut fds, Some(&LIMIT)).unwrap();
            if !fds[0].revents().is_empty() {
                return seen;
            }
            for (left, right) in left.iter().zip(right) {
                for (side, from, to) in [(0, left, right), (1, right, left)] {
                    let mut slots: Vec<_> = buffers.iter_mut().map(|it| RxSlot::new(it)).collect();
                    let filled = match from.try_recv(&mut slots) {
                        Ok(filled) => filled,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                        Err(error) => panic!("a lane broke: {error}"),
                    };
                    for slot in &mut slots[..filled] {
                        seen[side].note(slot);
                        let marks = side == 0
                            && self.mark_every.is_some_and(|n| seen[0].packets.is_multiple_of(n));
                        if marks && Flow::of(slot.filled()).unwrap().ecn != 0 {
                            mark(slot.filled_mut(), 0b11);
                        }
                        let packet = TxPacket::run(slot.filled(), slot.segment, Addr::NONE);
                        assert_eq!(to.try_send(&[packet]).unwrap(), 1);
                    }
                }
            }
        }
    }
}

impl Seen {
    fn note(&mut self, slot: &RxSlot<'_>) {
        let packet = slot.filled();
        Flow::of(packet).unwrap();
        let (transport, protocol) =
            if packet[0] >> 4 == 4 { (20, packet[9]) } else { (40, packet[6]) };
        let header = match protocol {
            6 => usize::from(packet[transport + 12] >> 4) * 4,
            _ => 8,
        };
        self.reduced += usize::from(protocol == 6 && packet[transport + 13] & 0x80 != 0);
        self.packets += 1;
        self.bytes += packet.len();
        let mut one = packet.len();
        if slot.segment != 0 {
            self.supers += 1;
            one = transport + header + usize::from(slot.segment);
            assert!(packet.len() > one, "a super-packet of one segment");
        }
        self.longest = self.longest.max(one);
    }
}

fn end(name: &str, offload: SuperPackets, lanes: usize, addresses: [&str; 2]) -> (Tun, End) {
    let ns = Netns::new(name).unwrap();
    let tun = ns.run(|| device(offload, lanes, &settings(addresses[0], addresses[1])));
    let offload = tun.offload();
    (tun, End { ns, addresses: addresses.map(|it| it.parse().unwrap()), offload })
}
