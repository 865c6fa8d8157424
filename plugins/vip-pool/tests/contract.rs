//! What the trait promises, for ranges of all sizes.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "helpers of tests are tests")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ntm_core::address::{Prefix, Vips};
use ntm_core::id::PublicKey;
use ntm_core::plugin::{Fault, PluginError, Vip as _};
use ntm_vip_pool::{Config, Pool};
use proptest::prelude::*;

fn config(ipv4: &str, ipv6: &str) -> Config {
    Config { ipv4: ipv4.parse().ok(), ipv6: ipv6.parse().ok() }
}

fn pool(ipv4: &str, ipv6: &str) -> Pool {
    Pool::new(config(ipv4, ipv6)).unwrap()
}

fn vips(v4: &str, v6: &str) -> Vips {
    Vips { v4: v4.parse().ok(), v6: v6.parse().ok() }
}

/// The result of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the allocator waits for something"),
    }
}

fn allocate(pool: &Pool) -> Result<Vips, PluginError> {
    let name = "mn.example".parse().unwrap();
    now(pool.allocate(&name, &PublicKey::from_bytes([1; 32])))
}

#[test]
fn without_configuration_there_is_the_benchmark_range() {
    let pool = Pool::new(Config::default()).unwrap();
    assert_eq!(pool.ranges(), ["198.18.0.0/16".parse().unwrap()]);
    assert_eq!(allocate(&pool), Ok(vips("198.18.0.1", "")));
}

#[test]
fn both_families_have_the_same_host_number() {
    let pool = pool("198.18.0.0/16", "fd12:3456:789a::/48");
    assert_eq!(allocate(&pool), Ok(vips("198.18.0.1", "fd12:3456:789a::1")));
    assert_eq!(allocate(&pool), Ok(vips("198.18.0.2", "fd12:3456:789a::2")));
    now(pool.restore(&[vips("198.18.1.1", "fd12:3456:789a::101")])).unwrap();
    assert_eq!(allocate(&pool), Ok(vips("198.18.1.2", "fd12:3456:789a::102")));
}

#[test]
fn a_range_may_be_ipv6_alone() {
    let pool = pool("", "fd00::/64");
    assert_eq!(pool.ranges().len(), 1);
    assert_eq!(allocate(&pool), Ok(vips("", "fd00::1")));
}

#[test]
fn the_smallest_ranges_hold_two_nodes() {
    for (ipv4, ipv6) in [("10.0.0.4/30", ""), ("", "fd00::4/126"), ("10.0.0.0/8", "fd00::4/126")] {
        let pool = pool(ipv4, ipv6);
        let hosts = [allocate(&pool).unwrap(), allocate(&pool).unwrap()];
        assert_ne!(hosts[0], hosts[1]);
        let error = allocate(&pool).unwrap_err();
        assert_eq!(error.fault, Fault::Busy);
        let smaller = if ipv6.is_empty() { "ipv4" } else { "ipv6" };
        assert_eq!(error.key.as_deref(), Some(smaller), "{error}");
        now(pool.release(&hosts[1]));
        assert_eq!(allocate(&pool), Ok(hosts[1]));
    }
}

#[test]
fn a_number_given_back_rests_until_the_others_were_used() {
    let pool = pool("10.0.0.0/29", "");
    let first = allocate(&pool).unwrap();
    now(pool.release(&first));
    let others: Vec<_> = (0..5).map(|_| allocate(&pool).unwrap()).collect();
    assert!(!others.contains(&first));
    assert_eq!(allocate(&pool), Ok(first));
}

#[test]
fn restored_leases_are_not_handed_out_again() {
    let pool = pool("10.0.0.0/29", "fd00::/64");
    // From before there was IPv6, and from before both had the same number.
    now(pool.restore(&[vips("10.0.0.2", ""), vips("10.0.0.4", "fd00::3"), vips("", "")])).unwrap();
    let numbers: Vec<_> = std::iter::from_fn(|| allocate(&pool).ok()).collect();
    let v4: BTreeSet<_> =
        numbers.iter().filter_map(|vips| vips.v4).map(|ip| ip.octets()[3]).collect();
    assert_eq!(v4, BTreeSet::from([1, 5, 6]));
}

#[test]
fn a_restart_goes_on_after_the_highest_lease() {
    let pool = pool("10.0.0.0/24", "");
    now(pool.restore(&[vips("10.0.0.9", ""), vips("10.0.0.3", "")])).unwrap();
    assert_eq!(allocate(&pool), Ok(vips("10.0.0.10", "")));
}

#[test]
fn leases_outside_the_ranges_are_refused_and_none_is_taken() {
    let inside = vips("10.0.0.1", "");
    for (outside, key) in [
        (vips("10.0.1.1", ""), "ipv4"),
        (vips("10.0.0.0", ""), "ipv4"),
        (vips("10.0.0.255", ""), "ipv4"),
        (vips("9.255.255.255", ""), "ipv4"),
        (vips("", "fd00::1"), "ipv6"),
    ] {
        let pool = pool("10.0.0.0/24", "");
        let error = now(pool.restore(&[inside, outside])).unwrap_err();
        assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some(key)));
        let address = outside.iter().next().unwrap().to_string();
        assert!(error.message.contains(&address), "{error}");
        assert_eq!(allocate(&pool), Ok(inside));
    }
}

#[test]
fn unusable_ranges_are_refused_by_their_key() {
    for (ipv4, ipv6, key) in [
        ("10.0.0.0/31", "", "ipv4"),
        ("10.0.0.0/32", "", "ipv4"),
        ("0.0.0.0/0", "", "ipv4"),
        ("127.1.0.0/16", "", "ipv4"),
        ("224.0.0.0/8", "", "ipv4"),
        ("fd00::/48", "", "ipv4"),
        ("10.0.0.0/8", "fd00::/127", "ipv6"),
        ("10.0.0.0/8", "::/0", "ipv6"),
        ("10.0.0.0/8", "::ffff:10.0.0.0/104", "ipv6"),
        ("10.0.0.0/8", "fe80::/64", "ipv6"),
        ("10.0.0.0/8", "198.18.0.0/16", "ipv6"),
    ] {
        let error = Pool::new(config(ipv4, ipv6)).unwrap_err();
        assert_eq!(error.fault, Fault::Config, "{ipv4} {ipv6}");
        assert_eq!(error.key.as_deref(), Some(key), "{error}");
    }
}

#[test]
fn threads_never_get_the_same_address() {
    let pool = pool("10.0.0.0/20", "fd00::/112");
    let all: Vec<Vips> = std::thread::scope(|scope| {
        let work = || -> Vec<Vips> {
            let mut kept = Vec::new();
            for round in 0..800 {
                let vips = allocate(&pool).unwrap();
                match round % 3 {
                    0 => now(pool.release(&vips)),
                    _ => kept.push(vips),
                }
            }
            kept
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<IpAddr> = all.iter().flat_map(|vips| vips.iter()).collect();
    assert_eq!(distinct.len(), 2 * all.len());
}

#[test]
fn a_large_range_costs_nothing_until_it_is_used() {
    let pool = pool("10.0.0.0/8", "fd00::/8");
    let far = vips("10.255.255.254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    now(pool.restore(&[far])).unwrap();
    for _ in 0..10_000 {
        allocate(&pool).unwrap();
    }
    now(pool.release(&far));
}

#[derive(Clone, Debug)]
enum Step {
    Allocate,
    Release(prop::sample::Index),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Allocate),
        3 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..120)
}

fn ranges() -> impl Strategy<Value = Config> {
    let v4 = (any::<u32>(), 24..=30_u8).prop_map(|(ip, length)| {
        // 10.x.x.x: never a special range.
        Prefix::new(Ipv4Addr::from(ip & 0x00ff_ffff | 10 << 24).into(), length)
    });
    let v6 = (any::<u128>(), 8..=126_u8)
        .prop_map(|(ip, length)| Prefix::new(Ipv6Addr::from(ip >> 8 | 0xfd << 120).into(), length));
    (v4, v6, 0..3).prop_map(|(ipv4, ipv6, which)| match which {
        0 => Config { ipv4, ipv6: None },
        1 => Config { ipv4: None, ipv6 },
        _ => Config { ipv4, ipv6 },
    })
}

proptest! {
    #[test]
    fn any_history_keeps_leases_apart_and_inside(config in ranges(), steps in steps()) {
        let mut pool = Pool::new(config).unwrap();
        let mut live: Vec<Vips> = Vec::new();
        for step in steps {
            match step {
                Step::Allocate => match allocate(&pool) {
                    Ok(vips) => {
                        prop_assert_eq!(vips.v4.is_some(), config.ipv4.is_some());
                        prop_assert_eq!(vips.v6.is_some(), config.ipv6.is_some());
                        for ip in vips.iter() {
                            prop_assert!(is_host(&pool.ranges(), ip), "{}", ip);
                            prop_assert!(!live.iter().any(|other| other.contains(ip)), "{}", ip);
                        }
                        live.push(vips);
                    }
                    Err(_) => {
                        // Only when every host of the smaller range is there.
                        let hosts = pool.ranges().iter().map(hosts).min().unwrap();
                        prop_assert_eq!(live.len() as u128, hosts);
                    }
                },
                Step::Release(index) if !live.is_empty() => {
                    now(pool.release(&live.remove(index.index(live.len()))));
                }
                Step::Release(_) => {}
                Step::Restart => {
                    pool = Pool::new(config).unwrap();
                    now(pool.restore(&live)).unwrap();
                }
            }
        }
    }
}

fn host_bits(range: &Prefix) -> u32 {
    (if range.base().is_ipv4() { 32 } else { 128 }) - u32::from(range.length())
}

fn hosts(range: &Prefix) -> u128 {
    (1 << host_bits(range)) - 2
}

/// Whether neither the range's first nor its last address, and inside.
fn is_host(ranges: &[Prefix], ip: IpAddr) -> bool {
    let number = match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => ip.into(),
    };
    ranges.iter().filter(|range| range.contains(ip)).any(|range| {
        let ones = (1_u128 << host_bits(range)) - 1;
        number & ones != 0 && number & ones != ones
    })
}
