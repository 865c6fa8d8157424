//! What holds of the plan for any two locations.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::{IpAddr, SocketAddr};

use ntm_core::address::{Candidate, Location, Observed, TransportKind};
use ntm_core::plugin::{Begin, Plan, PlanRequest, RelayOption};
use ntm_traversal_rs::{Config, Rs};
use proptest::collection::vec;
use proptest::prelude::*;

/// Few enough that ends often share addresses; good ones and bad ones.
const ADDRESSES: [&str; 16] = [
    "192.0.2.1",
    "192.0.2.2",
    "198.51.100.1",
    "10.0.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.0.1",
    "0.0.0.0",
    "2001:db8::1",
    "2001:db8::2",
    "fd00::1",
    "fe80::1",
    "ff02::1",
    "::1",
    "::ffff:192.0.2.1",
];

fn candidate() -> impl Strategy<Value = Candidate> {
    let ip = prop::sample::select(&ADDRESSES[..]);
    (ip, prop::sample::select(&[0_u16, 4330, 4331][..]), 1..=2_u8).prop_map(|(ip, port, kind)| {
        let ip: IpAddr = ip.parse().unwrap();
        Candidate { kind: TransportKind(kind), addr: SocketAddr::new(ip, port) }
    })
}

prop_compose! {
    /// Observed: sometimes what is claimed, at most one a transport and family.
    fn location()(
        claimed in vec(candidate(), 0..6),
        others in vec(candidate(), 0..3),
        picks in vec(any::<prop::sample::Index>(), 0..3),
        proved: bool,
    ) -> Location {
        let mut location = Location { claimed, observed: Vec::new() };
        let picked = picks.iter().filter(|_| !location.claimed.is_empty());
        let picked: Vec<_> = picked.map(|pick| *pick.get(&location.claimed)).collect();
        for candidate in picked.into_iter().chain(others) {
            if location.observed(candidate.kind, candidate.addr.is_ipv6()).is_none() {
                location.observed.push(Observed { candidate, proved });
            }
        }
        location
    }
}

prop_compose! {
    fn request()(
        initiator in location(),
        responder in location(),
        relays in vec(vec(candidate(), 0..4), 0..5),
    ) -> PlanRequest {
        let relays = relays.into_iter().map(|candidates| RelayOption { candidates }).collect();
        PlanRequest { initiator, responder, relays }
    }
}

fn decide(request: &PlanRequest) -> Plan {
    Rs::new(Config::default()).unwrap().decide(request)
}

fn is_of(candidate: &Candidate, location: &Location) -> bool {
    location.claimed.contains(candidate)
        || location.observed.iter().any(|seen| seen.candidate == *candidate)
}

fn has_way(location: &Location, like: &Candidate) -> bool {
    let same = |own: &Candidate| {
        own.kind == like.kind && own.addr.is_ipv6() == like.addr.is_ipv6() && own.addr.port() != 0
    };
    location.claimed.iter().any(same) || location.observed.iter().any(|seen| same(&seen.candidate))
}

/// What the first bytes say, written otherwise than the plugin does.
fn leads_nowhere(ip: IpAddr) -> bool {
    let text = ip.to_string();
    ["127.", "169.254.", "0.", "224.", "fe80:", "ff02:", "::"].iter().any(|s| text.starts_with(s))
}

fn is_private(ip: IpAddr) -> bool {
    let text = ip.to_string();
    ["10.", "192.168.", "100.64.", "fd00:"].iter().any(|start| text.starts_with(start))
}

fn swapped(request: &PlanRequest) -> PlanRequest {
    PlanRequest {
        initiator: request.responder.clone(),
        responder: request.initiator.clone(),
        relays: request.relays.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn candidates_are_the_peers_own_and_lead_somewhere(request in request()) {
        let plan = decide(&request);
        let (mn, cn) = (&request.initiator, &request.responder);
        for (list, own, other) in [(&plan.to_initiator, mn, cn), (&plan.to_responder, cn, mn)] {
            for candidate in list {
                prop_assert!(is_of(candidate, own), "{:?} is not of this end", candidate);
                prop_assert!(has_way(other, candidate), "{:?} is no use to the other", candidate);
                prop_assert!(!leads_nowhere(candidate.addr.ip()), "{:?}", candidate);
                prop_assert!(candidate.addr.port() != 0);
                let times = list.iter().filter(|other| *other == candidate).count();
                prop_assert_eq!(times, 1, "{:?} is there twice", candidate);
            }
        }
    }

    #[test]
    fn private_addresses_are_told_only_where_they_were_seen_or_behind_one_nat(
        request in request(),
    ) {
        let plan = decide(&request);
        let (mn, cn) = (&request.initiator, &request.responder);
        for (list, own, other) in [(&plan.to_initiator, mn, cn), (&plan.to_responder, cn, mn)] {
            for candidate in list.iter().filter(|candidate| is_private(candidate.addr.ip())) {
                let seen = |end: &Location| {
                    let seen = end.observed(candidate.kind, candidate.addr.is_ipv6());
                    seen.map(|seen| seen.candidate.addr)
                };
                let same_nat = || seen(own).map(|a| a.ip()) == seen(other).map(|a| a.ip());
                prop_assert!(seen(own) == Some(candidate.addr) || seen(own).is_some() && same_nat());
            }
        }
    }

    #[test]
    fn relays_are_distinct_ones_of_the_request_that_both_can_use(request in request()) {
        let relays = decide(&request).relays;
        prop_assert!(relays.len() <= 2);
        prop_assert!(relays.windows(2).all(|pair| pair[0] < pair[1]));
        for index in relays {
            prop_assert!(index < request.relays.len());
            let relay = &request.relays[index];
            for end in [&request.initiator, &request.responder] {
                prop_assert!(relay.candidates.iter().any(|candidate| has_way(end, candidate)));
            }
        }
    }

    #[test]
    fn the_one_end_that_is_natted_everywhere_begins(
        mut request in request(),
        open in prop::sample::subsequence(&ADDRESSES[..3], 1..=3),
    ) {
        // The responder is open on a way, and the only one who is on any.
        let open: Vec<_> = open
            .into_iter()
            .map(|ip| Candidate::udp(SocketAddr::new(ip.parse().unwrap(), 4444)))
            .collect();
        request.responder = Location {
            observed: vec![Observed { candidate: open[0], proved: true }],
            claimed: open,
        };
        request.initiator.observed.retain(|seen| !request.initiator.claimed.contains(&seen.candidate));
        let (forth, back) = (decide(&request), decide(&swapped(&request)));
        prop_assert_eq!(forth.begin, Begin::Initiator);
        if !forth.to_responder.is_empty() {
            prop_assert_eq!(back.begin, Begin::Responder);
        }
    }

    #[test]
    fn whoever_asks_the_paths_are_as_many(request in request()) {
        let sorted = |mut list: Vec<Candidate>| {
            list.sort();
            list
        };
        let (forth, back) = (decide(&request), decide(&swapped(&request)));
        prop_assert_eq!(sorted(forth.to_initiator), sorted(back.to_responder));
        prop_assert_eq!(sorted(forth.to_responder), sorted(back.to_initiator));
        prop_assert_eq!(forth.relays, back.relays);
    }
}
