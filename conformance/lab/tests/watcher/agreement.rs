//! Whatever happens in whatever order, all agree on what is there in the end.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use ntm_core::Rng;
use ntm_core::plugin::{LocalAddress, LocalInterface, Route};

use crate::machine::{DC, DC6, LTE, Machine, Spec, WIFI, on_a_machine};
use crate::watch::{Kind, Watch};

ntm_lab::trials![after_any_changes_netlink_poll_and_a_fresh_look_agree];

fn after_any_changes_netlink_poll_and_a_fresh_look_agree() {
    for seed in 0..4 {
        on_a_machine(|mn| {
            mn.netlink().add_bridge("br0").unwrap();
            let mut rng = Rng::from_seed([seed; 32]);
            let (mut netlink, mut poll) = (Watch::open(Kind::Netlink), Watch::open(Kind::Poll));
            let mut history = Vec::new();
            for _ in 0..15 {
                for _ in 0..8 {
                    history.push(change(mn, &mut rng));
                }
                agree(&mut netlink, &mut poll, &history);
            }
        });
    }
}

/// Makes one random change, if the kernel lets it be made, and says which.
fn change(mn: &Machine, rng: &mut Rng) -> String {
    let mut pick = |count: u64| rng.number() % count;
    let (name, far, way) = if pick(2) == 0 { (WIFI, "wifi", 1) } else { (LTE, "lte", 2) };
    let (net4, net6) = (
        format!("10.0.{way}.{}/{}", 50 + pick(3), 24 + 8 * pick(2)),
        format!("2001:db8:{way}::{}/64", 50 + pick(3)),
    );
    let preferred = if pick(2) == 0 { 0 } else { u32::MAX };
    let metric = 50 + 100 * u32::try_from(pick(3)).unwrap();
    let mtu = 1400 + 10 * u32::try_from(pick(5)).unwrap();
    let (here, there) = (mn.netlink(), mn.far.netlink());
    let (what, done) = match pick(12) {
        0 | 1 => (format!("+ {net4}"), mn.try_add(name, &Spec::new(&net4)).is_ok()),
        2 | 3 => (format!("- {net4}"), mn.try_remove(name, &Spec::new(&net4)).is_ok()),
        4 | 5 => {
            let spec = Spec::new(&net6).lifetimes(preferred, u32::MAX);
            (format!("+ {net6}, preferred {preferred}"), mn.try_add(name, &spec).is_ok())
        }
        6 => (format!("- {net6}"), mn.try_remove(name, &Spec::new(&net6)).is_ok()),
        7 if pick(2) == 0 => ("down".into(), here.set_down(name).is_ok()),
        7 => ("far down".into(), there.set_down(far).is_ok()),
        8 if pick(2) == 0 => ("up".into(), here.set_up(name).is_ok()),
        8 => ("far up".into(), there.set_up(far).is_ok()),
        9 if pick(2) == 0 => ("no routes".into(), here.flush_routes(name).is_ok()),
        9 => {
            let bridge = (pick(2) == 0).then_some("br0");
            (format!("bridge {bridge:?}"), here.set_bridge(name, bridge).is_ok())
        }
        10 => (format!("mtu {mtu}"), here.set_mtu(name, mtu).is_ok()),
        _ => (format!("default {metric}"), mn.try_default_routes(name, metric).is_ok()),
    };
    format!("{name} {what}{}", if done { "" } else { " (refused)" })
}

/// Waits until all say the same; the kernel tells of carriers and makes
/// link-local addresses in its own time.
fn agree(netlink: &mut Watch, poll: &mut Watch, history: &[String]) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut told = Answers::of(netlink);
        let fresh = Answers::of(&mut Watch::fresh());
        let polled = Answers::of(poll);
        if told == fresh {
            told.forget_what_poll_cannot_know(&polled);
            if told == polled {
                break;
            }
        }
        if Instant::now() > end {
            let history = history.join("\n");
            panic!("after\n{history}\nnetlink {told:#?}\npoll {polled:#?}\nfresh {fresh:#?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// All that a watcher answers.
#[derive(PartialEq)]
struct Answers(Vec<LocalInterface>, Vec<Option<Route>>);

impl Answers {
    fn of(watch: &mut Watch) -> Self {
        let mut interfaces = watch.snapshot().interfaces;
        for one in interfaces.iter_mut().filter(|one| !one.running) {
            // The kernel goes on counting its carrier, without telling anybody.
            one.generation = 0;
        }
        let to = [DC, DC6, "10.0.1.9", "10.0.2.9", "2001:db8:1::9", "2001:db8:2::9", "10.0.1.51"];
        Self(interfaces, watch.routes(&to))
    }

    /// Poll knows no generations, and takes a packet to leave by the interface
    /// that has its source address.
    fn forget_what_poll_cannot_know(&mut self, polled: &Self) {
        for one in &mut self.0 {
            one.generation = 0;
        }
        let odd = |route: &Route| {
            let by = self.0.iter().find(|one| one.index == route.ifindex).unwrap();
            !by.loopback && by.addresses.iter().all(|address| address.ip != route.source)
        };
        for (mine, polled) in self.1.iter_mut().zip(&polled.1) {
            if mine.as_ref().is_some_and(odd) {
                *mine = *polled;
            }
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.0 {
            let LocalInterface { index, name, running, generation, .. } = one;
            write!(f, "\n{index} {name} running {running}, generation {generation}:")?;
            for LocalAddress { ip, prefix, usable, preferred } in &one.addresses {
                write!(f, " {ip}/{prefix} usable {usable} preferred {preferred}")?;
            }
        }
        self.1.iter().try_for_each(|route| write!(f, "\n{route:?}"))
    }
}
