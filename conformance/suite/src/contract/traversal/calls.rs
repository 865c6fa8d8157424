//! Whether there is an answer, and always the same.

use std::time::Duration;

use ntm_core::plugin::PlanRequest;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asked::{Planner, requests};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{begin_and_drop, within};

/// What a coordinator waits.
const IN_TIME: Duration = Duration::from_secs(2);

pub(super) async fn total(case: &Case) -> Verdict {
    let plans = Planner::open(case)?.each().await?;
    Ok(Note(format!("{} pairs of locations", plans.len())))
}

pub(super) async fn the_same(case: &Case) -> Verdict {
    let (first, second) = (Planner::open(case)?, Planner::open(case)?);
    let plans = first.each().await?;
    // In another order, and by an instance that was asked nothing else.
    for (asked, plan) in plans.iter().rev() {
        let again = first.plan(&asked.name, &asked.request).await?;
        ensure!(again == *plan, "{}: first {plan:?}, then {again:?}", asked.name);
    }
    for (asked, plan) in plans.iter().step_by(7) {
        let other = second.plan(&asked.name, &asked.request).await?;
        ensure!(other == *plan, "{}: another instance says {other:?}, not {plan:?}", asked.name);
    }
    Ok(Note::NONE)
}

pub(super) async fn overlapping(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    let asked: Vec<_> = requests().into_iter().take(200).collect();
    let mut calls = JoinSet::new();
    for (at, asked) in asked.iter().enumerate() {
        let (traversal, request) = (planner.0.clone(), asked.request.clone());
        calls.spawn(async move { (at, traversal.plan(&request).await) });
    }
    let mut plans = Vec::new();
    while let Some(call) = within("a plan", calls.join_next()).await? {
        plans.push(call.map_err(|error| Stop::broken(format!("a call has died: {error}")))?);
    }
    for (at, plan) in plans {
        let asked = &asked[at];
        let plan = plan.map_err(|error| Stop::broken(format!("{}: {error}", asked.name)))?;
        let alone = planner.plan(&asked.name, &asked.request).await?;
        ensure!(plan == alone, "{}: {plan:?} among others, {alone:?} alone", asked.name);
    }
    Ok(Note::NONE)
}

pub(super) async fn given_up(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    let asked: Vec<_> = requests().into_iter().take(60).collect();
    let mut before = Vec::new();
    for asked in &asked {
        before.push(planner.plan(&asked.name, &asked.request).await?);
    }
    for (asked, before) in asked.iter().zip(before) {
        for other in asked_otherwise(&asked.request) {
            begin_and_drop(planner.0.plan(&other));
        }
        let after = planner.plan(&asked.name, &asked.request).await?;
        ensure!(after == before, "{}: after a call that was given up {after:?}", asked.name);
    }
    Ok(Note::NONE)
}

fn asked_otherwise(request: &PlanRequest) -> [PlanRequest; 2] {
    let nothing = PlanRequest {
        initiator: Default::default(),
        responder: Default::default(),
        relays: Vec::new(),
    };
    [super::facts::swapped(request), nothing]
}

/// Of three answers one at least: a busy machine may delay any.
pub(super) async fn in_time(case: &Case) -> Verdict {
    let planner = Planner::open(case)?;
    let mut late = 0;
    for asked in requests().iter().take(3) {
        if timeout(IN_TIME, planner.0.plan(&asked.request)).await.is_ok() {
            return Ok(Note::NONE);
        }
        late += 1;
    }
    Err(Stop::broken(format!("{late} plans took over {IN_TIME:?}")))
}
