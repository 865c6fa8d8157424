//! Tables, in the form that the documents have (Markdown).

use super::{Entry, Report};
use crate::measure::metric::Metric;

/// Columns of a table; those that are retransmissions are put behind the one
/// before.
const TABLES: [(&str, &[Metric]); 4] = [
    (
        "TCP, Mbit/s (r: retransmitted segments)",
        &[
            Metric::Tcp1There,
            Metric::Tcp1ThereRetransmits,
            Metric::Tcp1Back,
            Metric::Tcp1BackRetransmits,
            Metric::Tcp4There,
            Metric::Tcp4ThereRetransmits,
            Metric::Tcp4Back,
            Metric::Tcp4BackRetransmits,
        ],
    ),
    (
        "UDP of 64 bytes, thousand packets a second that arrive",
        &[Metric::LossFree, Metric::Overload, Metric::Flood],
    ),
    (
        "Round trips, µs: idle, and beside one TCP stream",
        &[
            Metric::IdleMedian,
            Metric::IdleTail,
            Metric::LoadedMedian,
            Metric::LoadedTail,
            Metric::LoadedTcp,
            Metric::LoadedRetransmits,
        ],
    ),
    (
        "Cost of one TCP stream, and the most memory of one process",
        &[Metric::CpuMachine, Metric::CpuTunnel, Metric::Memory],
    ),
];

/// What ratios are given of.
const RATIOS: [Metric; 9] = [
    Metric::Tcp1There,
    Metric::Tcp1Back,
    Metric::Tcp4There,
    Metric::LossFree,
    Metric::Overload,
    Metric::IdleMedian,
    Metric::LoadedTail,
    Metric::CpuMachine,
    Metric::CpuTunnel,
];

impl Report {
    /// All of it, for a terminal or a document.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!(
                "{}; path {}, cable {}, TCP {}; {} × {} s; medians, [least..most].",
                self.machine,
                name(&self.way),
                name(&self.cable),
                self.plan.congestion,
                self.repeats,
                self.plan.seconds
            ),
            String::new(),
        ];
        for (title, metrics) in TABLES {
            lines.push(format!("{title}:"));
            lines.push(String::new());
            lines.extend(self.table(metrics));
            lines.push(String::new());
        }
        for own in self.answered().filter(|entry| entry.ours) {
            let others: Vec<_> = self.answered().filter(|entry| entry.name != own.name).collect();
            if !others.is_empty() {
                lines.push(format!("{} divided by the others, in the same repeat:", own.name));
                lines.push(String::new());
                lines.extend(ratios(own, &others));
                lines.push(String::new());
            }
        }
        for entry in &self.entries {
            let version = entry.version.as_deref().unwrap_or("-");
            match &entry.why_not {
                None => lines.push(format!("{}: {}; {version}", entry.name, entry.what)),
                Some(why) if entry.answered() => {
                    lines.push(format!(
                        "{}: {}; {version}; FAILED once: {why}",
                        entry.name, entry.what
                    ));
                }
                Some(why) => lines.push(format!("{}: not measured: {why}", entry.name)),
            }
        }
        lines
    }

    fn table(&self, metrics: &[Metric]) -> Vec<String> {
        let is_retransmits = |metric: &Metric| metric.about().title == "retransmits";
        let columns: Vec<_> =
            metrics.iter().copied().filter(|metric| !is_retransmits(metric)).collect();
        let mut rows = vec![vec![String::from("tunnel")]];
        rows[0].extend(columns.iter().map(|metric| metric.about().title.to_owned()));
        for entry in self.answered() {
            let mut row = vec![entry.name.to_owned()];
            for column in &columns {
                let next = metrics.iter().skip_while(|metric| *metric != column).nth(1);
                let again = next.filter(|metric| is_retransmits(metric));
                let again = again.and_then(|metric| entry.median(*metric));
                let again = again.map(|number| format!(" r{number:.0}")).unwrap_or_default();
                row.push(cell(entry, *column) + &again);
            }
            rows.push(row);
        }
        markdown(&rows)
    }
}

fn cell(entry: &Entry, metric: Metric) -> String {
    let (Some(middle), Some((least, most))) = (entry.median(metric), entry.span(metric)) else {
        return String::new();
    };
    let (scale, decimals) = metric.about().shown;
    let show = |value: f64| format!("{:.decimals$}", value / scale);
    if entry.values(metric).len() < 2 {
        return show(middle);
    }
    format!("{} [{}..{}]", show(middle), show(least), show(most))
}

fn ratios(own: &Entry, others: &[&Entry]) -> Vec<String> {
    let mut rows = vec![vec![String::from("beside")]];
    rows[0].extend(RATIOS.iter().map(|metric| metric.about().title.to_owned()));
    for other in others {
        let mut row = vec![other.name.to_owned()];
        for metric in RATIOS {
            let ratio = own.ratio_to(other, metric);
            row.push(ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default());
        }
        rows.push(row);
    }
    markdown(&rows)
}

/// The first row is the head, the first column has names.
fn markdown(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(4)
    };
    let widths: Vec<_> = (0..columns).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(at, width)| match at {
        0 => "-".repeat(*width),
        _ => "-".repeat(width - 1) + ":",
    });
    let rule = format!("| {} |", rule.collect::<Vec<_>>().join(" | "));
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.insert(1, rule);
    lines
}

/// As on the command line.
pub(super) fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = [["tunnel", "idle"], ["a", "12345"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        let lines = markdown(&rows);
        assert_eq!(lines, ["| tunnel |  idle |", "| ------ | ----: |", "| a      | 12345 |"]);
    }
}
