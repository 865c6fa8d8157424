//! How long after a change the watcher tells of it: printed, not judged.

use std::future::Future;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rtnetlink::{LinkUnspec, RouteMessageBuilder};

use crate::machine::{LTE, Machine, Spec, WIFI, on_a_machine};
use crate::watch::{Kind, QUIET, Watch};

ntm_lab::trials![from_just_before_a_change_until_next_returns];

fn from_just_before_a_change_until_next_returns() {
    on_a_machine(|mn| {
        let mut watch = Watch::open(Kind::Netlink);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let changes = scope.spawn(move || measure_all(mn, &told));
            while !changes.is_finished() {
                if watch.next_within(QUIET).is_some() {
                    let _ = tell.send(Instant::now());
                }
            }
        });
    });
}

fn measure_all(mn: &Machine, told: &Receiver<Instant>) {
    let (wifi, lte) = (mn.index(WIFI), mn.index(LTE));
    measure(mn, told, ["IPv4 address added", "IPv4 address removed"], |on| {
        mn.address_request(wifi, &Spec::new("10.0.1.77/24"), on)
    });
    measure(mn, told, ["IPv6 address added", "IPv6 address removed"], |on| {
        mn.address_request(wifi, &Spec::new("2001:db8:1::77/64"), on)
    });
    measure(mn, told, ["default route moved", "and back"], |on| {
        let route = RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .gateway(if on { [10, 0, 2, 1] } else { [10, 0, 1, 1] }.into())
            .output_interface(if on { lte } else { wifi })
            .priority(10)
            .build();
        let add = mn.handle.route().add(route).replace();
        async move { add.execute().await }
    });
    measure(mn, told, ["link set down", "link set up"], |on| {
        let link = LinkUnspec::new_with_index(lte);
        let set = mn.handle.link().set(if on { link.down() } else { link.up() }.build());
        async move { set.execute().await }
    });
}

/// Makes a change and its opposite again and again.
fn measure<F: Future<Output = Result<(), rtnetlink::Error>>>(
    mn: &Machine,
    told: &Receiver<Instant>,
    names: [&str; 2],
    change: impl Fn(bool) -> F,
) {
    let mut latencies = [Vec::new(), Vec::new()];
    for _ in 0..TIMES {
        for (on, latencies) in [true, false].into_iter().zip(&mut latencies) {
            let request = change(on);
            while told.recv_timeout(Duration::from_millis(2)).is_ok() {}
            let start = Instant::now();
            mn.runtime.block_on(request).unwrap();
            let end = told.recv_timeout(Duration::from_secs(10)).expect("the watcher tells of it");
            latencies.push(end - start);
        }
    }
    for (name, mut latencies) in names.into_iter().zip(latencies) {
        latencies.sort();
        let [p50, p99, max] =
            [TIMES / 2, TIMES * 99 / 100, TIMES - 1].map(|at| latencies[at].as_micros());
        println!("{name:22} p50 {p50:5} µs   p99 {p99:5} µs   max {max:5} µs");
    }
}

const TIMES: usize = 150;
