use std::time::Duration;

use ntm_core::address::{Candidate, Location};
use ntm_core::plugin::{Begin, Plan, PlanRequest, RelayOption};

use crate::end::{End, Way, ways};

/// A relay and its stand-by.
const RELAYS: usize = 2;

pub(crate) fn decide(request: &PlanRequest, pacing: Duration) -> Plan {
    let (initiator, responder) = (&request.initiator, &request.responder);
    let mut plan = Plan {
        to_initiator: Vec::new(),
        to_responder: Vec::new(),
        begin: Begin::Initiator,
        relays: relays(request),
        pacing,
    };
    let mut under_nat = None;
    for way in ways(initiator) {
        let (Some(mn), Some(cn)) = (End::of(initiator, way), End::of(responder, way)) else {
            continue;
        };
        match (mn.open, cn.open) {
            (true, true) => {}
            (false, true) => under_nat = under_nat.or(Some(Begin::Initiator)),
            (true, false) => under_nat = under_nat.or(Some(Begin::Responder)),
            (false, false) => {
                if mn.same_nat(&cn) {
                    plan.to_initiator.extend(mn.inside());
                    plan.to_responder.extend(cn.inside());
                }
                continue;
            }
        }
        plan.to_initiator.extend(mn.outside());
        plan.to_responder.extend(cn.outside());
    }
    plan.begin = under_nat.unwrap_or(Begin::Initiator);
    plan
}

/// The best relays that both ends can talk to, each in a family of its own
/// if need be (row 6).
fn relays(request: &PlanRequest) -> Vec<usize> {
    let usable = |relay: &RelayOption| {
        reaches(&request.initiator, relay) && reaches(&request.responder, relay)
    };
    let indices = request.relays.iter().enumerate();
    indices.filter(|(_, relay)| usable(relay)).map(|(index, _)| index).take(RELAYS).collect()
}

fn reaches(location: &Location, relay: &RelayOption) -> bool {
    let of_relay = |candidate: &Candidate| {
        let way = Way::of(candidate);
        way.is_some_and(|way| End::of(location, way).is_some())
    };
    relay.candidates.iter().any(of_relay)
}
