//! What a plan may say, given the facts.

use std::net::IpAddr;

use ntm_core::address::{Candidate, Location};
use ntm_core::plugin::{Begin, Plan, PlanRequest, RelayOption};

use super::asked::Planner;
use super::facts::{rows, swapped};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Verdict};

/// Both lists of a plan, each with the end that it is about and the end that is told.
fn lists<'a>(
    request: &'a PlanRequest,
    plan: &'a Plan,
) -> [(&'static str, &'a [Candidate], &'a Location, &'a Location); 2] {
    let PlanRequest { initiator, responder, .. } = request;
    [
        ("to_initiator", &plan.to_initiator, initiator, responder),
        ("to_responder", &plan.to_responder, responder, initiator),
    ]
}

pub(super) async fn own_candidates(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        for (list, candidates, end, _) in lists(&asked.request, &plan) {
            for candidate in candidates {
                let seen = end.observed.iter().any(|seen| seen.candidate == *candidate);
                let known = seen || end.claims(candidate);
                ensure!(
                    known,
                    "{}: {list} has {candidate}, which that end neither claims nor was seen at: {:?}",
                    asked.name,
                    asked.request
                );
            }
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn candidates_once(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        for (list, candidates, _, _) in lists(&asked.request, &plan) {
            for (at, candidate) in candidates.iter().enumerate() {
                let first = !candidates[..at].contains(candidate);
                ensure!(first, "{}: {list} has {candidate} twice", asked.name);
            }
        }
    }
    Ok(Note::NONE)
}

/// By the first bytes, whatever the standard library makes of them.
fn leads_nowhere(candidate: &Candidate) -> bool {
    let nowhere = match candidate.addr.ip() {
        IpAddr::V4(ip) => {
            matches!(ip.octets(), [0 | 127 | 224..=255, ..] | [169, 254, ..])
        }
        IpAddr::V6(ip) => match ip.segments() {
            [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0, 0, 0, 0 | 1] => true,
            [first, ..] => first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00,
        },
    };
    nowhere || candidate.addr.port() == 0
}

pub(super) async fn somewhere(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        for (list, candidates, _, _) in lists(&asked.request, &plan) {
            for candidate in candidates {
                let good = !leads_nowhere(candidate);
                ensure!(good, "{}: {list} has {candidate}, which leads nowhere", asked.name);
            }
        }
    }
    Ok(Note::NONE)
}

/// Whether an end can send to such a place: it has that transport and family itself.
fn has_way(end: &Location, to: &Candidate) -> bool {
    let own = end.claimed.iter().chain(end.observed.iter().map(|seen| &seen.candidate));
    own.filter(|own| !leads_nowhere(own)).any(|own| own.is_same_way(to))
}

pub(super) async fn common_way(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        for (list, candidates, _, other) in lists(&asked.request, &plan) {
            for candidate in candidates {
                ensure!(
                    has_way(other, candidate),
                    "{}: {list} has {candidate}, and the other end has no such transport and \
                     family: {other:?}",
                    asked.name
                );
            }
        }
    }
    Ok(Note::NONE)
}

fn reaches(end: &Location, relay: &RelayOption) -> bool {
    relay.candidates.iter().any(|candidate| !leads_nowhere(candidate) && has_way(end, candidate))
}

fn usable(request: &PlanRequest, relay: &RelayOption) -> bool {
    reaches(&request.initiator, relay) && reaches(&request.responder, relay)
}

pub(super) async fn relays_exist(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        let count = asked.request.relays.len();
        for (at, index) in plan.relays.iter().enumerate() {
            ensure!(*index < count, "{}: relay {index} of {count}", asked.name);
            let first = !plan.relays[..at].contains(index);
            ensure!(first, "{}: relay {index} is there twice", asked.name);
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn relays_of_both(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        for relay in plan.relays.iter().filter_map(|index| asked.request.relays.get(*index)) {
            let good = usable(&asked.request, relay);
            ensure!(good, "{}: {relay:?} is out of reach of an end", asked.name);
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn relay_where_needed(case: &Case) -> Verdict {
    for (asked, plan) in Planner::open(case)?.each().await? {
        let direct = !plan.to_initiator.is_empty() && !plan.to_responder.is_empty();
        let could = asked.request.relays.iter().any(|relay| usable(&asked.request, relay));
        ensure!(
            direct || !could || !plan.relays.is_empty(),
            "{}: no direct path and no relay, though both reach one: {:?}",
            asked.name,
            asked.request
        );
    }
    Ok(Note::NONE)
}

/// Which end begins, where the facts leave no choice: rows 2 and 3.
fn natted_end(name: &str) -> Option<Begin> {
    match name {
        name if name.starts_with("row 2") => Some(Begin::Initiator),
        name if name.starts_with("row 3") => Some(Begin::Responder),
        _ => None,
    }
}

pub(super) async fn natted_begins(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    for row in rows() {
        let Some(begin) = natted_end(&row.name) else { continue };
        let plan = planner.plan(&row.name, &row.request).await?;
        ensure!(
            plan.begin == begin,
            "{}: {begin:?} is under a NAT and the other is not, and {:?} begins",
            row.name,
            plan.begin
        );
    }
    Ok(Note::NONE)
}

pub(super) async fn one_begins(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    for row in rows() {
        if natted_end(&row.name).is_none() {
            continue;
        }
        let forth = planner.plan(&row.name, &row.request).await?.begin;
        let back = planner.plan(&row.name, &swapped(&row.request)).await?.begin;
        ensure!(
            forth != back,
            "{}: the {forth:?} begins whoever asks, so each end in its turn",
            row.name
        );
    }
    Ok(Note::NONE)
}

pub(super) async fn symmetric(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    for (asked, forth) in planner.each().await? {
        let back = planner.plan(&asked.name, &swapped(&asked.request)).await?;
        let sorted = |list: &[Candidate]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        let same = sorted(&forth.to_initiator) == sorted(&back.to_responder)
            && sorted(&forth.to_responder) == sorted(&back.to_initiator);
        ensure!(
            same,
            "{}: {forth:?} becomes {back:?} when the other end asks: {:?}",
            asked.name,
            asked.request
        );
    }
    Ok(Note::NONE)
}

pub(super) async fn direct_where_open(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    for row in rows().into_iter().filter(|row| row.name.starts_with("row 1")) {
        let plan = planner.plan(&row.name, &row.request).await?;
        for (list, candidates, end, _) in lists(&row.request, &plan) {
            let seen = end.observed.iter().map(|seen| seen.candidate);
            let told = seen.into_iter().all(|seen| candidates.contains(&seen));
            ensure!(told, "{}: {list} is {candidates:?}, and both ends are in the open", row.name);
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn table(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    for row in rows() {
        let plan = planner.plan(&row.name, &row.request).await?;
        let said = (&plan.to_initiator, &plan.to_responder, plan.begin, &plan.relays);
        let table = (&row.to_initiator, &row.to_responder, row.begin, &row.relays);
        ensure!(said == table, "{}: it says {said:?}, the table {table:?}", row.name);
    }
    Ok(Note::NONE)
}
