use core::ffi::c_void;

use crate::value::lent;
use crate::{Addr, Common, Error, Handle};

/// Which end sends the first tunnel packet.
pub mod begin {
    /// The asking end.
    pub const INITIATOR: u32 = 0;
    /// The end that is asked for.
    pub const RESPONDER: u32 = 1;
}

/// An address by which a node may be reached, and the transport's number on the
/// wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Address and port.
    pub addr: Addr,
    /// What the wire calls the transport.
    pub wire_kind: u32,
}

/// The source address of a registration.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What was seen.
    pub candidate: Candidate,
    /// 1: the node has returned a challenge that was sent there.
    pub proved: u32,
}

/// Where a node is: what it claims, and what the coordinator saw.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Location {
    pub(crate) claimed: *const Candidate,
    pub(crate) claimed_count: usize,
    pub(crate) observed: *const Observed,
    pub(crate) observed_count: usize,
}

impl Location {
    /// For as long as both live.
    pub fn new(claimed: &[Candidate], observed: &[Observed]) -> Self {
        Self {
            claimed: claimed.as_ptr(),
            claimed_count: claimed.len(),
            observed: observed.as_ptr(),
            observed_count: observed.len(),
        }
    }

    /// What the node claims.
    ///
    /// # Safety
    /// It is lent for as long as `self`.
    pub unsafe fn claimed(&self) -> &[Candidate] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.claimed, self.claimed_count) }
    }

    /// What the coordinator saw.
    ///
    /// # Safety
    /// It is lent for as long as `self`.
    pub unsafe fn observed(&self) -> &[Observed] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.observed, self.observed_count) }
    }
}

/// A relay: where it listens.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    pub(crate) candidates: *const Candidate,
    pub(crate) candidate_count: usize,
}

impl Relay {
    /// For as long as `candidates` live.
    pub fn new(candidates: &[Candidate]) -> Self {
        Self { candidates: candidates.as_ptr(), candidate_count: candidates.len() }
    }

    /// Where it listens.
    ///
    /// # Safety
    /// It is lent for as long as `self`.
    pub unsafe fn candidates(&self) -> &[Candidate] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.candidates, self.candidate_count) }
    }
}

/// A pair of ends to find paths for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest {
    /// Bytes of this struct in the host's version.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The asking end.
    pub initiator: Location,
    /// The end that is asked for.
    pub responder: Location,
    pub(crate) relays: *const Relay,
    pub(crate) relay_count: usize,
}

impl PlanRequest {
    /// For as long as everything in it lives.
    pub fn new(initiator: Location, responder: Location, relays: &[Relay]) -> Self {
        let size = size_of::<Self>() as u32;
        let (relays, relay_count) = (relays.as_ptr(), relays.len());
        Self { size, reserved: 0, initiator, responder, relays, relay_count }
    }

    /// The relays that are up, best first.
    ///
    /// # Safety
    /// They are lent for as long as `self`.
    pub unsafe fn relays(&self) -> &[Relay] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.relays, self.relay_count) }
    }
}

/// Which end begins, and at what pace. The plugin writes both.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of this struct in the host's version.
    pub size: u32,
    /// One of [`begin`].
    pub begin: u32,
    /// The least time between checks of two candidates, in microseconds.
    pub pacing_us: u64,
}

/// Takes the lists of a plan, each best first, during the call alone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PlanSink {
    /// Goes back with every call.
    pub ctx: *mut c_void,
    /// Where the responder may reach the initiator.
    pub to_initiator: Option<unsafe extern "C" fn(ctx: *mut c_void, candidate: *const Candidate)>,
    /// Where the initiator may reach the responder.
    pub to_responder: Option<unsafe extern "C" fn(ctx: *mut c_void, candidate: *const Candidate)>,
    /// A relay, by its place in the request.
    pub relay: Option<unsafe extern "C" fn(ctx: *mut c_void, index: u32)>,
}

/// The entries of a traversal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TraversalTable {
    /// What every table begins with.
    pub common: Common,
    /// The plan for a pair. May block for milliseconds; calls overlap.
    pub plan: Option<
        unsafe extern "C" fn(
            handle: Handle,
            request: *const PlanRequest,
            plan: *mut Plan,
            sink: *const PlanSink,
            error: *mut Error,
        ) -> i32,
    >,
}
