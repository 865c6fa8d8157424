//! What if-watch is documented not to see, and that its watcher answers rightly
//! all the same when it is asked.

use std::time::Duration;

use crate::machine::{DC, LTE, LTE_IP, Spec, WIFI, WIFI_IP, on_a_machine};
use crate::watch::{Kind, Watch};

ntm_lab::trials![
    if_watch_says_nothing_of_a_default_route_that_moves,
    if_watch_says_nothing_of_a_lost_carrier,
    if_watch_says_nothing_of_the_same_address_elsewhere_and_is_wrong_when_one_goes,
];

/// Its events come within a millisecond or never.
const NEVER: Duration = Duration::from_millis(500);

fn if_watch_says_nothing_of_a_default_route_that_moves() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Ifwatch);
        assert_eq!(watch.source(DC).as_deref(), Some(WIFI_IP));
        mn.netlink().flush_routes(WIFI).unwrap();
        assert_eq!(watch.next_within(NEVER), None);
        assert_eq!(watch.source(DC).as_deref(), Some(LTE_IP));
    });
}

fn if_watch_says_nothing_of_a_lost_carrier() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Ifwatch);
        mn.far.netlink().set_down("wifi").unwrap();
        assert_eq!(watch.next_within(NEVER), None);
        assert!(!watch.interface(WIFI).running);
        assert_eq!(watch.source(DC), None);
    });
}

fn if_watch_says_nothing_of_the_same_address_elsewhere_and_is_wrong_when_one_goes() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Ifwatch);
        let (ip, net) = ("10.0.9.9", "10.0.9.9/32");
        watch.sees(|| mn.add(WIFI, Spec::new(net)), |watch| watch.who_has(ip) == [WIFI]);
        mn.add(LTE, Spec::new(net));
        assert_eq!(watch.next_within(NEVER), None);
        assert_eq!(watch.who_has(ip), [WIFI, LTE]);
        // Its own set says now that the address is gone; the system knows better.
        watch.sees(|| mn.remove(WIFI, Spec::new(net)), |watch| watch.who_has(ip) == [LTE]);
        mn.remove(LTE, Spec::new(net));
        assert_eq!(watch.next_within(NEVER), None);
        assert_eq!(watch.address(ip), None);
    });
}
