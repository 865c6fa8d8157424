use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use ntm_lab::{Netlink, Netns, sandbox};

use crate::outcome::Stop;

/// A network namespace of the check's own.
#[derive(Debug)]
pub struct World(Netns);

static MADE: AtomicU32 = AtomicU32::new(0);

pub(crate) fn is_inside() -> bool {
    sandbox::is_inside()
}

impl World {
    /// An empty one; only inside a sandbox of the lab.
    pub(crate) fn new() -> Result<Self, String> {
        if !is_inside() {
            return Err("it takes a network namespace, and this program runs in none".into());
        }
        let name = format!("check{}", MADE.fetch_add(1, Ordering::Relaxed));
        Netns::new(&name).map(Self).map_err(|error| error.to_string())
    }

    /// Runs a closure in it, on a thread made for that.
    pub(crate) fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        self.0.run(inside)
    }

    /// Changes interfaces, addresses and routes; may be called inside a runtime.
    fn change<T: Send>(
        &self,
        change: impl FnOnce(&Netlink) -> ntm_lab::Result<T> + Send,
    ) -> Result<T, Stop> {
        let changed = self.0.run(|| change(self.0.netlink()));
        changed.map_err(|error| Stop::not_tried(error.to_string()))
    }

    /// Makes a link that is up, and its other end in the same namespace.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add_link(&self, name: &str) -> Result<(), Stop> {
        let far = far(name);
        self.change(|netlink| {
            netlink.add_veth(name, &far, self.0.clone())?;
            netlink.set_up(&far)?;
            netlink.set_up(name)
        })
    }

    /// Removes a link, and its other end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove_link(&self, name: &str) -> Result<(), Stop> {
        self.change(|netlink| netlink.remove(name))
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_up(&self, name: &str, up: bool) -> Result<(), Stop> {
        self.change(|netlink| if up { netlink.set_up(name) } else { netlink.set_down(name) })
    }

    /// Gives a link its carrier, or takes it away.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_carrier(&self, name: &str, on: bool) -> Result<(), Stop> {
        self.set_up(&far(name), on)
    }

    /// Gives a link an address, such as `10.0.1.2/24`, at once usable.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add_address(&self, name: &str, address: &str) -> Result<(), Stop> {
        let address = address.parse().map_err(|_| Stop::not_tried(format!("`{address}`")))?;
        self.change(|netlink| netlink.add_address(name, address))
    }

    /// Takes all addresses of a link away.
    ///
    /// # Errors
    /// The system refuses.
    pub fn flush_addresses(&self, name: &str) -> Result<(), Stop> {
        self.change(|netlink| netlink.flush_addresses(name))
    }

    /// The addresses of an interface with the lengths of their prefixes, but
    /// link-local ones; `None` where there is no such interface.
    pub fn addresses(&self, name: &str) -> Option<Vec<String>> {
        let all = self.change(|netlink| netlink.addresses(name)).ok()?;
        let all = all.iter().filter(|it| !it.link_local).map(|it| it.net.to_string());
        Some(all.collect())
    }

    /// The index and the MTU of an interface; `None` where there is none.
    pub fn interface(&self, name: &str) -> Option<(u32, u32)> {
        let found = self.change(|netlink| netlink.interface(name)).ok()?;
        Some((found.index, found.mtu))
    }

    /// Leads everything else by this router; the least metric counts.
    ///
    /// # Errors
    /// The system refuses.
    pub fn default_route(&self, name: &str, via: IpAddr, metric: u32) -> Result<(), Stop> {
        self.change(|netlink| netlink.add_default_route(via, name, metric))
    }

    /// Takes the routes by routers of a link away.
    ///
    /// # Errors
    /// The system refuses.
    pub fn flush_routes(&self, name: &str) -> Result<(), Stop> {
        self.change(|netlink| netlink.flush_routes(name))
    }
}

fn far(name: &str) -> String {
    format!("far-{name}")
}
