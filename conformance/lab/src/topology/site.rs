use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use super::Plan;
use super::plan::Subnet;
use crate::dhcp::Server;
use crate::error::Result;
use crate::family::Family;
use crate::nat::Router;
use crate::netns::Netns;
use crate::segment::Segment;

/// A place to plug hosts into: a segment with subnets and a router. Router and
/// DHCP server live as long as a clone of this handle.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    name: String,
    segment: Segment,
    /// One a family, at most.
    subnets: Vec<Subnet>,
    router: Option<Arc<Router>>,
    gate: Gate,
    dhcp: Option<Server>,
    /// Who has been here: a visitor's place is the number of its address.
    visitors: Mutex<Vec<(String, String)>>,
}

/// How packets come to a site.
#[derive(Clone)]
pub(super) struct Gate {
    /// The machine that routes for it: the core, or its own router.
    pub(super) netns: Netns,
    /// Its interface there.
    pub(super) interface: String,
    /// The site that its router is plugged into, and the router's addresses there.
    pub(super) outside: Option<(Site, Vec<IpAddr>)>,
}

impl Site {
    pub(super) fn new(
        name: &str,
        segment: Segment,
        subnets: Vec<Subnet>,
        router: Option<Arc<Router>>,
        gate: Gate,
        dhcp: Option<Server>,
    ) -> Self {
        let (name, visitors) = (name.to_owned(), Mutex::default());
        Self(Arc::new(Inner { name, segment, subnets, router, gate, dhcp, visitors }))
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Makes what is for a network inside find its way there from everywhere: here
    /// through one of the site's machines, and farther out through the routers on
    /// the way.
    pub(super) fn lead(&self, to: IpNet, via: IpAddr) -> Result<()> {
        let Gate { netns, interface, outside } = &self.0.gate;
        netns.netlink().add_route(to, via, interface, 100)?;
        let Some((site, own)) = outside else { return Ok(()) };
        let via = own.iter().find(|ip| Family::from(**ip) == Family::from(to.addr()));
        via.map_or(Ok(()), |via| site.lead(to, *via))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What cables are plugged into.
    pub fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// Its own router; none for a global site, which hangs on the core.
    pub fn router(&self) -> Option<&Router> {
        self.0.router.as_deref()
    }

    pub(super) fn shared_router(&self) -> Option<Arc<Router>> {
        self.0.router.clone()
    }

    /// Whether a DHCP server runs here.
    pub fn has_dhcp(&self) -> bool {
        self.0.dhcp.is_some()
    }

    /// Its DHCP server.
    pub fn dhcp(&self) -> Option<&Server> {
        self.0.dhcp.as_ref()
    }

    /// The families it has addresses of.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.0.subnets.iter().map(Subnet::family)
    }

    /// Whether an address is one of its own.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.subnets.iter().any(|subnet| subnet.contains(ip))
    }

    /// The addresses of an interface of a visitor, the same at each visit, and
    /// its routers.
    pub(crate) fn plan(&self, host: &str, interface: &str) -> Result<Plan> {
        let mut visitors = self.0.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |visitor: &(String, String)| (&*visitor.0, &*visitor.1) == (host, interface);
        let number = visitors.iter().position(is).unwrap_or_else(|| {
            visitors.push((host.to_owned(), interface.to_owned()));
            visitors.len() - 1
        });
        let subnets = &self.0.subnets;
        let addresses = subnets.iter().map(|subnet| subnet.visitor(number as u32));
        let routers = subnets.iter().map(|subnet| subnet.router().addr()).collect();
        Ok((addresses.collect::<Result<_>>()?, routers))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Site").field(&self.name()).finish()
    }
}
