//! Segments: what cables are plugged into.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Result;
use crate::netns::Netns;

/// The namespace that holds the segments and the far ends of all cables. No
/// program runs in it and it has no addresses. It lives as long as a clone of
/// this handle, a [`Link`](crate::Link) or a [`Router`](crate::Router) of it.
#[derive(Clone, Debug)]
pub struct Fabric(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    netns: Netns,
    names: AtomicU32,
}

impl Fabric {
    /// An empty fabric; its namespace has this name.
    ///
    /// # Errors
    /// As for [`Netns::new`].
    pub fn new(name: &str) -> Result<Self> {
        let netns = Netns::new(name)?;
        // Bridges and ports would otherwise take part in IPv6 themselves.
        for scope in ["all", "default"] {
            let name = format!("net.ipv6.conf.{scope}.disable_ipv6");
            if netns.sysctl(&name).is_ok() {
                netns.set_sysctl(&name, 1)?;
            }
        }
        Ok(Self(Arc::new(Inner { netns, names: AtomicU32::new(1) })))
    }

    /// A new segment that nothing is plugged into.
    ///
    /// # Errors
    /// The system refuses to make a bridge.
    pub fn segment(&self) -> Result<Segment> {
        let bridge = format!("s{}", self.number());
        self.netns().netlink().add_bridge(&bridge)?;
        Ok(Segment { bridge })
    }

    /// Gives a machine an interface that is plugged into a segment for good,
    /// by a wire without any conditions (a veth pair): for routers and servers.
    ///
    /// # Errors
    /// The machine has an interface of that name, or the system refuses.
    pub fn attach(&self, machine: &Netns, interface: &str, segment: &Segment) -> Result<()> {
        let port = self.port_name();
        let fabric = self.netns().netlink();
        fabric.add_veth(&port, interface, machine)?;
        fabric.set_bridge(&port, Some(segment.bridge()))?;
        fabric.set_up(&port)?;
        machine.netlink().set_up(interface)
    }

    /// The namespace itself.
    pub fn netns(&self) -> &Netns {
        &self.0.netns
    }

    pub(crate) fn port_name(&self) -> String {
        format!("p{}", self.number())
    }

    fn number(&self) -> u32 {
        self.0.names.fetch_add(1, Ordering::Relaxed)
    }
}

/// A network segment: what is plugged into it hears each other. It lives as
/// long as its fabric.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    bridge: String,
}

impl Segment {
    /// The name of its bridge in the fabric.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({})", self.bridge())
    }
}
