use std::os::fd::{AsFd, AsRawFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::Netlink;
use crate::error::{Error, Result};

/// An interface as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index, never 0.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// It has been set up.
    pub up: bool,
    /// It has been set up and has a carrier.
    pub running: bool,
    /// The largest IP packet it takes, in bytes.
    pub mtu: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
}

impl Netlink {
    /// All interfaces, in the order of their indices.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn interfaces(&self) -> Result<Vec<Interface>> {
        let links = self.ask(
            || "list the interfaces".to_owned(),
            |handle| handle.link().get().execute().try_collect::<Vec<_>>(),
        )?;
        Ok(links.into_iter().map(Interface::from).collect())
    }

    /// One interface. The kernel brings its view of the carrier up to date
    /// before it answers, and tells listeners if that changed anything.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn interface(&self, name: &str) -> Result<Interface> {
        let link = self.ask(
            || format!("look at interface {name}"),
            |handle| {
                let link = handle.link().get().match_name(name.to_owned()).execute();
                async move { std::pin::pin!(link).try_next().await }
            },
        )?;
        link.map(Interface::from).ok_or_else(|| Error::wrong(format!("{name} does not exist")))
    }

    /// The index of an interface.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn index(&self, name: &str) -> Result<u32> {
        Ok(self.interface(name)?.index)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn set_up(&self, name: &str) -> Result<()> {
        self.change("set up", name, LinkMessageBuilder::up)
    }

    /// Sets an interface down: its IPv6 addresses and its routes go.
    ///
    /// # Errors
    /// As for [`set_up`](Self::set_up).
    pub fn set_down(&self, name: &str) -> Result<()> {
        self.change("set down", name, LinkMessageBuilder::down)
    }

    /// Sets the largest IP packet that an interface takes, in bytes.
    ///
    /// # Errors
    /// As for [`set_up`](Self::set_up).
    pub fn set_mtu(&self, name: &str, bytes: u32) -> Result<()> {
        self.change("set the MTU of", name, |link| link.mtu(bytes))
    }

    /// Sets how many packets may wait to leave through an interface.
    ///
    /// # Errors
    /// As for [`set_up`](Self::set_up).
    pub fn set_queue(&self, name: &str, packets: u32) -> Result<()> {
        self.change("set the queue of", name, |link| link.txqueuelen(packets))
    }

    /// Gives a TAP device a carrier or takes it away, as pulling the plug does.
    /// Listeners have been told when this returns.
    ///
    /// # Errors
    /// The device has no carrier of its own (`Operation not supported`).
    pub fn set_carrier(&self, name: &str, on: bool) -> Result<()> {
        self.change("set the carrier of", name, |link| link.carrier(on))?;
        // The kernel holds the news of a lost carrier back for up to a second;
        // since Linux 6.8, being asked for the state makes it tell at once.
        let start = Instant::now();
        loop {
            let interface = self.interface(name)?;
            if !interface.up || interface.running == on || start.elapsed() > NEWS_LIMIT {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Makes an interface a port of a bridge, or of none.
    ///
    /// # Errors
    /// There is no such interface or bridge, or the kernel refuses.
    pub fn set_bridge(&self, name: &str, bridge: Option<&str>) -> Result<()> {
        let bridge = bridge.map(|bridge| self.index(bridge)).transpose()?;
        self.change("set the bridge of", name, |link| link.controller(bridge.unwrap_or(0)))
    }

    /// Makes a bridge and sets it up. It forwards from its first frame.
    ///
    /// # Errors
    /// The name is taken, or the kernel refuses.
    pub fn add_bridge(&self, name: &str) -> Result<()> {
        // Snooping would hold back the multicasts of neighbour discovery.
        let bridge = LinkBridge::new(name).forward_delay(0).mcast_snooping(false).up().build();
        self.ask(|| format!("add bridge {name}"), |handle| handle.link().add(bridge).execute())
    }

    /// Makes a veth pair: `name` here, `peer` in the namespace behind this
    /// descriptor. Both are down.
    ///
    /// # Errors
    /// A name is taken, or the kernel refuses.
    pub fn add_veth(&self, name: &str, peer: &str, namespace: impl AsFd) -> Result<()> {
        let there = namespace.as_fd().as_raw_fd();
        let peer = LinkMessageBuilder::<LinkUnspec>::default().name(peer).setns_by_fd(there);
        let veth = LinkMessageBuilder::<LinkVeth>::new(name, "")
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
        self.ask(|| format!("add veth {name}"), |handle| handle.link().add(veth.build()).execute())
    }

    /// Removes an interface, and its peer if it is a veth.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn remove(&self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        self.ask(|| format!("remove {name}"), |handle| handle.link().del(index).execute())
    }

    fn change(
        &self,
        what: &str,
        name: &str,
        change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<()> {
        let link = change(LinkUnspec::new_with_index(self.index(name)?)).build();
        self.ask(|| format!("{what} {name}"), |handle| handle.link().set(link).execute())
    }
}

impl From<LinkMessage> for Interface {
    fn from(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let up = flags.contains(LinkFlags::Up);
        let running = up && flags.contains(LinkFlags::Running);
        let index = message.header.index;
        let mut interface = Self { index, name: String::new(), up, running, mtu: 0, mac: None };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
                LinkAttribute::Address(mac) => interface.mac = mac.try_into().ok(),
                _ => {}
            }
        }
        interface
    }
}

/// The kernel delays the news of a carrier for no longer than one second.
const NEWS_LIMIT: Duration = Duration::from_secs(2);
