use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ntm_core::address::Vips;
use ntm_core::plugin::{Interface as _, InterfaceSettings, Lane, PluginError};
use ntm_interface_tun::{Config, SuperPackets, Tun};
use ntm_lab::Netns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// No test waits longer for something that has to come.
pub(crate) const LIMIT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Runs a test on a thread of its own in an empty namespace.
pub(crate) fn in_a_namespace(name: &str, test: impl FnOnce(&Netns) + Send) {
    let ns = Netns::new(name).unwrap();
    ns.run(|| test(&ns));
}

/// What can be set about super-packets.
pub(crate) const EVERY: [SuperPackets; 3] =
    [SuperPackets::Full, SuperPackets::Tcp, SuperPackets::None];

/// A device `ntm0`.
pub(crate) fn device(offload: SuperPackets, lanes: usize, settings: &InterfaceSettings) -> Tun {
    let tun = Tun::open(Config { offload, ..Config::default() }, lanes).unwrap();
    configure(&tun, settings).unwrap();
    tun
}

pub(crate) fn configure(tun: &Tun, settings: &InterfaceSettings) -> Result<(), PluginError> {
    finish(tun.configure(settings))
}

/// The result of a future that needs no runtime.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(result) = polled {
            return result;
        }
    }
}

/// Addresses in 198.18.0.0/16 and fd18::/64; none where the text is empty.
pub(crate) fn settings(v4: &str, v6: &str) -> InterfaceSettings {
    let vips = Vips { v4: v4.parse().ok(), v6: v6.parse().ok() };
    let range = |ip: IpAddr| if ip.is_ipv4() { "198.18.0.0/16" } else { "fd18::/64" };
    let ranges = vips.iter().map(|ip| range(ip).parse().unwrap()).collect();
    InterfaceSettings { vips, ranges, mtu: 1400 }
}

pub(crate) fn readable(lane: &dyn Lane, limit: Timespec) -> bool {
    let fd = lane.fd();
    let mut polled = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut polled, Some(&limit)).unwrap();
    !polled[0].revents().is_empty()
}
