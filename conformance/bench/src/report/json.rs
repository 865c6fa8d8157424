//! The same for programs; the form is described in `docs/BENCHMARKS.md`.

use serde_json::{Map, Value, json};

use super::table::name;
use super::{Entry, Report};
use crate::measure::metric::Metric;

/// Grows with every change that a reader could stumble over.
const SCHEMA: u32 = 1;

impl Report {
    pub(crate) fn json(&self) -> Value {
        let own = self.answered().filter(|entry| entry.ours);
        let ratios: Map<_, _> = own
            .map(|own| {
                let others = self.answered().filter(|other| other.name != own.name);
                let others = others.map(|other| (other.name.to_owned(), ratios(own, other)));
                (own.name.to_owned(), Value::Object(others.collect()))
            })
            .collect();
        json!({
            "schema": SCHEMA,
            "machine": self.machine,
            "path": name(&self.way),
            "link": name(&self.cable),
            "repeats": self.repeats,
            "congestion": self.plan.congestion,
            "seconds": self.plan.seconds,
            "paths": self.paths,
            "tunnels": self.entries.iter().map(entry).collect::<Vec<_>>(),
            "ratios": ratios,
        })
    }
}

fn entry(entry: &Entry) -> Value {
    let metrics: Map<_, _> = Metric::ALL
        .into_iter()
        .filter_map(|metric| {
            let about = metric.about();
            let (least, most) = entry.span(metric)?;
            let figures = json!({
                "unit": about.unit,
                "better": if about.more_is_better { "more" } else { "less" },
                "median": entry.median(metric),
                "min": least,
                "max": most,
                "values": entry.values(metric),
            });
            Some((about.key.to_owned(), figures))
        })
        .collect();
    json!({
        "name": entry.name,
        "what": entry.what,
        "version": entry.version,
        "measured": entry.answered(),
        "why_not": entry.why_not,
        "metrics": metrics,
    })
}

fn ratios(own: &Entry, other: &Entry) -> Value {
    let ratios = Metric::ALL.into_iter().filter_map(|metric| {
        Some((metric.about().key.to_owned(), json!(own.ratio_to(other, metric)?)))
    });
    Value::Object(ratios.collect())
}
