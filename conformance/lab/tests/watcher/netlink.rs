//! What only the rtnetlink watcher does.

use std::thread;
use std::time::Duration;

use ntm_core::plugin::{Change, Watcher};
use ntm_watcher_netlink::{Config, NetlinkWatcher};
use tokio::runtime::Builder;

use crate::machine::{DC, DC6, LTE, LTE_IP, LTE_IP6, Spec, WIFI, WIFI_IP, WIFI_IP6, on_a_machine};
use crate::watch::{Kind, QUIET, Watch};

ntm_lab::trials![
    each_change_is_told_by_its_kind,
    a_flap_that_is_over_before_anybody_looks_shows_in_the_generation_alone,
    nothing_is_lost_to_who_gives_up_waiting,
    what_a_snapshot_or_a_route_has_shown_is_still_told,
    a_port_that_leaves_its_bridge_is_still_there,
    an_interface_that_is_removed_takes_all_along,
    an_address_with_two_prefixes_goes_one_at_a_time,
    a_link_that_is_not_used_tells_where_it_would_lead,
    it_watches_the_namespace_it_was_opened_in_from_any_thread,
];

fn each_change_is_told_by_its_kind() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        let mut told = |change: &dyn Fn()| {
            change();
            let mut kinds = vec![watch.next()];
            while let Some(kind) = watch.next_within(QUIET) {
                kinds.push(kind);
            }
            kinds
        };
        let add = told(&|| mn.add(WIFI, Spec::new("10.0.1.77/32").peer("10.0.1.78")));
        assert!(add.contains(&Change::Address) && !add.contains(&Change::Link), "{add:?}");
        let mtu = told(&|| mn.netlink().set_mtu(WIFI, 1480).unwrap());
        assert!(mtu.contains(&Change::Link) && !mtu.contains(&Change::Address), "{mtu:?}");
        assert_eq!(told(&|| mn.default_routes(LTE, 50)), [Change::Route]);
        assert_eq!(told(&|| mn.rule("203.0.113.9", 100)), [Change::Route]);
    });
}

fn a_link_that_is_not_used_tells_where_it_would_lead() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        let links = [(WIFI, WIFI_IP, WIFI_IP6), (LTE, LTE_IP, LTE_IP6)];
        let to = [DC, DC6];
        let mut by = |name: &str| {
            let index = mn.index(name);
            let routes = watch.routes_by(index, &to);
            assert!(routes.iter().flatten().all(|route| route.ifindex == index), "{routes:?}");
            routes.into_iter().map(|r| r.map(|r| r.source.to_string())).collect::<Vec<_>>()
        };
        for (name, ip, ip6) in links {
            assert_eq!(by(name), [Some(ip.into()), Some(ip6.into())], "{name}");
        }
        // Without a route the kernel would try its luck with a neighbour there.
        mn.netlink().flush_routes(LTE).unwrap();
        assert_eq!(by(LTE), [None, None]);
        mn.far.netlink().set_down("wifi").unwrap();
        mn.netlink().interface(WIFI).unwrap();
        assert_eq!(by(WIFI), [None, None], "no carrier");
        assert_eq!(by("lo"), [None, None]);
    });
}

fn a_flap_that_is_over_before_anybody_looks_shows_in_the_generation_alone() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        let mut before = watch.snapshot();
        let routes = watch.routes(&["203.0.113.1", "10.0.1.9"]);
        for _ in 0..3 {
            for up in [false, true] {
                let far = mn.far.netlink();
                if up { far.set_up("wifi") } else { far.set_down("wifi") }.unwrap();
                // Asked for its state, the kernel tells of it before it answers.
                mn.netlink().interface(WIFI).unwrap();
            }
            mn.remove(WIFI, Spec::new("10.0.1.2/24"));
            mn.add(WIFI, Spec::new("10.0.1.2/24"));
        }
        mn.default_routes(WIFI, 100);
        let mut told = vec![watch.next()];
        while let Some(change) = watch.next_within(QUIET) {
            told.push(change);
        }
        assert!(told.contains(&Change::Link) && told.contains(&Change::Address), "{told:?}");
        assert!(told.len() < 12, "a burst is told as a few changes, not one by one: {told:?}");
        let mut after = watch.snapshot();
        let wifi = |snapshot: &mut ntm_core::plugin::Snapshot| {
            let index = mn.index(WIFI);
            let one = snapshot.interfaces.iter_mut().find(|one| one.index == index).unwrap();
            std::mem::take(&mut one.generation)
        };
        assert!(wifi(&mut after) >= wifi(&mut before) + 6);
        assert_eq!(after, before);
        assert_eq!(watch.routes(&["203.0.113.1", "10.0.1.9"]), routes);
    });
}

fn nothing_is_lost_to_who_gives_up_waiting() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        for _ in 0..50 {
            // Given up before, in the midst and after.
            for limit in [0, 50, 500] {
                assert_eq!(watch.next_within(Duration::from_micros(limit)), None);
            }
            mn.default_routes(LTE, 50);
            assert_eq!(watch.next(), Change::Route);
            while watch.next_within(QUIET / 10).is_some() {}
        }
    });
}

fn what_a_snapshot_or_a_route_has_shown_is_still_told() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        mn.default_routes(LTE, 50);
        watch.snapshot();
        assert_eq!(watch.next(), Change::Route);
        watch.calm_down();
        mn.netlink().set_mtu(WIFI, 1480).unwrap();
        watch.routes(&["203.0.113.1"]);
        assert_eq!(watch.next(), Change::Link);
    });
}

fn a_port_that_leaves_its_bridge_is_still_there() {
    on_a_machine(|mn| {
        mn.netlink().add_bridge("br0").unwrap();
        let mut watch = Watch::open(Kind::Netlink);
        mn.netlink().set_bridge(LTE, Some("br0")).unwrap();
        watch.calm_down();
        mn.netlink().set_bridge(LTE, None).unwrap();
        assert!(watch.interface(LTE).running);
        assert_eq!(watch.who_has(LTE_IP), [LTE]);
    });
}

fn an_interface_that_is_removed_takes_all_along() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        watch.sees(
            || mn.netlink().remove(WIFI).unwrap(),
            |watch| watch.snapshot().interfaces.iter().all(|one| one.name != WIFI),
        );
        assert_eq!(watch.address(WIFI_IP), None);
    });
}

fn an_address_with_two_prefixes_goes_one_at_a_time() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        mn.add(WIFI, Spec::new("10.0.1.2/32"));
        mn.remove(WIFI, Spec::new("10.0.1.2/24"));
        assert_eq!(watch.address(WIFI_IP).unwrap().prefix, 32);
        mn.remove(WIFI, Spec::new("10.0.1.2/32"));
        assert_eq!(watch.address(WIFI_IP), None);
    });
}

fn it_watches_the_namespace_it_was_opened_in_from_any_thread() {
    on_a_machine(|mn| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let inside = runtime.enter();
        let mut watcher = NetlinkWatcher::open(Config::default()).unwrap();
        drop(inside);
        // The runtime's own threads were started elsewhere than this one's
        // namespace as well as it may be here: a thread of the sandbox asks.
        let elsewhere = thread::spawn(move || {
            runtime.block_on(runtime.spawn(async move {
                let change = watcher.next().await.unwrap();
                (change, watcher.snapshot().await.unwrap())
            }))
        });
        mn.default_routes(LTE, 50);
        let (change, snapshot) = elsewhere.join().unwrap().unwrap();
        assert_eq!(change, Change::Route);
        assert!(snapshot.interfaces.iter().any(|one| one.name == WIFI));
    });
}
