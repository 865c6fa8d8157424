use std::time::Duration;

use async_trait::async_trait;

use crate::plugin::{Begin, Plan, PlanRequest, PluginError, Traversal};

/// A world without NATs: both ends are where they say, the relays stand by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Direct {
    /// The plan for this pair, without waiting.
    pub fn decide(request: &PlanRequest) -> Plan {
        Plan {
            to_initiator: request.initiator.claimed.clone(),
            to_responder: request.responder.claimed.clone(),
            begin: Begin::Initiator,
            relays: (0..request.relays.len().min(2)).collect(),
            pacing: Duration::from_millis(20),
        }
    }
}

#[async_trait]
impl Traversal for Direct {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError> {
        Ok(Self::decide(request))
    }
}
