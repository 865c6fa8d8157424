//! What a run found, and how it is told.

use std::time::Duration;

use ntm_lab::Result;
use serde_json::{Value, json};

use super::aims::{self, Aim};
use super::figures::{Moved, Outcome};
use super::variant::Variant;
use crate::stats::{median, quantile, span};

/// A whole run.
pub(crate) struct Report {
    pub(crate) machine: String,
    /// What a tunnel's silence is cut at.
    pub(crate) limit: Duration,
    pub(crate) rows: Vec<Row>,
}

/// One tunnel in one variant, at one distance.
pub(crate) struct Row {
    pub(crate) tunnel: &'static str,
    pub(crate) version: Option<String>,
    pub(crate) variant: Variant,
    /// The round trip that was asked for, in milliseconds,
    pub(crate) round_trip: f64,
    /// and the one that was measured.
    pub(crate) measured: f64,
    pub(crate) outcome: Result<Outcome>,
}

impl Row {
    pub(crate) fn moves(&self) -> &[Moved] {
        self.outcome.as_ref().map_or(&[], |outcome| &outcome.moves)
    }

    /// It did not recover in time.
    pub(crate) fn is_cut(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|outcome| outcome.cut)
    }

    pub(super) fn values(&self, value: fn(&Moved) -> Option<f64>) -> Vec<f64> {
        self.moves().iter().filter_map(value).collect()
    }
}

impl Report {
    /// Whether nothing of ours failed.
    pub(crate) fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| !row.tunnel.starts_with("ntm") || row.outcome.is_ok())
    }

    pub(crate) fn aims(&self) -> Vec<Aim> {
        aims::all(&self.rows)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}.", self.machine)];
        let mut groups: Vec<(f64, Variant)> = Vec::new();
        for row in &self.rows {
            if !groups.contains(&(row.round_trip, row.variant)) {
                groups.push((row.round_trip, row.variant));
            }
        }
        for (round_trip, variant) in groups {
            let of_group = |row: &&Row| row.round_trip == round_trip && row.variant == variant;
            let rows: Vec<_> = self.rows.iter().filter(of_group).collect();
            let measured = rows.first().map_or(0.0, |row| row.measured);
            lines.push(String::new());
            lines.push(format!(
                "Round trip {round_trip:.0} ms ({measured:.1} measured), {}; silence in ms: \
                 median / 99th percentile / longest",
                variant.title()
            ));
            lines.push(String::new());
            lines.extend(table(&rows, self.limit));
        }
        lines.push(String::new());
        lines.extend(self.aims().iter().map(aim_line));
        let mut versions: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some(format!("{}: {}", row.tunnel, row.version.as_ref()?)))
            .collect();
        versions.dedup();
        versions.sort();
        versions.dedup();
        lines.push(String::new());
        lines.extend(versions);
        lines
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "schema": 1,
            "machine": self.machine,
            "limit_s": self.limit.as_secs_f64(),
            "rows": self.rows.iter().map(row_json).collect::<Vec<_>>(),
            "aims": self.aims().iter().map(|aim| json!({
                "what": aim.what,
                "unit": aim.unit,
                "limit": aim.limit,
                "value": aim.judged(),
                "met": aim.is_met(),
                "moves": aim.values.len(),
                "moves_within": aim.kept(),
            })).collect::<Vec<_>>(),
        })
    }
}

fn aim_line(aim: &Aim) -> String {
    let verdict = if aim.is_met() { "met" } else { "NOT met" };
    format!(
        "{verdict}: {}: {:.2} {} of {:.2}; {} of {} moves within",
        aim.what,
        aim.judged().unwrap_or(f64::NAN),
        aim.unit,
        aim.limit,
        aim.kept(),
        aim.values.len()
    )
}

fn table(rows: &[&Row], limit: Duration) -> Vec<String> {
    let head = ["tunnel", "moves", "mover", "peer", "lost a move, to mover", "to peer"];
    let mut cells = vec![head.map(String::from).to_vec()];
    let mut notes = Vec::new();
    for row in rows {
        if let Err(error) = &row.outcome {
            notes.push(format!("{}: not measured: {error}", row.tunnel));
            continue;
        }
        let of = |value| three(&row.values(value), row.is_cut().then_some(limit));
        let lost = |value| {
            median(&row.values(value)).map_or(String::new(), |median| format!("{median:.0}"))
        };
        cells.push(vec![
            row.tunnel.to_owned(),
            row.moves().len().to_string(),
            of(|moved| Some(moved.mover_silent)),
            of(|moved| moved.peer_silent),
            lost(|moved| Some(moved.lost_to_mover as f64)),
            lost(|moved| moved.peer_silent.map(|_| moved.lost_to_peer as f64)),
        ]);
    }
    let mut lines = markdown(&cells);
    lines.extend(notes);
    lines
}

/// Median, 99th percentile and longest.
fn three(values: &[f64], cut: Option<Duration>) -> String {
    let (Some(middle), Some(tail), Some((_, most))) =
        (median(values), quantile(values, 0.99), span(values))
    else {
        return String::new();
    };
    match cut {
        Some(limit) if most >= limit.as_secs_f64() * 1e3 => {
            format!("{middle:.0} / not within {} s", limit.as_secs())
        }
        Some(_) | None => format!("{middle:.1} / {tail:.1} / {most:.1}"),
    }
}

fn markdown(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
    let width = |at| rows.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = widths.iter().enumerate().map(|(at, width)| {
            let cell = cell(row, at);
            if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(at, width)| match at {
        0 => "-".repeat(*width),
        _ => format!("{}:", "-".repeat(width - 1)),
    });
    let rule = format!("| {} |", rule.collect::<Vec<_>>().join(" | "));
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.insert(1.min(lines.len()), rule);
    lines
}

fn row_json(row: &Row) -> Value {
    let summary = |value| {
        let values = row.values(value);
        json!({
            "median": median(&values),
            "p99": quantile(&values, 0.99),
            "max": span(&values).map(|(_, most)| most),
        })
    };
    let one = |moved: &Moved| {
        json!({
            "change_ms": moved.change,
            "mover_silence_ms": moved.mover_silent,
            "peer_silence_ms": moved.peer_silent,
            "lost_to_mover": moved.lost_to_mover,
            "lost_to_peer": moved.lost_to_peer,
            "acted_ms": moved.account.acted,
            "repointed_ms": moved.account.repointed,
            "rebuilt_ms": moved.account.rebuilt,
        })
    };
    json!({
        "tunnel": row.tunnel,
        "version": row.version,
        "variant": row.variant.name(),
        "round_trip_ms": row.round_trip,
        "measured_ms": row.measured,
        "why_not": row.outcome.as_ref().err().map(ToString::to_string),
        "cut": row.is_cut(),
        "mover_silence_ms": summary(|moved| Some(moved.mover_silent)),
        "peer_silence_ms": summary(|moved| moved.peer_silent),
        "moves": row.moves().iter().map(one).collect::<Vec<_>>(),
    })
}
