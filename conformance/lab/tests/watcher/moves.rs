//! Each way in which a machine moves, seen by every watcher that can see it.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use rtnetlink::packet_route::address::AddressFlags;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMetric, RouteType};

use crate::machine::{
    DC, DC6, LTE, LTE_IP, LTE_IP6, Machine, Spec, WIFI, WIFI_IP, WIFI_IP6, on_a_machine,
};
use crate::watch::{Kind, Watch};

crate::trials_of_kinds![
    an_address_that_comes_and_goes for Netlink | Poll | Ifwatch,
    a_default_route_that_moves_while_both_addresses_stay for Netlink | Poll,
    a_default_route_whose_metric_loses for Netlink | Poll,
    a_route_that_names_another_source for Netlink | Poll,
    a_policy_rule_that_leads_elsewhere for Netlink | Poll,
    a_carrier_that_is_lost_and_found_while_the_ipv4_address_stays for Netlink | Poll,
    an_interface_that_is_set_down_and_up for Netlink | Poll,
    the_same_address_on_two_interfaces_that_goes_from_the_first for Netlink | Poll,
    the_other_end_of_a_point_to_point_link_is_not_ours for Netlink | Poll | Ifwatch,
    an_ipv6_address_is_tentative_until_no_duplicate_was_found for Netlink | Poll,
    an_ipv6_address_that_somebody_has_already_stays_unusable for Netlink | Poll,
    a_deprecated_ipv6_address_is_not_preferred_until_it_is_prolonged for Netlink | Poll,
    a_temporary_ipv6_address_is_the_source for Netlink | Poll,
    a_tunnel_interface_of_our_own_is_told_apart for Netlink | Poll | Ifwatch,
    a_route_leads_nowhere_if_it_says_so for Netlink | Poll,
    the_limit_of_a_route_is_its_own_or_its_interface_s for Netlink | Poll,
];

fn an_address_that_comes_and_goes(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        for (ip, net) in [("10.0.1.77", "10.0.1.77/28"), ("2001:db8:1::77", "2001:db8:1::77/60")] {
            watch.sees(|| mn.add(WIFI, Spec::new(net)), |watch| watch.address(ip).is_some());
            let address = watch.address(ip).unwrap();
            assert_eq!(format!("{}/{}", address.ip, address.prefix), net);
            assert!(address.usable && address.preferred, "{address:?}");
            assert_eq!(watch.who_has(ip), [WIFI]);
            watch.sees(|| mn.remove(WIFI, Spec::new(net)), |watch| watch.address(ip).is_none());
        }
    });
}

/// The commonest hand-over of a phone or laptop.
fn a_default_route_that_moves_while_both_addresses_stay(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        assert_eq!(watch.source(DC).as_deref(), Some(WIFI_IP));
        assert_eq!(watch.source(DC6).as_deref(), Some(WIFI_IP6));
        let moved = |watch: &mut Watch| {
            let routes = watch.routes(&[DC, DC6]).into_iter().flatten();
            let found: Vec<_> = routes.map(|one| (one.source.to_string(), one.ifindex)).collect();
            let lte = mn.index(LTE);
            found == [(LTE_IP.to_owned(), lte), (LTE_IP6.to_owned(), lte)]
        };
        watch.sees(|| mn.netlink().flush_routes(WIFI).unwrap(), moved);
        assert_eq!(watch.who_has(WIFI_IP), [WIFI]);
        // And back.
        let back = |watch: &mut Watch| watch.source(DC6).as_deref() == Some(WIFI_IP6);
        watch.sees(|| mn.default_routes(WIFI, 100), back);
        assert_eq!(watch.source(DC).as_deref(), Some(WIFI_IP));
    });
}

fn a_default_route_whose_metric_loses(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        for (dc, router, lte) in [(DC, "10.0.2.1", LTE_IP), (DC6, "2001:db8:2::1", LTE_IP6)] {
            let router = router.parse().unwrap();
            let prefer = || mn.netlink().add_default_route(router, LTE, 50).unwrap();
            watch.sees(prefer, |watch| watch.source(dc).as_deref() == Some(lte));
        }
    });
}

fn a_route_that_names_another_source(kind: Kind) {
    on_a_machine(|mn| {
        mn.add(WIFI, Spec::new("10.0.1.3/24"));
        mn.add(WIFI, Spec::new("2001:db8:1::3/64"));
        let mut watch = Watch::open(kind);
        let both = [
            (DC, "0.0.0.0/0", "10.0.1.1", "10.0.1.2", "10.0.1.3"),
            (DC6, "::/0", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3"),
        ];
        for (dc, everywhere, router, one, other) in both {
            for source in [one, other] {
                let name_it = || {
                    mn.route(everywhere, |route| {
                        let route = route.gateway(router.parse().unwrap()).unwrap();
                        let route = route.pref_source(source.parse().unwrap()).unwrap();
                        route.output_interface(mn.index(WIFI)).priority(10).build()
                    });
                };
                if source == one {
                    name_it();
                    assert_eq!(watch.source(dc).as_deref(), Some(one));
                } else {
                    watch.sees(name_it, |watch| watch.source(dc).as_deref() == Some(source));
                }
            }
        }
    });
}

fn a_policy_rule_that_leads_elsewhere(kind: Kind) {
    on_a_machine(|mn| {
        for (everywhere, router) in [("0.0.0.0/0", "10.0.2.1"), ("::/0", "2001:db8:2::1")] {
            mn.route(everywhere, |route| {
                let route = route.gateway(router.parse().unwrap()).unwrap();
                route.output_interface(mn.index(LTE)).table_id(100).build()
            });
        }
        let mut watch = Watch::open(kind);
        assert_eq!(watch.routes(&[DC, DC6]).len(), 2);
        for (dc, lte) in [(DC, LTE_IP), (DC6, LTE_IP6)] {
            watch.sees(|| mn.rule(dc, 100), |watch| watch.source(dc).as_deref() == Some(lte));
        }
        assert_eq!(watch.source("203.0.113.2").as_deref(), Some(WIFI_IP), "no other is led there");
    });
}

fn a_carrier_that_is_lost_and_found_while_the_ipv4_address_stays(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let before = watch.interface(WIFI);
        let lost = |watch: &mut Watch| !watch.interface(WIFI).running;
        watch.sees(|| mn.far.netlink().set_down("wifi").unwrap(), lost);
        assert_eq!(watch.who_has(WIFI_IP), [WIFI]);
        assert_eq!(watch.source(DC), None);
        let kernel = UdpSocket::bind("0.0.0.0:0").unwrap();
        kernel.connect((DC, 9)).unwrap();
        let stale = kernel.local_addr().unwrap().ip().to_string();
        assert_eq!(stale, WIFI_IP, "the kernel itself does not notice");
        let found = |watch: &mut Watch| watch.source(DC).as_deref() == Some(WIFI_IP);
        watch.sees(|| mn.far.netlink().set_up("wifi").unwrap(), found);
        let after = watch.interface(WIFI);
        assert!(after.running);
        match kind {
            Kind::Netlink => assert!(after.generation > before.generation, "{after:?}"),
            Kind::Poll | Kind::Ifwatch => assert_eq!(after.generation, 0),
        }
    });
}

fn an_interface_that_is_set_down_and_up(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let moved = |watch: &mut Watch| watch.source(DC).as_deref() == Some(LTE_IP);
        watch.sees(|| mn.netlink().set_down(WIFI).unwrap(), moved);
        assert!(!watch.interface(WIFI).running);
        assert_eq!(watch.who_has(WIFI_IP), [WIFI], "IPv4 addresses stay");
        assert_eq!(watch.address(WIFI_IP6), None, "those of IPv6 go");
        watch.sees(|| mn.netlink().set_up(WIFI).unwrap(), |watch| watch.interface(WIFI).running);
    });
}

fn the_same_address_on_two_interfaces_that_goes_from_the_first(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        for (ip, net) in [("10.0.9.9", "10.0.9.9/32"), ("2001:db8:9::9", "2001:db8:9::9/128")] {
            watch.sees(|| mn.add(WIFI, Spec::new(net)), |watch| watch.who_has(ip) == [WIFI]);
            watch.sees(|| mn.add(LTE, Spec::new(net)), |watch| watch.who_has(ip).len() == 2);
            watch.sees(|| mn.remove(WIFI, Spec::new(net)), |watch| watch.who_has(ip) == [LTE]);
            watch.sees(|| mn.remove(LTE, Spec::new(net)), |watch| watch.who_has(ip).is_empty());
        }
    });
}

fn the_other_end_of_a_point_to_point_link_is_not_ours(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let both = [
            ("10.0.8.1", "10.0.8.1/32", "10.0.8.2"),
            ("2001:db8:8::1", "2001:db8:8::1/128", "2001:db8:8::2"),
        ];
        for (ours, net, theirs) in both {
            let link = || mn.add(WIFI, Spec::new(net).peer(theirs));
            watch.sees(link, |watch| watch.who_has(ours) == [WIFI]);
            assert_eq!(watch.address(theirs), None);
            assert_eq!(watch.source(theirs).as_deref(), Some(ours));
            let unlink = || mn.remove(WIFI, Spec::new(net).peer(theirs));
            watch.sees(unlink, |watch| watch.address(ours).is_none());
        }
    });
}

fn an_ipv6_address_is_tentative_until_no_duplicate_was_found(kind: Kind) {
    on_a_machine(|mn| {
        look_for_duplicates(mn);
        let mut watch = Watch::open(kind);
        let ip = "2001:db8:5::5";
        let add = || mn.add(WIFI, Spec::new("2001:db8:5::5/64").flags(AddressFlags::empty()));
        watch.sees(add, |watch| watch.address(ip).is_some_and(|address| !address.usable));
        watch.sees(|| {}, |watch| watch.address(ip).is_some_and(|address| address.usable));
    });
}

fn an_ipv6_address_that_somebody_has_already_stays_unusable(kind: Kind) {
    on_a_machine(|mn| {
        look_for_duplicates(mn);
        let (ip, net) = ("2001:db8:5::5", "2001:db8:5::5/64");
        mn.far.netlink().add_address("wifi", net.parse().unwrap()).unwrap();
        let mut watch = Watch::open(kind);
        let add = || mn.add(WIFI, Spec::new(net).flags(AddressFlags::empty()));
        watch.sees(add, |watch| watch.address(ip).is_some());
        let end = Instant::now() + Duration::from_secs(10);
        while !mn.flags_of(ip).contains(AddressFlags::Dadfailed) {
            assert!(Instant::now() < end, "the kernel finds the duplicate");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(!watch.address(ip).unwrap().usable);
        assert_ne!(watch.source("2001:db8:5::6").as_deref(), Some(ip));
    });
}

fn a_deprecated_ipv6_address_is_not_preferred_until_it_is_prolonged(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let net = "2001:db8:1::2/64";
        mn.add(WIFI, Spec::new("2001:db8:1::3/64"));
        assert!(watch.address(WIFI_IP6).unwrap().preferred);
        let deprecate = || mn.add(WIFI, Spec::new(net).lifetimes(0, FOREVER));
        watch.sees(deprecate, |watch| !watch.address(WIFI_IP6).unwrap().preferred);
        assert!(watch.address(WIFI_IP6).unwrap().usable);
        assert_eq!(watch.source(DC6).as_deref(), Some("2001:db8:1::3"));
        let prolong = || mn.add(WIFI, Spec::new(net).lifetimes(FOREVER, FOREVER));
        watch.sees(prolong, |watch| watch.address(WIFI_IP6).unwrap().preferred);
    });
}

fn a_temporary_ipv6_address_is_the_source(kind: Kind) {
    on_a_machine(|mn| {
        mn.netns.set_sysctl("net.ipv6.conf.wifi0.use_tempaddr", 2).unwrap();
        let mut watch = Watch::open(kind);
        assert_eq!(watch.source(DC6).as_deref(), Some(WIFI_IP6));
        let add = || {
            let flags = AddressFlags::Nodad | AddressFlags::Managetempaddr;
            let long = (86_400, 7 * 86_400);
            mn.add(WIFI, Spec::new("2001:db8:1::3/64").flags(flags).lifetimes(long.0, long.1));
        };
        let ours = |watch: &mut Watch| {
            let mut all = watch.interface(WIFI).addresses;
            all.retain(|one| one.ip.to_string().starts_with("2001:db8:1:"));
            all
        };
        watch.sees(add, |watch| {
            let all = ours(watch);
            all.len() == 3 && all.iter().all(|one| one.usable)
        });
        let source = watch.source(DC6).unwrap();
        assert!(![WIFI_IP6, "2001:db8:1::3"].contains(&source.as_str()), "{source}");
        assert!(ours(&mut watch).iter().any(|one| one.ip.to_string() == source && one.preferred));
    });
}

/// Its virtual address must not be taken for a real one: the core leaves it out
/// by the index of the interface.
fn a_tunnel_interface_of_our_own_is_told_apart(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let mut tunnel = None;
        let open = || {
            let device = tun_rs::DeviceBuilder::new().name("ntm0").build_sync().unwrap();
            mn.netlink().set_up("ntm0").unwrap();
            mn.add("ntm0", Spec::new("198.18.0.1/32"));
            mn.add("ntm0", Spec::new("fd00:6e74:6d::1/128"));
            tunnel = Some(device);
        };
        watch.sees(open, |watch| watch.address("fd00:6e74:6d::1").is_some());
        let snapshot = watch.snapshot();
        let own = snapshot.interfaces.iter().find(|one| one.index == mn.index("ntm0")).unwrap();
        let mut virtual_ones: Vec<_> = own.addresses.iter().map(|one| one.ip.to_string()).collect();
        virtual_ones.retain(|ip| !ip.starts_with("fe80"));
        assert_eq!(
            (own.name.as_str(), virtual_ones),
            ("ntm0", vec!["198.18.0.1".into(), "fd00:6e74:6d::1".into()])
        );
        assert_eq!(watch.who_has("198.18.0.1"), ["ntm0"]);
        assert_eq!(watch.who_has("fd00:6e74:6d::1"), ["ntm0"]);
        assert!(!own.loopback && own.running, "{own:?}");
    });
}

fn a_route_leads_nowhere_if_it_says_so(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        assert_eq!(watch.source("203.0.113.2").as_deref(), Some(WIFI_IP));
        for to in ["203.0.113.2", "2001:db8:ffff::2"] {
            for how in [RouteType::Unreachable, RouteType::BlackHole, RouteType::Prohibit] {
                let net = format!("{to}/{}", if to.contains(':') { 128 } else { 32 });
                mn.route(&net, |route| route.kind(how).build());
                assert_eq!(watch.source(to), None, "{how:?}");
            }
        }
        assert_eq!(watch.source("fe80::1"), None, "means nothing without an interface");
        assert_eq!(watch.source("::ffff:203.0.113.1").as_deref(), Some(WIFI_IP));
        let us = watch.routes(&[WIFI_IP, "::1"]);
        assert!(us.iter().all(|one| one.unwrap().ifindex == mn.index("lo")), "{us:?}");
    });
}

fn the_limit_of_a_route_is_its_own_or_its_interface_s(kind: Kind) {
    on_a_machine(|mn| {
        let mut watch = Watch::open(kind);
        let limits = |watch: &mut Watch| -> Vec<_> {
            watch.routes(&[DC, DC6]).iter().map(|one| one.unwrap().mtu).collect()
        };
        assert_eq!(limits(&mut watch), [1500, 1500]);
        watch.sees(
            || mn.netlink().set_mtu(WIFI, 1480).unwrap(),
            |watch| limits(watch) == [1480, 1480],
        );
        let both = [("203.0.113.0/24", "10.0.1.1"), ("2001:db8:ffff::/48", "2001:db8:1::1")];
        for (to, router) in both {
            mn.route(to, |route| {
                let route = route.gateway(router.parse().unwrap()).unwrap();
                let mut route = route.output_interface(mn.index(WIFI)).build();
                route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]));
                route
            });
        }
        assert_eq!(limits(&mut watch), [1400, 1400]);
    });
}

/// Makes the kernel look for duplicates of addresses on the Wi-Fi, from at once
/// and for a second.
fn look_for_duplicates(mn: &Machine) {
    mn.netns.set_sysctl("net.ipv6.conf.wifi0.accept_dad", 1).unwrap();
    mn.netns.set_sysctl("net.ipv6.conf.wifi0.router_solicitation_delay", 0).unwrap();
}

const FOREVER: u32 = u32::MAX;
