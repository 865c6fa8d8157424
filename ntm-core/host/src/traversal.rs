use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ntm_abi::{Error, PlanSink, TraversalTable, begin, status};
use ntm_core::address::{Candidate, Location, TransportKind};
use ntm_core::plugin::{Begin, Plan, PlanRequest, PluginError, Traversal};
use serde_json::Value;

use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::library::Library;
use crate::watchdog::Call;

struct DynTraversal(Arc<Keeper<TraversalTable, Nothing>>);

/// Nothing is kept of an instance.
struct Nothing;

impl Hooks<TraversalTable> for Nothing {
    fn came(&self, _: &Arc<Instance<TraversalTable>>) -> Result<(), PluginError> {
        Ok(())
    }

    fn went(&self, _: &Arc<Instance<TraversalTable>>) {}
}

impl Library {
    /// Opens the traversal in this library.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn traversal(&'static self, config: &Value) -> Result<Arc<dyn Traversal>, PluginError> {
        let recipe = Recipe { config: config.to_string(), lanes: 0 };
        Ok(Arc::new(DynTraversal(Keeper::open(self, recipe, Nothing)?)))
    }
}

/// The lists of a plan so far.
#[derive(Default)]
struct Lists {
    to_initiator: Vec<Candidate>,
    to_responder: Vec<Candidate>,
    relays: Vec<usize>,
    lie: bool,
}

/// More than anybody is told.
const MOST: usize = 1024;

impl Lists {
    fn candidate(&mut self, item: *const ntm_abi::Candidate, to_initiator: bool) {
        // SAFETY: the plugin lends it for the call.
        let candidate = unsafe { item.as_ref() }.and_then(|it| {
            let kind = TransportKind(u8::try_from(it.wire_kind).ok()?);
            Some(Candidate { kind, addr: it.addr.socket()? })
        });
        let list = if to_initiator { &mut self.to_initiator } else { &mut self.to_responder };
        match candidate {
            Some(candidate) if list.len() < MOST => list.push(candidate),
            Some(_) | None => self.lie = true,
        }
    }
}

unsafe extern "C" fn to_initiator(ctx: *mut c_void, item: *const ntm_abi::Candidate) {
    // SAFETY: `ctx` is the one that was lent with this function.
    unsafe { &mut *ctx.cast::<Lists>() }.candidate(item, true);
}

unsafe extern "C" fn to_responder(ctx: *mut c_void, item: *const ntm_abi::Candidate) {
    // SAFETY: as above.
    unsafe { &mut *ctx.cast::<Lists>() }.candidate(item, false);
}

unsafe extern "C" fn relay(ctx: *mut c_void, index: u32) {
    // SAFETY: as above.
    let lists = unsafe { &mut *ctx.cast::<Lists>() };
    if lists.relays.len() < MOST {
        lists.relays.push(index as usize);
    } else {
        lists.lie = true;
    }
}

/// A location as it crosses.
struct Crossing {
    claimed: Vec<ntm_abi::Candidate>,
    observed: Vec<ntm_abi::Observed>,
}

fn candidate(candidate: &Candidate) -> ntm_abi::Candidate {
    ntm_abi::Candidate { addr: candidate.addr.into(), wire_kind: candidate.kind.0.into() }
}

impl Crossing {
    fn new(location: &Location) -> Self {
        let observed = location.observed.iter().map(|seen| ntm_abi::Observed {
            candidate: candidate(&seen.candidate),
            proved: seen.proved.into(),
        });
        let claimed = location.claimed.iter().map(candidate).collect();
        Self { claimed, observed: observed.collect() }
    }

    fn lend(&self) -> ntm_abi::Location {
        ntm_abi::Location::new(&self.claimed, &self.observed)
    }
}

fn plan(
    it: &Instance<TraversalTable>,
    table: &TraversalTable,
    handle: ntm_abi::Handle,
    request: &PlanRequest,
) -> Result<Plan, PluginError> {
    let (initiator, responder) =
        (Crossing::new(&request.initiator), Crossing::new(&request.responder));
    let candidates: Vec<Vec<_>> = request
        .relays
        .iter()
        .map(|relay| relay.candidates.iter().map(candidate).collect())
        .collect();
    let relays: Vec<_> = candidates.iter().map(|list| ntm_abi::Relay::new(list)).collect();
    let request = ntm_abi::PlanRequest::new(initiator.lend(), responder.lend(), &relays);
    let mut lists = Lists::default();
    let sink = PlanSink {
        ctx: (&raw mut lists).cast(),
        to_initiator: Some(to_initiator),
        to_responder: Some(to_responder),
        relay: Some(relay),
    };
    let size = size_of::<ntm_abi::Plan>() as u32;
    let mut out = ntm_abi::Plan { size, ..ntm_abi::Plan::default() };
    let mut error = Error::NONE;
    let answer = table.plan.map_or(status::FAILED, |plan| {
        let (request, out, sink) = (&raw const request, &raw mut out, &raw const sink);
        // SAFETY: everything is lent for the call.
        unsafe { plan(handle, request, out, sink, &raw mut error) }
    });
    it.judge("plan", answer, &error)?;
    let begin = match out.begin {
        begin::INITIATOR => Some(Begin::Initiator),
        begin::RESPONDER => Some(Begin::Responder),
        _ => None,
    };
    let (Some(begin), false) = (begin, lists.lie) else {
        it.lied("gave a plan that cannot be".into());
        return Err(it.trouble());
    };
    let Lists { to_initiator, to_responder, relays, .. } = lists;
    let pacing = Duration::from_micros(out.pacing_us);
    Ok(Plan { to_initiator, to_responder, begin, relays, pacing })
}

#[async_trait]
impl Traversal for DynTraversal {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError> {
        let request = request.clone();
        let ask = move |it: &Instance<TraversalTable>, table: &TraversalTable, handle| {
            plan(it, table, handle, &request)
        };
        self.0.instance()?.ask(Call::slow("plan"), ask).await?
    }
}
