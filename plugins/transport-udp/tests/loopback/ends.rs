//! What the tests on loopback share: opening, waiting, taking in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ntm_core::plugin::{Lane, RxSlot, Transport as _, TxPacket};
use ntm_transport_udp::{Config, Udp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// No test waits longer than this for something that has to come.
const LIMIT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// A received datagram.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) data: Vec<u8>,
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) ifindex: u32,
    pub(crate) ecn: u8,
}

/// Buffers for one `try_recv`.
pub(crate) struct Buffers(Vec<Vec<u8>>);

pub(crate) fn open(bind: &str) -> Udp {
    open_with(bind, Config::default())
}

pub(crate) fn open_with(bind: &str, config: Config) -> Udp {
    Udp::open(Config { bind: bind.parse().unwrap(), ..config }, 1).unwrap()
}

pub(crate) fn lane(udp: &Udp) -> Arc<dyn Lane> {
    udp.lanes().remove(0)
}

pub(crate) fn port(udp: &Udp) -> u16 {
    udp.local_addrs()[0].port()
}

/// Where `udp` is reached by way of `host`.
pub(crate) fn at(host: &str, udp: &Udp) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), port(udp))
}

/// Sends all of `packets`.
pub(crate) fn send(udp: &Udp, packets: &[TxPacket<'_>]) {
    assert_eq!(lane(udp).try_send(packets).unwrap(), packets.len());
}

/// Waits for `count` datagrams and no more than those.
pub(crate) fn receive(udp: &Udp, count: usize) -> Vec<Got> {
    let lane = lane(udp);
    let mut buffers = Buffers::default();
    let mut all = Vec::new();
    while all.len() < count {
        wait_readable(&*lane);
        all.extend(buffers.take(&*lane).unwrap());
    }
    assert_eq!(all.len(), count, "more arrived than was sent");
    all
}

/// Sleeps until the lane polls readable.
pub(crate) fn wait_readable(lane: &dyn Lane) {
    assert!(polls_readable(lane, &LIMIT), "nothing arrived");
}

pub(crate) fn is_readable(lane: &dyn Lane) -> bool {
    polls_readable(lane, &Timespec { tv_sec: 0, tv_nsec: 0 })
}

fn polls_readable(lane: &dyn Lane, limit: &Timespec) -> bool {
    let fd = lane.fd();
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut polled, Some(limit)).unwrap();
    polled[0].revents().contains(PollFlags::IN)
}

impl Default for Buffers {
    fn default() -> Self {
        Self(vec![vec![0; 65_535]; 32])
    }
}

impl Buffers {
    /// One `try_recv`, as single datagrams.
    pub(crate) fn take(&mut self, lane: &dyn Lane) -> io::Result<Vec<Got>> {
        let mut slots: Vec<_> = self.0.iter_mut().map(|buffer| RxSlot::new(buffer)).collect();
        let filled = lane.try_recv(&mut slots)?;
        assert!(filled > 0, "`Ok` means at least one");
        let got = |slot: &RxSlot<'_>, data: &[u8]| Got {
            data: data.to_vec(),
            remote: slot.remote.socket().unwrap(),
            local: slot.local.ip(),
            ifindex: slot.ifindex,
            ecn: slot.ecn,
        };
        let datagrams = |slot| RxSlot::segments(slot).map(move |data| got(slot, data));
        Ok(slots[..filled].iter().flat_map(datagrams).collect())
    }
}
