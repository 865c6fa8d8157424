use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_core::DecodeError;
use netlink_packet_route::address::AddressFlags;
use netlink_packet_route::link::LinkFlags;
use ntm_core::plugin::{Change, LocalAddress, LocalInterface, Route, Snapshot};

use crate::event::{self, Address, AddressKey, Event, Way};

/// This machine's interfaces and addresses, as the kernel told them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    links: BTreeMap<u32, Link>,
    addresses: BTreeMap<AddressKey, Address>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Link {
    name: String,
    flags: LinkFlags,
    mtu: u32,
    carrier: u32,
}

impl Table {
    /// Takes in a datagram of events; fails where one cannot be read.
    pub(crate) fn take_in(&mut self, datagram: &[u8]) -> Result<Vec<Change>, DecodeError> {
        let mut changes = Vec::new();
        for message in event::messages(datagram) {
            changes.extend(event::decode(&message?)?.and_then(|event| self.apply(event)));
        }
        Ok(changes)
    }

    /// Takes in what happened; `None` if it tells nothing new, such as an
    /// address whose lifetime was prolonged.
    pub(crate) fn apply(&mut self, event: Event) -> Option<Change> {
        match event {
            Event::Link { index, flags, name, mtu, carrier } => {
                let old = self.links.get(&index);
                let mut link = old.cloned().unwrap_or_default();
                link.flags = flags;
                link.name = name.unwrap_or(link.name);
                link.mtu = mtu.unwrap_or(link.mtu);
                link.carrier = carrier.unwrap_or(link.carrier);
                let news = old != Some(&link);
                self.links.insert(index, link);
                news.then_some(Change::Link)
            }
            Event::LinkGone(index) => {
                self.addresses.retain(|key, _| key.index != index);
                self.links.remove(&index).map(|_| Change::Link)
            }
            Event::Address(key, address) => {
                let old = self.addresses.insert(key, address);
                (old != Some(address)).then_some(Change::Address)
            }
            Event::AddressGone(key) => self.addresses.remove(&key).map(|_| Change::Address),
            Event::Route => Some(Change::Route),
        }
    }

    /// Everything, ordered by interface index and address.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let interfaces = self.links.iter().map(|(&index, link)| LocalInterface {
            index,
            name: link.name.clone(),
            running: link.running(),
            generation: link.carrier.into(),
            loopback: link.flags.contains(LinkFlags::Loopback),
            addresses: self.addresses_of(index),
        });
        Snapshot { interfaces: interfaces.collect() }
    }

    /// The route as the core wants it; `None` while its interface is not
    /// running: over a dead carrier the kernel goes on to name an IPv4 route.
    pub(crate) fn route(&self, way: Way) -> Option<Route> {
        let link = self.links.get(&way.index).filter(|link| link.running())?;
        let limit = if way.mtu == 0 { link.mtu } else { way.mtu.min(link.mtu) };
        Some(Route { source: way.source, ifindex: way.index, mtu: limit.min(LARGEST_PACKET) })
    }

    /// Whether some interface has this address.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        self.addresses.keys().any(|key| key.ip == ip)
    }

    fn addresses_of(&self, index: u32) -> Vec<LocalAddress> {
        let ours = self.addresses.iter().filter(|(key, _)| key.index == index);
        let mut all: Vec<_> = ours
            .map(|(key, address)| LocalAddress {
                ip: key.ip,
                prefix: address.prefix,
                usable: !address
                    .flags
                    .intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
                preferred: !address.flags.contains(AddressFlags::Deprecated),
            })
            .collect();
        // The same address and prefix toward two peers.
        all.dedup();
        all
    }
}

impl Link {
    fn running(&self) -> bool {
        self.flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp)
    }
}

/// Both IP versions count a packet's length in 16 bits; loopback claims more.
const LARGEST_PACKET: u32 = 65_535;

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
    use netlink_packet_route::link::{LinkAttribute, LinkMessage};
    use netlink_packet_route::route::RouteMessage;
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

    use super::*;

    const RUNNING: LinkFlags = LinkFlags::Up.union(LinkFlags::Running).union(LinkFlags::LowerUp);

    fn bytes(payload: RouteNetlinkMessage) -> Vec<u8> {
        let mut message =
            NetlinkMessage::new(Default::default(), NetlinkPayload::InnerMessage(payload));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn link(index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.attributes = attributes;
        message
    }

    fn eth(index: u32, carrier_changes: u32) -> RouteNetlinkMessage {
        let name = LinkAttribute::IfName(format!("eth{index}"));
        let carrier = LinkAttribute::CarrierChanges(carrier_changes);
        RouteNetlinkMessage::NewLink(link(
            index,
            RUNNING,
            vec![name, LinkAttribute::Mtu(1500), carrier],
        ))
    }

    fn address(index: u32, ip: &str, prefix: u8, peer: Option<&str>) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.index = index;
        message.header.prefix_len = prefix;
        let ip: IpAddr = ip.parse().unwrap();
        let peer = peer.map_or(ip, |peer| peer.parse().unwrap());
        message.header.family =
            if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        // As the kernel: the peer first, and an IPv6 address alone is no `Local`.
        message.attributes.push(AddressAttribute::Address(peer));
        if ip.is_ipv4() || ip != peer {
            message.attributes.push(AddressAttribute::Local(ip));
        }
        message
    }

    fn told(
        table: &mut Table,
        messages: impl IntoIterator<Item = RouteNetlinkMessage>,
    ) -> Vec<Change> {
        let datagram: Vec<u8> = messages.into_iter().flat_map(bytes).collect();
        table.take_in(&datagram).unwrap()
    }

    fn ips(table: &Table) -> Vec<(u32, String)> {
        let interfaces = table.snapshot().interfaces.into_iter();
        interfaces
            .flat_map(|one| {
                one.addresses
                    .into_iter()
                    .map(move |a| (one.index, format!("{}/{}", a.ip, a.prefix)))
            })
            .collect()
    }

    #[test]
    fn what_tells_nothing_new_is_no_change() {
        use RouteNetlinkMessage::NewAddress;
        let mut table = Table::default();
        let ip = || NewAddress(address(2, "192.0.2.1", 24, None));
        assert_eq!(told(&mut table, [eth(2, 1), ip()]), [Change::Link, Change::Address]);
        assert_eq!(told(&mut table, [eth(2, 1), ip()]), []);
        let mut deprecated = address(2, "192.0.2.1", 24, None);
        deprecated.header.flags = AddressHeaderFlags::Deprecated;
        assert_eq!(told(&mut table, [NewAddress(deprecated)]), [Change::Address]);
    }

    #[test]
    fn a_flap_that_ends_as_it_began_is_two_changes_and_a_new_generation() {
        let mut table = Table::default();
        told(&mut table, [eth(2, 1)]);
        let before = table.snapshot();
        let mut down = link(2, LinkFlags::Up, vec![LinkAttribute::CarrierChanges(2)]);
        down.attributes.push(LinkAttribute::IfName("eth2".into()));
        let flap = [RouteNetlinkMessage::NewLink(down), eth(2, 3)];
        assert_eq!(told(&mut table, flap), [Change::Link, Change::Link]);
        let mut after = table.snapshot();
        assert_eq!((before.interfaces[0].generation, after.interfaces[0].generation), (1, 3));
        after.interfaces[0].generation = 1;
        assert_eq!(after, before);
    }

    #[test]
    fn news_of_the_radio_carry_no_mtu_and_take_none_away() {
        let mut table = Table::default();
        told(&mut table, [eth(2, 1)]);
        let radio = link(2, RUNNING, vec![LinkAttribute::IfName("eth2".into())]);
        assert_eq!(told(&mut table, [RouteNetlinkMessage::NewLink(radio)]), []);
        let way = Way { source: "192.0.2.1".parse().unwrap(), index: 2, mtu: 0 };
        assert_eq!(table.route(way).unwrap().mtu, 1500);
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_still_an_interface() {
        let mut table = Table::default();
        told(&mut table, [eth(2, 1)]);
        let mut port = link(2, RUNNING, vec![]);
        port.header.interface_family = AddressFamily::Bridge;
        assert_eq!(told(&mut table, [RouteNetlinkMessage::DelLink(port)]), []);
        assert_eq!(table.snapshot().interfaces.len(), 1);
    }

    #[test]
    fn an_interface_takes_its_addresses_with_it() {
        let mut table = Table::default();
        let ip = RouteNetlinkMessage::NewAddress(address(2, "192.0.2.1", 24, None));
        told(&mut table, [eth(2, 1), eth(3, 1), ip]);
        let gone = RouteNetlinkMessage::DelLink(link(2, LinkFlags::empty(), vec![]));
        assert_eq!(told(&mut table, [gone, eth(2, 1)]), [Change::Link, Change::Link]);
        assert_eq!(ips(&table), []);
    }

    #[test]
    fn an_ipv4_address_with_two_prefixes_or_peers_goes_one_at_a_time() {
        use RouteNetlinkMessage::{DelAddress, NewAddress};
        let mut table = Table::default();
        let ours = "192.0.2.1";
        let twins = || {
            let peers =
                [Some("192.0.2.8"), Some("192.0.2.9")].map(|peer| address(2, ours, 32, peer));
            std::iter::once(address(2, ours, 24, None)).chain(peers)
        };
        told(&mut table, std::iter::once(eth(2, 1)).chain(twins().map(NewAddress)));
        let (wide, narrow) = ((2, "192.0.2.1/24".to_owned()), (2, "192.0.2.1/32".to_owned()));
        assert_eq!(ips(&table), [wide, narrow.clone()]);
        told(&mut table, twins().take(2).map(DelAddress));
        assert_eq!(ips(&table), [narrow]);
        told(&mut table, twins().skip(2).map(DelAddress));
        assert_eq!(ips(&table), []);
    }

    #[test]
    fn an_ipv6_address_whose_peer_changed_is_still_one_address() {
        use RouteNetlinkMessage::{DelAddress, NewAddress};
        let mut table = Table::default();
        let ours = "2001:db8::1";
        told(&mut table, [eth(2, 1), NewAddress(address(2, ours, 128, Some("2001:db8::8")))]);
        told(&mut table, [NewAddress(address(2, ours, 128, Some("2001:db8::9")))]);
        assert_eq!(ips(&table), [(2, "2001:db8::1/128".to_owned())]);
        told(&mut table, [DelAddress(address(2, ours, 128, Some("2001:db8::9")))]);
        assert_eq!(ips(&table), []);
    }

    #[test]
    fn the_wide_flags_win_over_the_narrow_ones() {
        let mut table = Table::default();
        let mut message = address(2, "2001:db8::1", 64, None);
        message.header.flags = AddressHeaderFlags::Tentative;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Deprecated));
        told(&mut table, [eth(2, 1), RouteNetlinkMessage::NewAddress(message)]);
        let one = table.snapshot().interfaces[0].addresses[0];
        assert!(one.usable && !one.preferred, "{one:?}");
    }

    #[test]
    fn every_route_is_news_and_its_limit_the_smaller_one() {
        let mut table = Table::default();
        let route = || RouteNetlinkMessage::NewRoute(RouteMessage::default());
        assert_eq!(told(&mut table, [eth(2, 1), route(), route()])[1..], [Change::Route; 2]);
        let way = |mtu| Way { source: "192.0.2.1".parse().unwrap(), index: 2, mtu };
        assert_eq!(
            [0, 1400, 9000].map(|mtu| table.route(way(mtu)).unwrap().mtu),
            [1500, 1400, 1500]
        );
    }

    #[test]
    fn a_message_cut_short_is_refused_at_any_byte_and_never_a_panic() {
        let ip = RouteNetlinkMessage::NewAddress(address(2, "192.0.2.1", 24, Some("192.0.2.2")));
        let datagram: Vec<u8> = [bytes(eth(2, 1)), bytes(ip)].concat();
        let first = bytes(eth(2, 1)).len();
        for length in 0..datagram.len() {
            let whole = Table::default().take_in(&datagram[..length]);
            assert_eq!(whole.is_ok(), length == 0 || length == first, "{length} bytes");
        }
        for at in 0..datagram.len() {
            for value in [0, 1, 3, 255] {
                let mut bent = datagram.clone();
                bent[at] = value;
                let _ = Table::default().take_in(&bent);
            }
        }
    }
}
