use std::marker::PhantomData;

use ntm_abi::{
    Candidate, Error, Handle, Location, Plan, PlanRequest, PlanSink, TraversalTable, begin,
};
use ntm_core::address::{self, Observed, TransportKind};
use ntm_core::plugin::{self, Begin, PluginError, RelayOption, Traversal};

use crate::Exported;
use crate::guard::status;
use crate::instance::{Instance, State};

/// The table of a traversal.
pub struct TraversalShims<E>(PhantomData<E>);

struct Opened<T>(T);

impl<T: Traversal + 'static> State for Opened<T> {
    type Plugin = T;

    fn new(traversal: T) -> Result<Self, PluginError> {
        Ok(Self(traversal))
    }
}

impl<E: Exported<Plugin: Traversal>> TraversalShims<E> {
    /// The table.
    pub const TABLE: TraversalTable = TraversalTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<TraversalTable>()),
        plan: Some(plan::<E::Plugin>),
    };
}

unsafe extern "C" fn plan<T: Traversal + 'static>(
    handle: Handle,
    request: *const PlanRequest,
    out: *mut Plan,
    sink: *const PlanSink,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave, and lends the rest.
        let (instance, request, sink) =
            unsafe { (Instance::<Opened<T>>::of(handle), decode(&*request), &*sink) };
        let plan = instance.wait(instance.state().0.plan(&request))?;
        let lists =
            [(sink.to_initiator, plan.to_initiator), (sink.to_responder, plan.to_responder)];
        for (put, candidates) in lists {
            for candidate in candidates {
                let addr = candidate.addr.into();
                let candidate = Candidate { addr, wire_kind: candidate.kind.0.into() };
                if let Some(put) = put {
                    // SAFETY: the host's own function and sink.
                    unsafe { put(sink.ctx, &raw const candidate) };
                }
            }
        }
        for relay in plan.relays {
            if let (Some(put), Ok(relay)) = (sink.relay, u32::try_from(relay)) {
                // SAFETY: the host's own function and sink.
                unsafe { put(sink.ctx, relay) };
            }
        }
        let begin = match plan.begin {
            Begin::Initiator => begin::INITIATOR,
            Begin::Responder => begin::RESPONDER,
        };
        let pacing_us = u64::try_from(plan.pacing.as_micros()).unwrap_or(u64::MAX);
        // SAFETY: the host lends it for the call.
        unsafe {
            (*out).begin = begin;
            (*out).pacing_us = pacing_us;
        }
        Ok(())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

/// # Safety
/// Everything in it is lent for the call.
unsafe fn decode(request: &PlanRequest) -> plugin::PlanRequest {
    let candidate = |candidate: &Candidate| {
        let kind = TransportKind(u8::try_from(candidate.wire_kind).ok()?);
        Some(address::Candidate { kind, addr: candidate.addr.socket()? })
    };
    // SAFETY: what the caller promises.
    let location = |location: &Location| unsafe {
        let observed = |it: &ntm_abi::Observed| {
            Some(Observed { candidate: candidate(&it.candidate)?, proved: it.proved != 0 })
        };
        address::Location {
            claimed: location.claimed().iter().filter_map(candidate).collect(),
            observed: location.observed().iter().filter_map(observed).collect(),
        }
    };
    // SAFETY: what the caller promises.
    let relays = unsafe {
        let relay = |relay: &ntm_abi::Relay| RelayOption {
            candidates: relay.candidates().iter().filter_map(candidate).collect(),
        };
        request.relays().iter().map(relay).collect()
    };
    plugin::PlanRequest {
        initiator: location(&request.initiator),
        responder: location(&request.responder),
        relays,
    }
}
