use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use rtnetlink::{RouteMessageBuilder, packet_route::AddressFamily};

use super::Netlink;
use crate::error::{Error, Result};
use crate::family::Family;

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: IpNet,
    /// The router it goes through; none if the destination is on the link.
    pub via: Option<IpAddr>,
    /// The interface it leaves by.
    pub index: u32,
    /// Of two routes to the same place, the one with the lower metric is used.
    pub metric: u32,
}

impl Netlink {
    /// The unicast routes of the main table, IPv4 first.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let messages = self.route_messages()?;
        Ok(messages.iter().filter_map(Route::from_message).collect())
    }

    /// Adds a route, or puts it in the place of the one to the same
    /// destination with the same metric.
    ///
    /// # Errors
    /// The router is not reachable through that interface, or the kernel
    /// refuses.
    pub fn add_route(&self, to: IpNet, via: IpAddr, name: &str, metric: u32) -> Result<()> {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to.network(), to.prefix_len())
            .and_then(|route| route.gateway(via))
            .map_err(|error| Error::wrong(format!("no route to {to} via {via}: {error}")))?
            .output_interface(self.index(name)?)
            .priority(metric)
            .build();
        let what = || format!("add a route to {to} via {via}");
        self.ask(what, |handle| handle.route().add(route).replace().execute())
    }

    /// Adds or replaces the default route of the router's family.
    ///
    /// # Errors
    /// As for [`add_route`](Self::add_route).
    pub fn add_default_route(&self, via: IpAddr, name: &str, metric: u32) -> Result<()> {
        self.add_route(everywhere(via.is_ipv6()), via, name, metric)
    }

    /// Whether packets to this address are for this machine itself.
    pub(super) fn is_local(&self, ip: IpAddr) -> Result<bool> {
        let question = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(ip, if ip.is_ipv4() { 32 } else { 128 })
            .map_err(|error| Error::wrong(format!("no route to {ip}: {error}")))?
            .build();
        let found = self.ask(
            || format!("ask for the route to {ip}"),
            |handle| handle.route().get(question).execute().try_collect::<Vec<_>>(),
        );
        // Before it is, there may be no route to it at all.
        Ok(found.is_ok_and(|found| found.iter().any(|m| m.header.kind == RouteType::Local)))
    }

    /// Removes the routes through routers that leave by an interface.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn flush_routes(&self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        for message in self.route_messages()? {
            let route = Route::from_message(&message);
            if route.is_some_and(|route| route.index == index && route.via.is_some()) {
                let what = || format!("remove a route by {name}");
                self.ask(what, |handle| handle.route().del(message).execute())?;
            }
        }
        Ok(())
    }

    fn route_messages(&self) -> Result<Vec<RouteMessage>> {
        let mut routes = Vec::new();
        let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
        for family in [v4, v6] {
            let list = self.ask(
                || "list the routes".to_owned(),
                |handle| handle.route().get(family).execute().try_collect::<Vec<_>>(),
            )?;
            routes.extend(list);
        }
        Ok(routes)
    }
}

impl Route {
    /// `None` for what is not a unicast route of the main table.
    pub(crate) fn from_message(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        if header.kind != RouteType::Unicast || header.table != RouteHeader::RT_TABLE_MAIN {
            return None;
        }
        let mut to = everywhere(header.address_family == AddressFamily::Inet6);
        let (mut via, mut index, mut metric) = (None, None, 0);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => {
                    to = IpNet::new(ip(address)?, header.destination_prefix_length).ok()?;
                }
                RouteAttribute::Gateway(address) => via = ip(address),
                RouteAttribute::Oif(oif) => index = Some(*oif),
                RouteAttribute::Priority(priority) => metric = *priority,
                _ => {}
            }
        }
        Some(Self { to, via, index: index?, metric })
    }

    /// The family of its destination.
    pub fn family(&self) -> Family {
        Family::from(self.to.addr())
    }

    /// Whether the kernel, told to replace, puts `newer` in its place.
    pub(crate) fn is_replaced_by(&self, newer: &Self) -> bool {
        (self.to, self.metric) == (newer.to, newer.metric)
            && (self.family() == Family::V4 || self.index == newer.index)
    }

    /// Whether it leads everywhere.
    pub fn is_default(&self) -> bool {
        self.to.prefix_len() == 0
    }
}

fn everywhere(v6: bool) -> IpNet {
    if v6 { IpNet::V6(Ipv6Net::default()) } else { IpNet::V4(Ipv4Net::default()) }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
