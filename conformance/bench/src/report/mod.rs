//! What a run found, and how it is told.

mod chart;
mod json;
mod table;

use ntm_lab::Result;

use crate::bed::{Cable, Way};
use crate::measure::metric::Metric;
use crate::measure::suite::{Plan, Sample};
use crate::stats::{median, span};

/// A whole run.
pub(crate) struct Report {
    pub(crate) way: Way,
    pub(crate) cable: Cable,
    pub(crate) repeats: u32,
    pub(crate) plan: Plan,
    /// Those of a relay of many.
    pub(crate) paths: usize,
    pub(crate) machine: String,
    pub(crate) entries: Vec<Entry>,
}

/// What was found of one tunnel.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) ours: bool,
    pub(crate) version: Option<String>,
    /// One of each repeat; none for a repeat that failed.
    pub(crate) samples: Vec<Option<Sample>>,
    /// Why a repeat failed: the first reason.
    pub(crate) why_not: Option<String>,
}

impl Entry {
    /// Notes the outcome of one repeat.
    pub(crate) fn add(&mut self, outcome: Result<Sample>) {
        match outcome {
            Ok(sample) => self.samples.push(Some(sample)),
            Err(error) => {
                self.samples.push(None);
                self.why_not.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Whether anything was measured.
    pub(crate) fn answered(&self) -> bool {
        self.samples.iter().any(Option::is_some)
    }

    fn values(&self, metric: Metric) -> Vec<f64> {
        let samples = self.samples.iter().flatten();
        samples.filter_map(|sample| sample.get(&metric).copied()).collect()
    }

    fn median(&self, metric: Metric) -> Option<f64> {
        median(&self.values(metric))
    }

    fn span(&self, metric: Metric) -> Option<(f64, f64)> {
        span(&self.values(metric))
    }

    /// The median of the ratios to another tunnel, each taken inside one repeat.
    fn ratio_to(&self, other: &Self, metric: Metric) -> Option<f64> {
        let pairs = self.samples.iter().zip(&other.samples);
        let ratios = pairs.filter_map(|(own, other)| {
            let (own, other) = (own.as_ref()?.get(&metric)?, other.as_ref()?.get(&metric)?);
            (*other > 0.0).then(|| own / other)
        });
        median(&ratios.collect::<Vec<_>>())
    }
}

impl Report {
    fn answered(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.answered())
    }

    /// Whether everything that was asked for and is installed was measured in every
    /// repeat.
    pub(crate) fn is_whole(&self) -> bool {
        self.answered().all(|entry| entry.why_not.is_none())
    }
}
