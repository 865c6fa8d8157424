//! The recorder against a real kernel.

use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use ntm_lab::recorder::Change;
use ntm_lab::{Conditions, Fabric, Family, Link, Netns, Recorder, Segment, now};

ntm_lab::trials![
    a_source_is_usable_from_the_later_of_address_and_route,
    stale_addresses_are_no_source_without_a_carrier,
    an_address_under_duplicate_detection_is_not_usable_yet,
    what_was_there_before_the_start_counts,
    every_change_is_written_down_once,
];

const LIMIT: Duration = Duration::from_secs(5);

fn a_source_is_usable_from_the_later_of_address_and_route() {
    for family in Family::BOTH {
        let net = Network::new();
        let recorder = Recorder::start(&net.host).unwrap();
        let start = now();
        net.add_address(family);
        let between = now();
        assert_eq!(recorder.usable_source_at(family, start), None);
        net.add_route(family);
        let usable = recorder.wait_for_usable_source(family, start, LIMIT).unwrap();
        assert!(usable > between, "{usable} {between}");
        assert_eq!(recorder.usable_source_at(family, usable), Some(usable));
    }
}

fn stale_addresses_are_no_source_without_a_carrier() {
    let net = Network::new();
    net.add_address(Family::V4);
    net.add_route(Family::V4);
    let recorder = Recorder::start(&net.host).unwrap();
    net.link.unplug().unwrap();
    let after = await_carrier_loss(&recorder);
    assert_eq!(recorder.usable_source_at(Family::V4, after), None);
    net.link.plug(&net.segment).unwrap();
    let up = recorder.wait_for_carrier("eth0", after, LIMIT).unwrap();
    assert_eq!(recorder.usable_source_at(Family::V4, after), Some(up));
}

fn an_address_under_duplicate_detection_is_not_usable_yet() {
    let net = Network::new();
    for (switch, value) in [("accept_dad", 1), ("dad_transmits", 1)] {
        for scope in ["all", "eth0"] {
            let _ = net.host.set_sysctl(&format!("net.ipv6.conf.{scope}.{switch}"), value);
        }
    }
    let recorder = Recorder::start(&net.host).unwrap();
    let start = now();
    net.add_route(Family::V6);
    net.host.netlink().add_tentative_address("eth0", "2001:db8::2/64".parse().unwrap()).unwrap();
    let usable = recorder.wait_for_usable_source(Family::V6, start, LIMIT).unwrap();
    let came = recorder.events().iter().find_map(|event| match &event.change {
        Change::Address { address, .. } if !address.link_local => Some((event.at, address.usable)),
        _ => None,
    });
    let (came, usable_then) = came.unwrap();
    assert!(!usable_then && came < usable, "{came} {usable}");
}

fn what_was_there_before_the_start_counts() {
    let net = Network::new();
    net.add_address(Family::V4);
    net.add_route(Family::V4);
    let recorder = Recorder::start(&net.host).unwrap();
    let start = now();
    assert_eq!(recorder.usable_source_at(Family::V4, start), Some(start));
    assert_eq!(recorder.usable_source_at(Family::V6, start), None);
}

fn every_change_is_written_down_once() {
    let net = Network::new();
    let recorder = Recorder::start(&net.host).unwrap();
    let netlink = net.host.netlink();
    net.add_address(Family::V4);
    net.add_route(Family::V4);
    netlink.set_mtu("eth0", 1400).unwrap();
    netlink.flush_routes("eth0").unwrap();
    netlink.flush_addresses("eth0").unwrap();
    net.link.unplug().unwrap();
    await_carrier_loss(&recorder);
    let kinds: Vec<_> = recorder
        .events()
        .iter()
        .filter_map(|event| match &event.change {
            // The link's own comes whenever its duplicate detection has ended.
            Change::Address { address, .. } if is_link_local(address.net.addr()) => None,
            Change::NoAddress { net, .. } if is_link_local(net.addr()) => None,
            Change::Address { address, .. } => Some(format!("+ {}", address.net)),
            Change::NoAddress { net, .. } => Some(format!("- {net}")),
            Change::Route(route) if route.is_default() => Some(format!("+ {}", route.to)),
            Change::NoRoute(route) if route.is_default() => Some(format!("- {}", route.to)),
            Change::Carrier { running, .. } => Some(format!("carrier {running}")),
            // The routes of the link itself come and go with the address.
            Change::Route(_) | Change::NoRoute(_) => None,
            other => Some(format!("{other:?}")),
        })
        .collect();
    let expected =
        ["+ 10.0.0.2/24", "+ 0.0.0.0/0", "- 0.0.0.0/0", "- 10.0.0.2/24", "carrier false"];
    assert_eq!(kinds, expected);
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// When the recorder heard of it.
fn await_carrier_loss(recorder: &Recorder) -> Time {
    let start = now();
    loop {
        if let Some(at) = recorder.carrier_down_at("eth0", Time::ZERO) {
            return at;
        }
        assert!(now().since(start) < LIMIT, "no word of a lost carrier");
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Network {
    link: Link,
    host: Netns,
    segment: Segment,
}

impl Network {
    fn new() -> Self {
        let fabric = Fabric::new("fabric").unwrap();
        let segment = fabric.segment().unwrap();
        let host = Netns::new("host").unwrap();
        let link = Link::new(&fabric, &host, "eth0", Conditions::PERFECT, 1).unwrap();
        link.plug(&segment).unwrap();
        Self { link, host, segment }
    }

    fn add_address(&self, family: Family) {
        let address = match family {
            Family::V4 => "10.0.0.2/24",
            Family::V6 => "2001:db8::2/64",
        };
        self.host.netlink().add_address("eth0", address.parse().unwrap()).unwrap();
    }

    fn add_route(&self, family: Family) {
        let via = match family {
            Family::V4 => "10.0.0.1",
            Family::V6 => "fe80::1",
        };
        self.host.netlink().add_default_route(via.parse().unwrap(), "eth0", 100).unwrap();
    }
}
