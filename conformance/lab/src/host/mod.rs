//! Hosts that are plugged in, move, and have their addresses managed.

mod manager;

use std::fmt;
use std::net::IpAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ntm_core::Time;

use crate::clock::now;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::link::{Conditions, Link};
use crate::netns::Netns;
use crate::process::Process;
use crate::recorder::Recorder;
use crate::segment::Fabric;
use crate::tools::Tools;
use crate::topology::Site;
use manager::{Manager, Plan};

/// A machine with one interface or more, each with a cable that can be moved
/// from site to site.
///
/// A small network manager looks after it: when an interface loses its carrier,
/// addresses, routes and neighbours go; when it has one again, it gets those of
/// the site, by DHCP or by a fixed plan.
pub struct Host {
    ports: Vec<Port>,
    recorder: Recorder,
    netns: Netns,
}

/// An interface of a host, its cable and its manager.
pub struct Port {
    link: Link,
    manager: Manager,
    netns: Netns,
    asks: Asks,
}

/// How the interfaces of a host get their IPv4 addresses. IPv6 addresses are
/// always given by plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// By plan: the same address at each visit of a site.
    Nobody,
    /// By DHCP where a client is installed and the site has a server, else by
    /// plan.
    Dhcp,
}

/// How a port got its IPv4 address, for saying so plainly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configured {
    /// By a real DHCP client from a real server.
    ByDhcp,
    /// By the lab, at once.
    ByPlan,
}

/// When a plug was pulled and put in elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Just before the plug was pulled.
    pub left: Time,
    /// Just before it was put in.
    pub joined: Time,
}

impl Host {
    /// A host with one interface, `eth0`, that is not plugged in.
    /// [`Lab::host`](crate::Lab::host) does this.
    pub(crate) fn new(
        fabric: &Fabric,
        tools: &Tools,
        name: &str,
        asks: Asks,
        conditions: Conditions,
        seed: u64,
    ) -> Result<Self> {
        let netns = Netns::new(name)?;
        let recorder = Recorder::start(&netns)?;
        let mut host = Self { ports: Vec::new(), recorder, netns };
        host.add_port(fabric, tools, "eth0", asks, conditions, seed)?;
        Ok(host)
    }

    pub(crate) fn add_port(
        &mut self,
        fabric: &Fabric,
        tools: &Tools,
        interface: &str,
        asks: Asks,
        conditions: Conditions,
        seed: u64,
    ) -> Result<()> {
        let link = Link::new(fabric, &self.netns, interface, conditions, seed)?;
        // As managers do it: the later ones are used only without the first.
        let metric = 100 * (self.ports.len() as u32 + 1);
        let manager = Manager::start(&self.netns, interface, metric, tools)?;
        self.ports.push(Port { link, manager, netns: self.netns.clone(), asks });
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.netns.name()
    }

    /// Its namespace, to run things in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// What its kernel has told since it was made.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Its first interface.
    pub fn eth0(&self) -> &Port {
        &self.ports[0]
    }

    /// One of its interfaces.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn port(&self, interface: &str) -> Result<&Port> {
        let found = self.ports.iter().find(|port| port.interface() == interface);
        found.ok_or_else(|| Error::wrong(format!("{} has no {interface}", self.name())))
    }

    /// Plugs `eth0` in and waits until it has its addresses: for the beginning
    /// of a scenario.
    ///
    /// # Errors
    /// It got none in time.
    pub fn join(&self, site: &Site) -> Result<()> {
        self.eth0().join(site)
    }

    /// Moves `eth0` to another site, without waiting for its addresses there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn move_to(&self, site: &Site) -> Result<Moved> {
        self.eth0().move_to(site)
    }

    /// The address of `eth0` now, of a family.
    ///
    /// # Errors
    /// It has none that is usable beyond its link.
    pub fn address(&self, family: Family) -> Result<IpAddr> {
        self.eth0().address(family)
    }

    /// Starts a program in it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&self, command: Command) -> Result<Process> {
        Process::start(&self.netns, command)
    }
}

impl Port {
    /// The interface's name.
    pub fn interface(&self) -> &str {
        self.link.interface()
    }

    /// Its cable, to change its conditions.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// How it gets its IPv4 address at a site.
    pub fn configured(&self, site: &Site) -> Configured {
        if self.asks == Asks::Dhcp && self.manager.has_client() && site.has_dhcp() {
            Configured::ByDhcp
        } else {
            Configured::ByPlan
        }
    }

    /// Plugs in and waits until there are an address and a default route of each
    /// of the site's families.
    ///
    /// # Errors
    /// There were not within ten seconds, with the manager's complaint if it has
    /// one.
    pub fn join(&self, site: &Site) -> Result<()> {
        self.plug(site)?;
        self.settle(site, Duration::from_secs(10))
    }

    /// Plugs in, and waits for nothing.
    ///
    /// # Errors
    /// The system refuses.
    pub fn plug(&self, site: &Site) -> Result<()> {
        let by_dhcp = self.configured(site) == Configured::ByDhcp;
        let (addresses, gateways) = site.plan(self.netns.name(), self.interface())?;
        let planned = |ip: IpAddr| !(by_dhcp && ip.is_ipv4());
        self.manager.plan(Plan {
            addresses: addresses.into_iter().filter(|net| planned(net.addr())).collect(),
            gateways: gateways.into_iter().filter(|ip| planned(*ip)).collect(),
            dhcp: by_dhcp,
        });
        self.link.plug(site.segment())
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// The system refuses.
    pub fn leave(&self) -> Result<()> {
        self.link.unplug()
    }

    /// Pulls the plug and puts it in at another site as soon as the manager has
    /// taken the old addresses away.
    ///
    /// # Errors
    /// The system refuses.
    pub fn move_to(&self, site: &Site) -> Result<Moved> {
        let left = now();
        self.leave()?;
        self.wait_until_bare(Duration::from_secs(2))?;
        let joined = now();
        self.plug(site)?;
        Ok(Moved { left, joined })
    }

    /// Waits until there are an address and a default route of each of the
    /// site's families.
    ///
    /// # Errors
    /// There were not in time.
    pub fn settle(&self, site: &Site, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let missing: Vec<_> =
                site.families().filter(|family| !self.is_settled(site, *family)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            if start.elapsed() > limit {
                let complaint = self.manager.complaint().unwrap_or_default();
                return Err(Error::wrong(format!(
                    "{} got no {missing:?} address at {} within {limit:?} {complaint}",
                    self.netns.name(),
                    site.name(),
                )));
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// The interface's address now, of a family.
    ///
    /// # Errors
    /// It has none that is usable beyond its link.
    pub fn address(&self, family: Family) -> Result<IpAddr> {
        let addresses = self.netns.netlink().addresses(self.interface())?;
        let usable = addresses.iter().filter(|address| address.usable && !address.link_local);
        usable.map(|address| address.net.addr()).find(|ip| Family::from(*ip) == family).ok_or_else(
            || {
                let (name, interface) = (self.netns.name(), self.interface());
                Error::wrong(format!("{name} has no usable {family} address on {interface}"))
            },
        )
    }

    /// Waits until no address is left but the link-local one.
    fn wait_until_bare(&self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let netlink = self.netns.netlink();
        while netlink.addresses(self.interface())?.iter().any(|address| !address.link_local) {
            if start.elapsed() > limit {
                let complaint = self.manager.complaint().unwrap_or_default();
                return Err(Error::wrong(format!(
                    "{} still had its old addresses {limit:?} after it lost its carrier {complaint}",
                    self.netns.name(),
                )));
            }
            sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn is_settled(&self, site: &Site, family: Family) -> bool {
        let netlink = self.netns.netlink();
        let (Ok(index), Ok(address), Ok(routes)) =
            (netlink.index(self.interface()), self.address(family), netlink.routes())
        else {
            return false;
        };
        site.contains(address)
            && routes
                .iter()
                .any(|route| route.is_default() && route.index == index && route.family() == family)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({})", self.name())
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({}:{})", self.netns.name(), self.interface())
    }
}
