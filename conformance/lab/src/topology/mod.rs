//! An Internet in small: sites to plug hosts into, joined by a core router.

mod plan;
mod site;
mod wired;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use site::Gate;
pub use site::Site;
pub use wired::Wired;

use crate::dhcp::Server;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::host::{Asks, Host};
use crate::link::Conditions;
use crate::nat::{Nat, Router, Side, forward};
use crate::netns::Netns;
use crate::segment::Fabric;
use crate::tools::Tools;
use crate::traffic::check_round_trip;
use plan::Subnet;

/// Sites, routers and hosts, all in namespaces of their own.
///
/// A core router joins the *global* sites: public subnets of 203.0.113.0/24,
/// 198.51.100.0/24 and 2001:db8::/32. Behind them, or behind each other, lie
/// *private* sites with a translating router: 192.168.x.0/24 and fd00:x::/64 (or,
/// where IPv6 is not translated, 2001:db8:x::/64).
/// Nothing but the cables of hosts delays or loses packets.
///
/// ```no_run
/// use std::time::Duration;
/// use ntm_lab::{Conditions, Family, Lab, Nat, Tools, sandbox};
///
/// # fn main() -> ntm_lab::Result<()> {
/// sandbox::enter();
/// let mut lab = Lab::new(Tools::detect())?;
/// let office = lab.global("office")?;
/// let home = lab.private("home", Nat::Cone, &office)?;
/// let access = Conditions::round_trip(Duration::from_millis(20));
/// let cn = lab.host("cn", access)?;
/// let mn = lab.mobile("mn", access)?;
/// cn.join(&office)?;
/// mn.join(&office)?;
/// lab.check_round_trip(&mn, &cn, Duration::from_millis(20))?;
/// let moved = mn.move_to(&home)?;
/// let patience = Duration::from_secs(5);
/// let seen = mn.recorder().wait_for_move("eth0", Family::V4.anywhere(), moved.left, patience)?;
/// println!("usable again after {:?}", seen.usable_source.since(seen.carrier_up));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Lab {
    fabric: Fabric,
    core: Netns,
    tools: Tools,
    /// Global sites, private sites, cables made so far.
    made: [u32; 3],
}

impl Lab {
    /// An Internet without any site. Needs a [sandbox](crate::sandbox).
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(tools: Tools) -> Result<Self> {
        let fabric = Fabric::new("fabric")?;
        let core = Netns::new("core")?;
        forward(&core)?;
        Ok(Self { fabric, core, tools, made: [0; 3] })
    }

    /// A site with public addresses of both families.
    ///
    /// # Errors
    /// There are 16 already, or the system refuses.
    pub fn global(&mut self, name: &str) -> Result<Site> {
        self.global_of(name, &Family::BOTH)
    }

    /// A site with public addresses of these families only.
    ///
    /// # Errors
    /// As for [`global`](Self::global).
    pub fn global_of(&mut self, name: &str, families: &[Family]) -> Result<Site> {
        let number = self.count(0);
        let subnets = plan::global(number, families)?;
        let segment = self.fabric.segment()?;
        let interface = format!("site{number}");
        self.fabric.attach(&self.core, &interface, &segment)?;
        for subnet in &subnets {
            self.core.netlink().add_address(&interface, subnet.router())?;
        }
        let dhcp = self.serve(&self.core, &interface, &subnets)?;
        let gate = Gate { netns: self.core.clone(), interface, outside: None };
        Ok(Site::new(name, segment, subnets, None, gate, dhcp))
    }

    /// A site behind a router of its own, whose outer side is plugged into
    /// another site. It has the families of that.
    ///
    /// # Errors
    /// The name is taken, there are 200 already, or the system refuses.
    pub fn private(&mut self, name: &str, nat: Nat, outside: &Site) -> Result<Site> {
        let plan = if nat.translates(Family::V6) { plan::private } else { plan::routed };
        self.behind(name, nat, outside, plan)
    }

    /// A carrier's site: behind a router that translates IPv4 alone ([`Nat::ConeV4`]),
    /// and with 100.64.x.0/24 (RFC 6598) inside, for the routers of homes.
    ///
    /// # Errors
    /// As for [`private`](Self::private).
    pub fn carrier(&mut self, name: &str, outside: &Site) -> Result<Site> {
        self.behind(name, Nat::ConeV4, outside, plan::shared)
    }

    fn behind(
        &mut self,
        name: &str,
        nat: Nat,
        outside: &Site,
        plan: fn(u32, &[Family]) -> Result<Vec<Subnet>>,
    ) -> Result<Site> {
        let families: Vec<_> = outside.families().collect();
        let subnets = plan(self.count(1), &families)?;
        let lan = Side {
            segment: self.fabric.segment()?,
            addresses: subnets.iter().map(Subnet::router).collect(),
            gateways: Vec::new(),
        };
        let (addresses, gateways) = outside.plan(name, "wan")?;
        let wan = Side { segment: outside.segment().clone(), addresses, gateways };
        let router = Router::new(&self.fabric, name, &lan, &wan, Some(nat), &self.tools)?;
        let own: Vec<_> = wan.addresses.iter().map(IpNet::addr).collect();
        for subnet in subnets.iter().filter(|subnet| !nat.translates(subnet.family())) {
            let of_family = |ip: &&IpAddr| Family::from(**ip) == subnet.family();
            if let Some(via) = own.iter().find(of_family) {
                outside.lead(subnet.net(), *via)?;
            }
        }
        let dhcp = self.serve(router.netns(), "lan", &subnets)?;
        let gate = Gate {
            netns: router.netns().clone(),
            interface: "lan".to_owned(),
            outside: Some((outside.clone(), own)),
        };
        Ok(Site::new(name, lan.segment, subnets, Some(Arc::new(router)), gate, dhcp))
    }

    /// One more private site behind the router of another, which passes on
    /// between them without translation.
    ///
    /// # Errors
    /// The other site is not private, or the system refuses.
    pub fn beside(&mut self, name: &str, site: &Site) -> Result<Site> {
        let router = site.shared_router();
        let router =
            router.ok_or_else(|| Error::wrong(format!("{} has no router", site.name())))?;
        let families: Vec<_> = site.families().collect();
        let number = self.count(1);
        let subnets = plan::private(number, &families)?;
        let segment = self.fabric.segment()?;
        let interface = format!("lan{number}");
        self.fabric.attach(router.netns(), &interface, &segment)?;
        for subnet in &subnets {
            router.netns().netlink().add_address(&interface, subnet.router())?;
        }
        let dhcp = self.serve(router.netns(), &interface, &subnets)?;
        let gate = Gate { interface, ..site.gate().clone() };
        Ok(Site::new(name, segment, subnets, Some(router), gate, dhcp))
    }

    /// A host with one interface, `eth0`, under these conditions, whose
    /// addresses are given by plan: a server, as it were.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    pub fn host(&mut self, name: &str, conditions: Conditions) -> Result<Host> {
        let seed = self.count(2).into();
        Host::new(&self.fabric, &self.tools, name, Asks::Nobody, conditions, seed)
    }

    /// As [`host`](Self::host), with DHCP where it is installed.
    ///
    /// # Errors
    /// As for `host`.
    pub fn mobile(&mut self, name: &str, conditions: Conditions) -> Result<Host> {
        let seed = self.count(2).into();
        Host::new(&self.fabric, &self.tools, name, Asks::Dhcp, conditions, seed)
    }

    /// A machine at a site for good, on a wire without any conditions, over which
    /// the kernel's offloads work: for what has to be fast.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    pub fn wired(&self, name: &str, site: &Site) -> Result<Wired> {
        Wired::new(&self.fabric, name, site)
    }

    /// Gives a host one more interface, which is used when the earlier ones are
    /// not plugged in, unless a program chooses it.
    ///
    /// # Errors
    /// The host has it already, or the system refuses.
    pub fn add_interface(
        &mut self,
        host: &mut Host,
        interface: &str,
        asks: Asks,
        conditions: Conditions,
    ) -> Result<()> {
        let seed = self.count(2).into();
        host.add_port(&self.fabric, &self.tools, interface, asks, conditions, seed)
    }

    /// Asserts for each family that both hosts have that the round trip between
    /// them is the one asked for, to 2 ms and a tenth. `to` must be reachable
    /// from `from`.
    ///
    /// # Errors
    /// It is not, or there is no way.
    pub fn check_round_trip(&self, from: &Host, to: &Host, expected: Duration) -> Result<()> {
        for family in Family::BOTH {
            let (Ok(_), Ok(address)) = (from.address(family), to.address(family)) else { continue };
            let tolerance = Duration::from_millis(2) + expected / 10;
            check_round_trip(from.netns(), to.netns(), address, expected, tolerance)?;
        }
        Ok(())
    }

    /// The router between the global sites; its interfaces are `site0`, `site1`
    /// and so on, in the order in which they were made.
    pub fn core(&self) -> &Netns {
        &self.core
    }

    /// The cables' far ends and the segments, to build on.
    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// The programs of other people that are used.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    fn serve(&self, router: &Netns, interface: &str, subnets: &[Subnet]) -> Result<Option<Server>> {
        let v4 = subnets.iter().find_map(|subnet| Some((subnet.router(), subnet.leases()?)));
        match v4 {
            Some((IpNet::V4(address), leases)) => {
                Server::start(&self.tools, router, interface, address, leases)
            }
            _ => Ok(None),
        }
    }

    fn count(&mut self, what: usize) -> u32 {
        self.made[what] += 1;
        self.made[what] - 1
    }
}

/// Addresses and routers of one visitor, one of each family.
type Plan = (Vec<IpNet>, Vec<IpAddr>);
