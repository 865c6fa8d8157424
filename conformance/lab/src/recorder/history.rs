use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use ntm_core::Time;
use rtnetlink::packet_route::RouteNetlinkMessage;

use crate::error::Result;
use crate::family::Family;
use crate::netlink::{Address, Interface, Netlink, Route};

/// A change, and when it was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// On `CLOCK_BOOTTIME`.
    pub at: Time,
    /// What changed.
    pub change: Change,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface got a carrier while up, or lost it or was set down.
    Carrier {
        /// The interface's name.
        interface: String,
        /// Its index.
        index: u32,
        /// Got it.
        running: bool,
    },
    /// An interface is gone.
    Removed {
        /// Its index.
        index: u32,
    },
    /// An address came, or became usable.
    Address {
        /// The interface's index.
        index: u32,
        /// The address.
        address: Address,
    },
    /// An address went.
    NoAddress {
        /// The interface's index.
        index: u32,
        /// The address.
        net: IpNet,
    },
    /// A route of the main table came.
    Route(Route),
    /// A route of the main table went. IPv4 routes that go with an interface's
    /// last address or with the interface itself are not told of.
    NoRoute(Route),
    /// Changes were lost: the kernel was faster than we.
    Lost,
}

/// What there was at the beginning, and every change since.
#[derive(Default)]
pub(super) struct History {
    start: Table,
    now: Table,
    events: Vec<Event>,
}

/// What there is at one moment.
#[derive(Clone, Default)]
struct Table {
    /// Name and carrier.
    interfaces: BTreeMap<u32, (String, bool)>,
    addresses: Vec<(u32, Address)>,
    routes: Vec<Route>,
}

impl History {
    /// Takes down what there is.
    pub(super) fn begin(&mut self, netlink: &Netlink) -> Result<()> {
        for interface in netlink.interfaces()? {
            for address in netlink.addresses(&interface.name)? {
                self.start.addresses.push((interface.index, address));
            }
            let state = (interface.name, interface.running);
            self.start.interfaces.insert(interface.index, state);
        }
        self.start.routes = netlink.routes()?;
        self.now = self.start.clone();
        Ok(())
    }

    /// Takes down a message; `None` stands for those that were lost.
    pub(super) fn hear(&mut self, at: Time, message: Option<RouteNetlinkMessage>) {
        let change = match message {
            Some(message) => change(message),
            None => Some(Change::Lost),
        };
        let Some(change) = change else { return };
        // Most link messages are about something else.
        if let Change::Carrier { index, running, .. } = change
            && self.now.interfaces.get(&index).map_or(!running, |(_, was)| *was == running)
        {
            self.now.apply(&change);
            return;
        }
        self.now.apply(&change);
        self.events.push(Event { at, change });
    }

    pub(super) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn carrier_at(&self, name: &str, wanted: bool, after: Time) -> Option<Time> {
        let is = |event: &&Event| {
            matches!(&event.change, Change::Carrier { interface, running, .. }
                if interface == name && *running == wanted)
        };
        self.events.iter().filter(|event| event.at >= after).find(is).map(|event| event.at)
    }

    /// On any interface, or only on the one named; for `toward`, or with the
    /// unspecified address for anywhere.
    pub(super) fn usable_source_at(
        &self,
        on: Option<&str>,
        toward: IpAddr,
        after: Time,
    ) -> Option<Time> {
        let mut table = self.start.clone();
        let mut events = self.events.iter().peekable();
        while let Some(event) = events.next_if(|event| event.at <= after) {
            table.apply(&event.change);
        }
        if table.has_usable_source(on, toward) {
            return Some(after);
        }
        events.find_map(|event| {
            table.apply(&event.change);
            table.has_usable_source(on, toward).then_some(event.at)
        })
    }
}

impl Table {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Carrier { interface, index, running } => {
                self.interfaces.insert(*index, (interface.clone(), *running));
            }
            Change::Removed { index } => {
                self.interfaces.remove(index);
                self.addresses.retain(|(on, _)| on != index);
                self.routes.retain(|route| route.index != *index);
            }
            Change::Address { index, address } => {
                self.addresses.retain(|(on, old)| on != index || old.net != address.net);
                self.addresses.push((*index, *address));
            }
            Change::NoAddress { index, net } => {
                self.addresses.retain(|(on, old)| on != index || old.net != *net);
                let family = Family::from(net.addr());
                if family == Family::V4 && !self.has_address(*index, family) {
                    // The kernel removes these without a word.
                    let gone = |route: &Route| route.index == *index && route.family() == family;
                    self.routes.retain(|route| !gone(route));
                }
            }
            Change::Route(route) => {
                self.routes.retain(|old| !old.is_replaced_by(route));
                self.routes.push(*route);
            }
            Change::NoRoute(route) => self.routes.retain(|old| old != route),
            Change::Lost => {}
        }
    }

    fn has_address(&self, index: u32, family: Family) -> bool {
        self.addresses.iter().any(|(on, a)| *on == index && Family::from(a.net.addr()) == family)
    }

    fn has_usable_source(&self, on: Option<&str>, toward: IpAddr) -> bool {
        let family = Family::from(toward);
        self.addresses.iter().any(|(index, address)| {
            Family::from(address.net.addr()) == family
                && address.usable
                && !address.link_local
                && self
                    .interfaces
                    .get(index)
                    .is_some_and(|(name, running)| *running && on.is_none_or(|on| on == name))
                && self
                    .routes
                    .iter()
                    .any(|route| route.index == *index && route.to.contains(&toward))
        })
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kernel tells more than is asked")]
fn change(message: RouteNetlinkMessage) -> Option<Change> {
    match message {
        RouteNetlinkMessage::NewLink(link) => {
            let Interface { index, name, running, .. } = Interface::from(link);
            Some(Change::Carrier { interface: name, index, running })
        }
        RouteNetlinkMessage::DelLink(link) => Some(Change::Removed { index: link.header.index }),
        RouteNetlinkMessage::NewAddress(message) => {
            let address = Address::from_message(&message)?;
            Some(Change::Address { index: message.header.index, address })
        }
        RouteNetlinkMessage::DelAddress(message) => {
            let address = Address::from_message(&message)?;
            Some(Change::NoAddress { index: message.header.index, net: address.net })
        }
        RouteNetlinkMessage::NewRoute(message) => {
            Some(Change::Route(Route::from_message(&message)?))
        }
        RouteNetlinkMessage::DelRoute(message) => {
            Some(Change::NoRoute(Route::from_message(&message)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: u32 = 2;

    /// A history of these changes, one a nanosecond from 1 on.
    fn history(changes: &[Change]) -> History {
        let mut history = History::default();
        for (number, change) in changes.iter().enumerate() {
            let at = Time::from_nanos(number as u64 + 1);
            history.events.push(Event { at, change: change.clone() });
        }
        history
    }

    fn carrier(running: bool) -> Change {
        Change::Carrier { interface: "eth0".to_owned(), index: ETH0, running }
    }

    fn address(net: &str, usable: bool) -> Change {
        let net: IpNet = net.parse().unwrap();
        let link_local = net.to_string().starts_with("fe80");
        Change::Address { index: ETH0, address: Address { net, usable, link_local } }
    }

    fn no_address(net: &str) -> Change {
        Change::NoAddress { index: ETH0, net: net.parse().unwrap() }
    }

    fn default_route(via: &str, index: u32) -> Route {
        let via = via.parse().unwrap();
        let to = match Family::from(via) {
            Family::V4 => "0.0.0.0/0",
            Family::V6 => "::/0",
        };
        Route { to: to.parse().unwrap(), via: Some(via), index, metric: 0 }
    }

    fn usable_at(changes: &[Change], family: Family, after: u64) -> Option<u64> {
        history(changes)
            .usable_source_at(Some("eth0"), family.anywhere(), Time::from_nanos(after))
            .map(Time::nanos)
    }

    #[test]
    fn a_source_is_usable_once_carrier_address_and_route_are_there() {
        let route = Change::Route(default_route("10.0.0.1", ETH0));
        let parts = [carrier(true), address("10.0.0.2/24", true), route];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let changes = order.map(|part: usize| parts[part].clone());
            assert_eq!(usable_at(&changes, Family::V4, 0), Some(3), "{order:?}");
            assert_eq!(usable_at(&changes[..2], Family::V4, 0), None, "{order:?}");
            assert_eq!(usable_at(&changes, Family::V6, 0), None, "{order:?}");
        }
    }

    #[test]
    fn what_is_on_the_link_needs_no_router() {
        let link = Route { to: "10.0.0.0/24".parse().unwrap(), via: None, index: ETH0, metric: 0 };
        let changes = [
            carrier(true),
            address("10.0.0.2/24", true),
            Change::Route(link),
            Change::Route(default_route("10.0.0.1", ETH0)),
        ];
        let history = history(&changes);
        let toward = |ip: &str| {
            let at = history.usable_source_at(Some("eth0"), ip.parse().unwrap(), Time::ZERO);
            at.map(Time::nanos)
        };
        assert_eq!(
            (toward("10.0.0.9"), toward("10.0.1.9"), toward("0.0.0.0")),
            (Some(3), Some(4), Some(4))
        );
    }

    #[test]
    fn a_tentative_or_link_local_address_is_no_source() {
        let route = Change::Route(default_route("fd00::1", ETH0));
        let changes = [
            carrier(true),
            route,
            address("fe80::2/64", true),
            address("fd00::2/64", false),
            address("fd00::2/64", true),
        ];
        assert_eq!(usable_at(&changes, Family::V6, 0), Some(5));
    }

    #[test]
    fn a_route_by_another_interface_does_not_help() {
        let elsewhere = Change::Route(default_route("10.0.0.1", ETH0 + 1));
        let changes = [carrier(true), address("10.0.0.2/24", true), elsewhere];
        assert_eq!(usable_at(&changes, Family::V4, 0), None);
    }

    #[test]
    fn a_source_that_was_usable_before_is_so_at_once_unless_it_went() {
        let route = default_route("10.0.0.1", ETH0);
        let mut changes = vec![carrier(true), address("10.0.0.2/24", true), Change::Route(route)];
        assert_eq!(usable_at(&changes, Family::V4, 10), Some(10));
        changes.push(carrier(false));
        assert_eq!(usable_at(&changes, Family::V4, 10), None);
        changes.push(carrier(true));
        assert_eq!(usable_at(&changes, Family::V4, 4), Some(5));
    }

    #[test]
    fn an_ipv4_route_goes_silently_with_the_last_address() {
        let route = default_route("10.0.0.1", ETH0);
        let changes = [
            carrier(true),
            address("10.0.0.2/24", true),
            Change::Route(route),
            no_address("10.0.0.2/24"),
            address("10.0.0.3/24", true),
        ];
        assert_eq!(usable_at(&changes, Family::V4, 4), None);
    }

    #[test]
    fn the_other_interface_is_asked_for_or_not() {
        let changes = [
            carrier(true),
            address("10.0.0.2/24", true),
            Change::Route(default_route("10.0.0.1", ETH0)),
        ];
        let history = history(&changes);
        let usable = |on| history.usable_source_at(on, Family::V4.anywhere(), Time::ZERO);
        assert_eq!((usable(Some("wlan0")), usable(None)), (None, usable(Some("eth0"))));
    }

    #[test]
    fn a_replaced_route_does_not_stay() {
        let (old, new) = (default_route("10.0.0.1", ETH0), default_route("10.0.0.9", ETH0));
        let mut table = Table::default();
        for route in [old, new] {
            table.apply(&Change::Route(route));
        }
        assert_eq!(table.routes, [new]);
    }
}
