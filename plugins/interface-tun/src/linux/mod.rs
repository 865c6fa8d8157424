//! The TUN device of Linux.

mod error;
mod header;
mod netlink;
mod offload;
mod open;
mod queue;
mod receive;
#[cfg(test)]
mod samples;
mod send;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::net::if_::if_nametoindex;
use ntm_core::plugin::{InterfaceSettings, Offload, PluginError};
use rustix::io::Errno;

use self::error::{cannot_configure, cannot_open, in_use, ipv6_refused, mtu_too_small};
use self::netlink::Netlink;
use self::offload::{Shared, negotiate};
use self::open::Opened;
pub(crate) use self::queue::Queue;
use crate::SuperPackets;
use crate::settings::{Failed, State};

/// The smallest MTU of an interface with IPv6 (RFC 8200, section 5).
const IPV6_MTU: u16 = 1280;

/// Packets that wait while no worker has a processor: a time slice of the system's
/// scheduler, some milliseconds, at half a million small packets a second. The
/// driver's own 500 are a millisecond's worth.
const QUEUE_LEN: u32 = 4096;

/// A TUN device of our own making.
pub(crate) struct Device {
    name: String,
    index: u32,
    netlink: Netlink,
    shared: Arc<Shared>,
    given: Mutex<Given>,
}

/// What the interface has from us.
#[derive(Default)]
struct Given {
    state: State,
    /// Why an IPv6 address that was asked for is missing.
    no_ipv6: Option<Errno>,
}

impl Device {
    /// The device and its queues, which do not block.
    pub(crate) fn open(
        name: Option<&str>,
        lanes: usize,
        wanted: SuperPackets,
    ) -> Result<(Self, Vec<Queue>), PluginError> {
        if let Some(name) = name
            && if_nametoindex(name).is_ok()
        {
            return Err(in_use(name));
        }
        let shown = name.unwrap_or("tun");
        let Opened { name, fds, headers } =
            open_with_headers(name, lanes, wanted).map_err(|errno| cannot_open(shown, errno))?;
        let wanted = if headers { wanted } else { SuperPackets::None };
        let offload = fds
            .first()
            .map_or(Offload::NONE, |fd| negotiate(wanted, |flags| open::set_offload(fd, flags)));
        let shared = Arc::new(Shared::new(offload));
        tracing::info!("super-packets on {name}: {}", shared.text());
        let index = if_nametoindex(name.as_str())
            .map_err(|errno| cannot_open(&name, Errno::from_raw_os_error(errno as i32)))?;
        let netlink = Netlink::open().map_err(|errno| cannot_open(&name, errno))?;
        let _without_ipv6_there_is_none = netlink.stop_link_local(index);
        if let Err(errno) = netlink.set_queue_len(index, QUEUE_LEN) {
            tracing::info!("{name} keeps the driver's queue, which is short: {errno}");
        }
        let queue = |fd| Queue::new(fd, headers, shared.clone());
        let queues = fds.into_iter().map(queue).collect();
        Ok((Self { name, index, netlink, shared, given: Mutex::default() }, queues))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn offload(&self) -> Offload {
        self.shared.offload
    }

    /// Where the machine lets no interface have IPv6 addresses, the node goes on
    /// with its IPv4 address, if it has one, and says so.
    pub(crate) fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        if settings.vips.v6.is_some() && settings.mtu < IPV6_MTU {
            return Err(mtu_too_small(&self.name, settings.mtu));
        }
        let mut given = self.given();
        let wanted = State::of(settings);
        let kernel = |change: &_| self.netlink.change(self.index, change);
        let mut result = given.state.reach(wanted.clone(), kernel);
        given.no_ipv6 = result.as_ref().err().and_then(Failed::ipv6_refusal);
        if let Some(errno) = given.no_ipv6
            && settings.vips.v4.is_some()
        {
            tracing::warn!("{}", ipv6_refused(&self.name, errno));
            result = given.state.reach(wanted.without_ipv6(), kernel);
        }
        result.map_err(|failed| match failed.ipv6_refusal() {
            Some(errno) => ipv6_refused(&self.name, errno),
            None => cannot_configure(&self.name, &failed),
        })
    }

    /// Whether packets to its addresses are delivered: the kernel installs
    /// IPv6 addresses a little after it has accepted them.
    pub(crate) fn is_settled(&self) -> bool {
        let delivered = |ip| self.netlink.is_local(ip).unwrap_or(true);
        let addresses: Vec<_> = self.given().state.addresses().collect();
        addresses.into_iter().all(delivered)
    }

    pub(crate) fn close(&self) {
        *self.given() = Given::default();
        match self.netlink.remove_link(self.index) {
            Ok(()) | Err(Errno::NODEV) => {}
            Err(errno) => {
                tracing::warn!("{} stays until the node ends: {errno}", self.name);
            }
        }
    }

    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let refusal = self.given().no_ipv6.map(|errno| ipv6_refused(&self.name, errno).message);
        let ipv6 = refusal.map(|it| ("ipv6".to_owned(), it));
        self.shared.facts().into_iter().chain(ipv6).collect()
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a device with a header before each packet if super-packets are wanted
/// and the driver knows of headers; not all that stand in for Linux do.
fn open_with_headers(
    name: Option<&str>,
    lanes: usize,
    wanted: SuperPackets,
) -> Result<Opened, Errno> {
    let headers = wanted != SuperPackets::None;
    match open::open(name, lanes, headers) {
        Err(Errno::INVAL) if headers => open::open(name, lanes, false),
        result => result,
    }
}
