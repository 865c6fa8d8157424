//! Traffic between namespaces, and what became of it.

mod download;
mod probe;
mod round_trip;

pub use download::{Download, RunningDownload, Transfer};
pub use probe::{Arrival, Flow, Flows, Probe, RunningProbe};
pub use round_trip::{RoundTrip, check_round_trip, round_trip};
