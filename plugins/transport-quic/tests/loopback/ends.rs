use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ntm_core::plugin::{Lane, RxSlot, Transport, TxPacket};
use ntm_transport_quic::{Config, Quic};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct End {
    pub(crate) quic: Quic,
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) addr: SocketAddr,
}

pub(crate) struct Arrived {
    pub(crate) data: Vec<u8>,
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
}

pub(crate) fn config(bind: impl Into<SocketAddr>) -> Config {
    Config { bind: bind.into(), ..Config::default() }
}

impl End {
    pub(crate) fn new() -> Self {
        Self::open(config((Ipv4Addr::LOCALHOST, 0)))
    }

    pub(crate) fn open(config: Config) -> Self {
        let quic = Quic::open(config, 1).unwrap();
        let (lane, addr) = (quic.lanes().remove(0), quic.local_addrs()[0]);
        Self { quic, lane, addr }
    }

    pub(crate) fn send(&self, data: &[u8], to: SocketAddr) {
        assert_eq!(self.lane.try_send(&[TxPacket::new(data, to.into())]).unwrap(), 1);
    }

    /// What arrives next.
    pub(crate) fn next(&self) -> Arrived {
        self.within(PATIENCE).expect("nothing has arrived")
    }

    /// What arrives next, if it arrives in this time.
    pub(crate) fn within(&self, patience: Duration) -> Option<Arrived> {
        let until = Instant::now() + patience;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap();
            let fd = PollFd::from_borrowed_fd(self.lane.fd(), PollFlags::IN);
            if poll(&mut [fd], Some(&left)).unwrap() == 0 {
                return None;
            }
            let mut slot = RxSlot::new(&mut buffer);
            if self.lane.try_recv(std::slice::from_mut(&mut slot)).is_ok() {
                let (from, to) = (slot.remote.socket()?, slot.local.ip());
                return Some(Arrived { data: slot.filled().to_vec(), from, to });
            }
        }
    }

    /// Sends until the other end hears it; what it heard.
    pub(crate) fn reach(&self, other: &Self, data: &[u8], at: SocketAddr) -> Arrived {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            self.send(data, at);
            while let Some(arrived) = other.within(Duration::from_millis(100)) {
                if arrived.data == data {
                    return arrived;
                }
            }
        }
        panic!("{at} has heard nothing");
    }

    pub(crate) fn fact(&self, name: &str) -> u64 {
        let facts = self.quic.facts();
        let (_, value) = facts.iter().find(|(key, _)| key == name).unwrap();
        value.parse().unwrap()
    }
}

/// Runs a future of the transport; what it awaits happens in its own thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
