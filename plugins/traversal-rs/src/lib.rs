//! The paper's rule: the tunnel is begun from under the NAT, and goes through a
//! relay where both ends are under one.
//!
//! For each transport that both ends have, in the initiator's order, and for
//! each family, IPv6 first, both ends are classified by what the coordinator
//! saw of them:
//!
//! | row | initiator (MN) | responder (CN) | paths | begins |
//! | --- | --- | --- | --- | --- |
//! | 1 | open | open | direct | initiator |
//! | 2 | natted | open | direct | initiator |
//! | 3 | open | natted | direct | responder |
//! | 4 | natted | natted | none but the relay | initiator |
//! | 5 | natted | natted, the same address observed | between their private addresses | initiator |
//! | 6 | no family in common | | none but a relay that has both | initiator |
//! | 7, 8 | two families | one or two | rows 1–5 for each common family | see below |
//!
//! - *Open*: the address that the coordinator observed is one that the node
//!   claims; for a transport that it has not seen the node by, the IP address by which
//!   another one did. *Natted*: observed and not claimed, or nothing observed, as after a
//!   move.
//! - To an open end lead its observed address and then its other claimed global
//!   ones, to a natted end its observed address alone, if there is one.
//! - Who begins: the natted end of the first way that has exactly one, since it
//!   has to, although an open family before it would let either begin; else the
//!   initiator.
//! - Relays are in every plan, at most two, each with a place that either end has
//!   a transport and family for.
//!
//! The same public address does not make the same network (row 5, under a
//! carrier's NAT); whoever answers there has to prove itself as everywhere.
//!
//! To read on: [`Rs`], then `decide` (the table), `end` (one end on one way),
//! `scope` (which addresses lead anywhere).
#![forbid(unsafe_code)]

mod decide;
mod end;
mod scope;

use std::time::Duration;

use async_trait::async_trait;
use ntm_core::plugin::{Fault, Plan, PlanRequest, PluginError, Traversal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `[traversal.config]` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The least time between checks of two candidates, in milliseconds, 5 to
    /// 1000 (RFC 8445, section 14.2, asks for at least 5).
    pub pacing_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { pacing_ms: 20 }
    }
}

/// The paper's rule.
#[derive(Clone, Copy, Debug)]
pub struct Rs {
    pacing: Duration,
}

impl Rs {
    /// The rule with these settings.
    ///
    /// # Errors
    /// `Config`: the pacing is out of bounds.
    pub fn new(config: Config) -> Result<Self, PluginError> {
        if !(5..=1000).contains(&config.pacing_ms) {
            let message = format!("a pacing of {} ms is out of bounds", config.pacing_ms);
            let error = PluginError::new(Fault::Config, message, "use 5 to 1000");
            return Err(error.at("pacing_ms"));
        }
        Ok(Self { pacing: Duration::from_millis(config.pacing_ms) })
    }

    /// The plan for this pair, without waiting. Every pair has one.
    pub fn decide(&self, request: &PlanRequest) -> Plan {
        decide::decide(request, self.pacing)
    }
}

#[async_trait]
impl Traversal for Rs {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError> {
        Ok(self.decide(request))
    }
}
