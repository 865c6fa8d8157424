//! More changes than the socket holds.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use ntm_core::plugin::{Change, Snapshot};
use ntm_watcher_netlink::{Config, NetlinkWatcher};

use crate::machine::{LTE, Machine, Spec, WIFI, on_a_machine};
use crate::watch::{Kind, QUIET, Watch};

ntm_lab::trials![
    lost_events_are_told_and_everything_is_read_anew,
    a_snapshot_after_lost_events_is_right_before_they_were_told,
    what_is_thrown_away_before_reading_anew_is_told_as_lost,
    a_storm_that_goes_on_while_it_is_read_ends_with_the_truth,
    without_a_storm_nothing_is_ever_read_anew,
];

const ADDRESSES: u32 = 1000;

/// A watcher whose socket holds this many bytes.
fn small(receive_buffer: u32) -> Watch {
    let config = Config { receive_buffer };
    Watch::with(|| Box::new(NetlinkWatcher::open(config).unwrap()))
}

fn net(number: u32) -> String {
    format!("10.77.{}.{}/32", number / 250, number % 250 + 1)
}

/// Adds a thousand addresses and takes every second one away again. Says how
/// far it has come.
fn storm(mn: &Machine, progress: impl Fn(u32)) {
    for number in 0..ADDRESSES {
        mn.add(WIFI, Spec::new(&net(number)));
        if number % 2 == 1 {
            mn.remove(WIFI, Spec::new(&net(number - 1)));
            progress(number + 1);
        }
    }
}

/// The addresses of the storm.
fn of_storm(snapshot: &Snapshot) -> BTreeSet<String> {
    let all = snapshot.interfaces.iter().flat_map(|one| &one.addresses);
    let all = all.map(|one| format!("{}/{}", one.ip, one.prefix));
    all.filter(|net| net.starts_with("10.77.")).collect()
}

/// Everything is as the storm left it and as a new watcher reads it.
fn assert_is_the_truth(mn: &Machine, snapshot: &Snapshot) {
    let left: BTreeSet<_> = (1..ADDRESSES).step_by(2).map(net).collect();
    assert_eq!(of_storm(snapshot), left);
    assert_eq!(*snapshot, Watch::fresh().snapshot());
    let there = mn.netlink().addresses(WIFI).unwrap().len();
    let wifi = snapshot.interfaces.iter().find(|one| one.name == WIFI).unwrap();
    assert_eq!(wifi.addresses.len(), there);
}

fn lost_events_are_told_and_everything_is_read_anew() {
    on_a_machine(|mn| {
        let mut watch = small(4096);
        storm(mn, |_| {});
        assert_eq!(watch.next(), Change::Resync);
        assert_is_the_truth(mn, &watch.snapshot());
        watch.calm_down();
        mn.add(WIFI, Spec::new("10.0.1.77/32"));
        assert_eq!(watch.next(), Change::Address, "it goes on as before");
        assert!(watch.address("10.0.1.77").is_some());
    });
}

fn a_snapshot_after_lost_events_is_right_before_they_were_told() {
    on_a_machine(|mn| {
        let mut watch = small(4096);
        storm(mn, |_| {});
        assert_is_the_truth(mn, &watch.snapshot());
        assert_eq!(watch.next(), Change::Resync, "they are told all the same");
    });
}

fn what_is_thrown_away_before_reading_anew_is_told_as_lost() {
    on_a_machine(|mn| {
        let mut watch = small(4096);
        storm(mn, |_| {});
        assert_eq!(watch.next(), Change::Resync);
        mn.default_routes(LTE, 50);
        // Who asks for this alone has not seen the new route.
        watch.snapshot();
        assert_eq!(watch.next(), Change::Resync);
    });
}

fn a_storm_that_goes_on_while_it_is_read_ends_with_the_truth() {
    on_a_machine(|mn| {
        let mut watch = small(32 << 10);
        let mut resyncs = 0;
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            // Now and then, so that more is lost than is read.
            let tell = move |number| {
                if number % 100 == 0 {
                    let _ = tell.send(number);
                }
            };
            scope.spawn(|| storm(mn, tell));
            for number in told {
                let change = watch.next();
                resyncs += usize::from(change == Change::Resync);
                let seen = of_storm(&watch.snapshot());
                for earlier in (0..number).step_by(2) {
                    assert!(!seen.contains(&net(earlier)), "{} is gone", net(earlier));
                    assert!(seen.contains(&net(earlier + 1)), "{} is there", net(earlier + 1));
                }
                watch.routes(&["203.0.113.1"]);
            }
        });
        assert!(resyncs > 0, "the socket held it all");
        assert_is_the_truth(mn, &watch.snapshot());
    });
}

fn without_a_storm_nothing_is_ever_read_anew() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        for number in 0..50 {
            mn.add(WIFI, Spec::new(&net(number)));
            assert_ne!(watch.next(), Change::Resync);
        }
        while let Some(change) = watch.next_within(QUIET) {
            assert_ne!(change, Change::Resync);
        }
    });
}
