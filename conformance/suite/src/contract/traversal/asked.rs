use std::sync::Arc;

use ntm_core::plugin::{Plan, PlanRequest, Traversal};

use super::facts::{Anything, rows};
use crate::case::Case;
use crate::outcome::Stop;
use crate::wait::within;

/// The seeds of the requests that everything is tried with; a report names the one that
/// a request follows from.
const SEEDS: u64 = 1500;

/// A request, and what to call it.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) request: PlanRequest,
}

/// Every row of the decision table, then anything at all.
pub(super) fn requests() -> Vec<Asked> {
    let rows = rows().into_iter().map(|row| Asked { name: row.name, request: row.request });
    let any = |seed| Asked { name: format!("seed {seed}"), request: Anything::new(seed).request() };
    rows.chain((0..SEEDS).map(any)).collect()
}

/// One instance of the plugin under test.
pub(super) struct Planner(pub(super) Arc<dyn Traversal>);

impl Planner {
    pub(super) fn open(case: &Case) -> Result<Self, Stop> {
        Ok(Self(case.traversal()?))
    }

    /// The plan, which there has to be.
    pub(super) async fn plan(&self, name: &str, request: &PlanRequest) -> Result<Plan, Stop> {
        within("a plan", self.0.plan(request))
            .await?
            .map_err(|error| Stop::broken(format!("{name}: no plan for {request:?}: {error}")))
    }

    /// The plan of each request.
    pub(super) async fn each(&self) -> Result<Vec<(Asked, Plan)>, Stop> {
        let mut plans = Vec::new();
        for asked in requests() {
            let plan = self.plan(&asked.name, &asked.request).await?;
            plans.push((asked, plan));
        }
        Ok(plans)
    }
}
