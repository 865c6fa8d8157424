//! Every row of the table, in both families.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use ntm_core::address::{Candidate, Location, Observed, TransportKind};
use ntm_core::plugin::{Begin, Plan, PlanRequest, RelayOption};
use ntm_traversal_rs::{Config, Rs};

/// The addresses of a story, in one family.
struct Family {
    mn: &'static str,
    mn_other: &'static str,
    mn_private: &'static str,
    mn_nat: &'static str,
    cn: &'static str,
    cn_private: &'static str,
    cn_nat: &'static str,
    /// The NAT of the MN, as the CN is seen behind it.
    cn_same_nat: &'static str,
    relay: &'static str,
}

const V4: Family = Family {
    mn: "192.0.2.10:4330",
    mn_other: "192.0.2.11:4330",
    mn_private: "192.168.1.10:4330",
    mn_nat: "203.0.113.1:20001",
    cn: "198.51.100.20:4330",
    cn_private: "192.168.1.20:4330",
    cn_nat: "203.0.113.2:20002",
    cn_same_nat: "203.0.113.1:20002",
    relay: "203.0.113.99:4330",
};

const V6: Family = Family {
    mn: "[2001:db8:a::10]:4330",
    mn_other: "[2001:db8:a::11]:4330",
    mn_private: "[fd00::10]:4330",
    mn_nat: "[2001:db8:1::1]:20001",
    cn: "[2001:db8:c::20]:4330",
    cn_private: "[fd00::20]:4330",
    cn_nat: "[2001:db8:2::2]:20002",
    cn_same_nat: "[2001:db8:1::1]:20002",
    relay: "[2001:db8:f::99]:4330",
};

const BOTH: [Family; 2] = [V4, V6];

fn udp(addr: &str) -> Candidate {
    Candidate::udp(addr.parse().unwrap())
}

fn all(addrs: &[&str]) -> Vec<Candidate> {
    addrs.iter().map(|addr| udp(addr)).collect()
}

fn at(claimed: &[&str], observed: &[&str]) -> Location {
    let observed = all(observed);
    let observed = observed.iter().map(|&candidate| Observed { candidate, proved: true }).collect();
    Location { claimed: all(claimed), observed }
}

fn relay(addrs: &[&str]) -> RelayOption {
    RelayOption { candidates: all(addrs) }
}

fn plan(initiator: Location, responder: Location, relays: Vec<RelayOption>) -> Plan {
    let rs = Rs::new(Config::default()).unwrap();
    rs.decide(&PlanRequest { initiator, responder, relays })
}

#[track_caller]
fn expect(plan: &Plan, to_initiator: &[&str], to_responder: &[&str], begin: Begin) {
    assert_eq!(plan.to_initiator, all(to_initiator), "to the initiator");
    assert_eq!(plan.to_responder, all(to_responder), "to the responder");
    assert_eq!(plan.begin, begin);
    assert_eq!(plan.relays, [0], "the relay is in every plan");
}

#[test]
fn row_1_both_open_is_direct_and_the_initiator_begins() {
    for f in BOTH {
        let mn = at(&[f.mn_private, f.mn_other, f.mn], &[f.mn]);
        let plan = plan(mn, at(&[f.cn], &[f.cn]), vec![relay(&[f.relay])]);
        expect(&plan, &[f.mn, f.mn_other], &[f.cn], Begin::Initiator);
        assert_eq!(plan.pacing, Duration::from_millis(20));
    }
}

#[test]
fn row_2_an_initiator_behind_a_nat_begins() {
    for f in BOTH {
        let mn = at(&[f.mn_private, f.mn_other], &[f.mn_nat]);
        let plan = plan(mn, at(&[f.cn], &[f.cn]), vec![relay(&[f.relay])]);
        expect(&plan, &[f.mn_nat], &[f.cn], Begin::Initiator);
    }
}

#[test]
fn row_3_a_responder_behind_a_nat_begins() {
    for f in BOTH {
        let cn = at(&[f.cn_private], &[f.cn_nat]);
        let plan = plan(at(&[f.mn], &[f.mn]), cn, vec![relay(&[f.relay])]);
        expect(&plan, &[f.mn], &[f.cn_nat], Begin::Responder);
    }
}

#[test]
fn row_4_both_behind_nats_is_relayed() {
    for f in BOTH {
        let mn = at(&[f.mn_private], &[f.mn_nat]);
        let cn = at(&[f.cn_private], &[f.cn_nat]);
        expect(&plan(mn, cn, vec![relay(&[f.relay])]), &[], &[], Begin::Initiator);
    }
}

#[test]
fn row_5_both_behind_one_nat_try_their_private_addresses_beside_the_relay() {
    for f in BOTH {
        let mn = at(&[f.mn_private], &[f.mn_nat]);
        let cn = at(&[f.cn_private], &[f.cn_same_nat]);
        let plan = plan(mn, cn, vec![relay(&[f.relay])]);
        expect(&plan, &[f.mn_private], &[f.cn_private], Begin::Initiator);
    }
}

#[test]
fn row_6_without_a_common_family_a_dual_stack_relay_is_needed() {
    for (mn, cn) in [(V4, V6), (V6, V4)] {
        let relays = vec![relay(&[mn.relay]), relay(&[cn.relay]), relay(&[mn.relay, cn.relay])];
        let plan = plan(at(&[mn.mn], &[mn.mn]), at(&[cn.cn], &[cn.cn]), relays);
        assert_eq!((plan.to_initiator, plan.to_responder), (vec![], vec![]));
        assert_eq!(plan.relays, [2]);
    }
}

#[test]
fn row_7_two_families_meet_one_in_the_common_one() {
    for (common, other) in [(V4, V6), (V6, V4)] {
        let dual = at(&[other.mn, common.mn], &[other.mn, common.mn]);
        let single = at(&[common.cn], &[common.cn]);
        let relays = vec![relay(&[common.relay])];
        let open = plan(dual.clone(), single.clone(), relays.clone());
        expect(&open, &[common.mn], &[common.cn], Begin::Initiator);
        // The other way round, and behind a NAT in the common family only.
        let natted = at(&[other.mn, common.mn_private], &[other.mn, common.mn_nat]);
        let plan = plan(single, natted, relays);
        expect(&plan, &[common.cn], &[common.mn_nat], Begin::Responder);
    }
}

#[test]
fn row_8_two_families_are_both_tried_ipv6_first() {
    let mn = at(&[V4.mn, V6.mn], &[V4.mn, V6.mn]);
    let cn = at(&[V4.cn, V6.cn], &[V4.cn, V6.cn]);
    let plan = plan(mn, cn, vec![relay(&[V4.relay])]);
    expect(&plan, &[V6.mn, V4.mn], &[V6.cn, V4.cn], Begin::Initiator);
}

#[test]
fn row_8_each_family_is_judged_by_itself() {
    // NATs on both sides in IPv4, none in IPv6.
    let mn = at(&[V4.mn_private, V6.mn], &[V4.mn_nat, V6.mn]);
    let cn = at(&[V4.cn_private, V6.cn], &[V4.cn_nat, V6.cn]);
    let relays = vec![relay(&[V4.relay])];
    expect(&plan(mn.clone(), cn, relays.clone()), &[V6.mn], &[V6.cn], Begin::Initiator);
    // The same NAT in IPv4: its inside comes after IPv6.
    let cn = at(&[V4.cn_private, V6.cn], &[V4.cn_same_nat, V6.cn]);
    let plan = plan(mn, cn, relays);
    expect(&plan, &[V6.mn, V4.mn_private], &[V6.cn, V4.cn_private], Begin::Initiator);
}

#[test]
fn row_8_an_end_that_has_to_begin_in_one_family_begins_in_both() {
    let mn = at(&[V4.mn, V6.mn], &[V4.mn, V6.mn]);
    let cn = at(&[V4.cn_private, V6.cn], &[V4.cn_nat, V6.cn]);
    let plan = plan(mn, cn, vec![relay(&[V4.relay])]);
    expect(&plan, &[V6.mn, V4.mn], &[V6.cn, V4.cn_nat], Begin::Responder);
}

#[test]
fn an_end_that_was_not_seen_yet_counts_as_natted() {
    for f in BOTH {
        let unseen = at(&[f.mn], &[]);
        let relays = vec![relay(&[f.relay])];
        let row_2 = plan(unseen.clone(), at(&[f.cn], &[f.cn]), relays.clone());
        expect(&row_2, &[], &[f.cn], Begin::Initiator);
        let row_3 = plan(at(&[f.cn], &[f.cn]), unseen.clone(), relays.clone());
        expect(&row_3, &[f.cn], &[], Begin::Responder);
        // Two that nobody saw are not behind the same NAT.
        expect(&plan(unseen.clone(), at(&[f.cn], &[]), relays), &[], &[], Begin::Initiator);
    }
}

#[test]
fn a_changed_port_alone_is_a_nat() {
    let mn = at(&["192.0.2.10:4330"], &["192.0.2.10:61000"]);
    let plan = plan(at(&[V4.cn], &[V4.cn]), mn, vec![relay(&[V4.relay])]);
    expect(&plan, &[V4.cn], &["192.0.2.10:61000"], Begin::Responder);
}

#[test]
fn a_private_address_where_the_coordinator_saw_it_is_open() {
    let mn = at(&[V4.mn_private], &[V4.mn_private]);
    let cn = at(&[V4.cn_private], &[V4.cn_private]);
    let plan = plan(mn, cn, vec![relay(&[V4.relay])]);
    expect(&plan, &[V4.mn_private], &[V4.cn_private], Begin::Initiator);
}

#[test]
fn addresses_that_lead_nowhere_are_passed_over() {
    let nowhere = [
        "0.0.0.0:4330",
        "0.1.2.3:4330",
        "127.0.0.1:4330",
        "169.254.7.7:4330",
        "224.0.0.1:4330",
        "255.255.255.255:4330",
        "192.0.2.77:0",
        "[::]:4330",
        "[::1]:4330",
        "[fe80::1]:4330",
        "[ff02::1]:4330",
        "[::ffff:192.0.2.77]:4330",
    ];
    let mut mn = at(&nowhere, &[V4.mn]);
    mn.claimed.push(udp(V4.mn));
    let direct = plan(mn, at(&[V4.cn], &[V4.cn]), vec![relay(&[V4.relay])]);
    expect(&direct, &[V4.mn], &[V4.cn], Begin::Initiator);
    // Nor do they count as a family, for a path or for a relay.
    for addr in nowhere {
        let family = if addr.starts_with('[') { V6 } else { V4 };
        let cn = at(&[family.cn], &[family.cn]);
        let plan = plan(at(&[addr], &[addr]), cn, vec![relay(&[V4.relay, V6.relay])]);
        assert_eq!((plan.to_responder, plan.relays), (vec![], vec![]), "{addr}");
    }
}

#[test]
fn only_equal_transports_are_paired_in_the_initiators_order() {
    let quic = |addr: &str| Candidate { kind: TransportKind::QUIC, addr: addr.parse().unwrap() };
    let seen = |candidate| Observed { candidate, proved: false };
    let mut mn = at(&[V4.mn], &[V4.mn]);
    mn.claimed.insert(0, quic(V4.mn_other));
    mn.observed.push(seen(quic(V4.mn_other)));
    let only_udp = at(&[V4.cn], &[V4.cn]);
    let with_udp = plan(mn.clone(), only_udp.clone(), vec![]);
    assert_eq!(with_udp.to_initiator, all(&[V4.mn]));
    let mut both = only_udp;
    both.claimed.push(quic(V4.cn));
    both.observed.push(seen(quic(V4.cn_nat)));
    let relays = vec![RelayOption { candidates: vec![quic(V4.relay)] }, relay(&[V4.relay])];
    let with_both = plan(mn, both, relays.clone());
    assert_eq!(with_both.to_responder, [quic(V4.cn_nat), udp(V4.cn)]);
    assert_eq!(with_both.relays, [0, 1]);
    // A relay that speaks only what one end does not is no relay.
    assert_eq!(plan(at(&[V4.mn], &[]), at(&[V4.cn], &[]), relays).relays, [1]);
}

#[test]
fn two_relays_at_most_best_first() {
    let relays =
        vec![relay(&[V6.relay]), relay(&[V4.relay]), relay(&[V4.relay]), relay(&[V4.relay])];
    let plan = plan(at(&[V4.mn], &[V4.mn]), at(&[V4.cn], &[V4.cn]), relays);
    assert_eq!(plan.relays, [1, 2]);
}

#[test]
fn a_pacing_out_of_bounds_is_refused() {
    for pacing_ms in [0, 4, 1001] {
        let error = Rs::new(Config { pacing_ms }).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("pacing_ms"));
    }
    let rs = Rs::new(Config { pacing_ms: 5 }).unwrap();
    let empty = PlanRequest {
        initiator: Location::default(),
        responder: Location::default(),
        relays: vec![],
    };
    assert_eq!(rs.decide(&empty).pacing, Duration::from_millis(5));
}
