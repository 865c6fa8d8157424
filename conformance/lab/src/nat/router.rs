use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::emulator::Emulator;
use super::{Backend, Nat, kernel};
use crate::error::{Error, Result};
use crate::family::Family;
use crate::link::{Conditions, Link};
use crate::netns::Netns;
use crate::segment::{Fabric, Segment};
use crate::tools::Tools;

/// A router between an inner segment (`lan`) and an outer one (`wan`).
pub struct Router {
    netns: Netns,
    wan: Vec<IpNet>,
    tools: Tools,
    translation: Option<Translation>,
    /// The emulator's cable to the outside.
    _cable: Option<Link>,
    _fabric: Fabric,
}

enum Translation {
    Kernel,
    Emulator(Emulator),
}

/// Where one side of a router is plugged in, and its addresses there.
#[derive(Clone, Debug)]
pub struct Side {
    /// The segment.
    pub segment: Segment,
    /// The router's addresses.
    pub addresses: Vec<IpNet>,
    /// Its own routers there, one a family: for the outer side.
    pub gateways: Vec<IpAddr>,
}

impl Router {
    /// Makes a router. With translation, the kernel does it where `nft` is among
    /// the tools, else the lab.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    pub fn new(
        fabric: &Fabric,
        name: &str,
        lan: &Side,
        wan: &Side,
        nat: Option<Nat>,
        tools: &Tools,
    ) -> Result<Self> {
        let netns = Netns::new(name)?;
        forward(&netns)?;
        let mut cable = None;
        let translation = match (nat, &tools.nft) {
            (Some(nat), Some(nft)) => {
                kernel::install(nft, &netns, WAN, nat)?;
                Some(Translation::Kernel)
            }
            (Some(nat), None) => {
                let emulator = Emulator::new(nat, &wan.addresses);
                let middlebox = Some(emulator.middlebox());
                let link = Link::with(fabric, &netns, WAN, Conditions::PERFECT, 0, middlebox)?;
                link.plug(&wan.segment)?;
                cable = Some(link);
                Some(Translation::Emulator(emulator))
            }
            (None, _) => None,
        };
        if cable.is_none() {
            fabric.attach(&netns, WAN, &wan.segment)?;
        }
        fabric.attach(&netns, LAN, &lan.segment)?;
        for (interface, side) in [(LAN, lan), (WAN, wan)] {
            for address in &side.addresses {
                netns.netlink().add_address(interface, *address)?;
            }
        }
        for gateway in &wan.gateways {
            netns.netlink().add_default_route(*gateway, WAN, 100)?;
        }
        let (wan, tools) = (wan.addresses.clone(), tools.clone());
        Ok(Self { netns, wan, tools, translation, _cable: cable, _fabric: fabric.clone() })
    }

    /// The router's namespace, with the interfaces `lan` and `wan`.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its outer address of a family: where those behind it seem to be.
    pub fn outer_address(&self, family: Family) -> Option<IpAddr> {
        self.wan.iter().map(IpNet::addr).find(|address| Family::from(*address) == family)
    }

    /// Who translates, if anybody does.
    pub fn backend(&self) -> Option<Backend> {
        self.translation.as_ref().map(|translation| match translation {
            Translation::Kernel => Backend::Kernel,
            Translation::Emulator(_) => Backend::Emulator,
        })
    }

    /// Forgets all mappings, as a router that was restarted.
    ///
    /// # Errors
    /// The kernel refuses. Without translation there is nothing to forget.
    pub fn forget(&self) -> Result<()> {
        match &self.translation {
            Some(Translation::Kernel) => kernel::forget(&self.netns),
            Some(Translation::Emulator(emulator)) => {
                emulator.forget();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How long a UDP mapping lives without traffic; 30 s until it has been
    /// answered and 120 s from then on if not set. New mappings obey it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set_udp_timeout(&self, timeout: Duration) -> Result<()> {
        match &self.translation {
            Some(Translation::Kernel) => {
                let seconds = timeout.as_secs().max(1);
                for switch in ["udp_timeout", "udp_timeout_stream"] {
                    let switch = format!("net.netfilter.nf_conntrack_{switch}");
                    self.netns.set_sysctl(&switch, seconds)?;
                }
                Ok(())
            }
            Some(Translation::Emulator(emulator)) => {
                emulator.set_udp_timeout(timeout);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// From now on drops forwarded packets that match an nft expression, such
    /// as `udp dport 4330`, besides what earlier calls forbade.
    ///
    /// # Errors
    /// `nft` is not installed, or does not understand.
    pub fn drop_matching(&self, expression: &str) -> Result<()> {
        let nft = self.tools.nft.as_deref().ok_or_else(|| Error::Missing {
            what: "nft, which drops packets by rules,".to_owned(),
            remedy: "install nftables, or leave the scenario out".to_owned(),
        })?;
        kernel::drop_matching(nft, &self.netns, expression)
    }

    /// Lets pass again what [`drop_matching`](Self::drop_matching) forbade.
    ///
    /// # Errors
    /// `nft` refuses.
    pub fn drop_nothing(&self) -> Result<()> {
        match self.tools.nft.as_deref() {
            Some(nft) => kernel::drop_nothing(nft, &self.netns),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Router({}, {:?})", self.netns.name(), self.backend())
    }
}

/// Makes a namespace pass on what is not for itself.
pub(crate) fn forward(netns: &Netns) -> Result<()> {
    netns.set_sysctl("net.ipv4.ip_forward", 1)?;
    // A kernel without IPv6 forwards none.
    let ipv6 = "net.ipv6.conf.all.forwarding";
    if netns.sysctl(ipv6).is_ok() { netns.set_sysctl(ipv6, 1) } else { Ok(()) }
}

const LAN: &str = "lan";
const WAN: &str = "wan";
