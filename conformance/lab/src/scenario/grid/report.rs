use serde::Serialize;

use super::case::{Case, Kind};
use super::run::Cell;
use crate::scenario::domain::Mode;
use crate::scenario::mover::Mover;
use crate::scenario::outfit::Outfit;
use crate::scenario::pair::ROUND_TRIP;
use crate::scenario::stats::median_of;
use crate::tools::Tools;

/// What came out of a grid.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `fast` or `seed`.
    pub mode: &'static str,
    /// The transports that nodes were given, the best first.
    pub transports: Vec<&'static str>,
    /// Whether their plugins were shared objects.
    pub libraries: bool,
    /// Whether every machine dropped UDP port 4330.
    pub udp_blocked: bool,
    /// The round trip between any two hosts that was asked for, in milliseconds.
    pub rtt_ms: f64,
    /// Who translated addresses: `nft` or `emulator`.
    pub nat: &'static str,
    /// How many cells passed.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Each of them, in the grid's order.
    pub cells: Vec<Cell>,
    /// The same in groups.
    pub groups: Vec<Group>,
}

/// The cells of one mover behind one kind of router, that passed.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What the mover is behind.
    pub kind: &'static str,
    /// Who moves.
    pub mover: &'static str,
    /// How many there are.
    pub cells: usize,
    /// How many of them passed; the figures are of these.
    pub passed: usize,
    /// The shortest outage, the median and the longest, in milliseconds.
    pub outage_ms: Option<[f64; 3]>,
    /// Packets lost: the fewest, the median and the most.
    pub lost: Option<[f64; 3]>,
}

impl Report {
    /// Of these cells.
    pub fn new(mode: Mode, outfit: &Outfit, cells: Vec<Cell>) -> Self {
        let passed = cells.iter().filter(|cell| cell.passed).count();
        let groups = Kind::ALL.into_iter().flat_map(|kind| Mover::ALL.map(|mover| (kind, mover)));
        let groups = groups.filter_map(|(kind, mover)| Group::of(&cells, kind, mover)).collect();
        Self {
            mode: mode.name(),
            transports: outfit.transports.iter().map(|it| it.name()).collect(),
            libraries: outfit.libraries.is_some(),
            udp_blocked: outfit.block_udp,
            rtt_ms: ROUND_TRIP.as_secs_f64() * 1e3,
            nat: if Tools::detect().nft.is_some() { "nft" } else { "emulator" },
            passed,
            failed: cells.len() - passed,
            cells,
            groups,
        }
    }

    /// The report for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<25} {:<8} {:<18} {:>10} {:>6} {:>10}",
            "cell", "", "way", "outage ms", "lost", "stall ms"
        )];
        for cell in &self.cells {
            let way = format!("{} → {}", dash(&cell.way[0]), dash(&cell.way[1]));
            let verdict = if cell.passed { "passed" } else { "FAILED" };
            lines.push(format!(
                "{:<25} {verdict:<8} {way:<18} {:>10.1} {:>6} {:>10.1}",
                cell.id, cell.outage_ms, cell.lost, cell.longest_stall_ms,
            ));
            lines.extend(cell.wrong.iter().map(|wrong| format!("    {wrong}")));
            let logs = cell.logs.iter().filter(|_| !cell.passed);
            lines.extend(logs.map(|logs| format!("    logs: {}", logs.display())));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:<10} {:<5} {:>7}   {:>26}   {:>20}",
            "behind", "moves", "passed", "outage ms: least, median, most", "lost"
        ));
        for group in &self.groups {
            let passed = format!("{}/{}", group.passed, group.cells);
            let [outage, lost] = [(group.outage_ms, 1), (group.lost, 0)].map(|(three, digits)| {
                three.map_or("-".into(), |three| {
                    three.map(|value| format!("{value:>8.digits$}")).concat()
                })
            });
            lines.push(format!(
                "{:<10} {:<5} {passed:>7}   {outage:>30}   {lost:>24}",
                group.kind, group.mover
            ));
        }
        lines.push(String::new());
        lines.push(format!("{} of {} passed", self.passed, self.cells.len()));
        lines
    }
}

impl Group {
    fn of(cells: &[Cell], kind: Kind, mover: Mover) -> Option<Self> {
        let is_in = |cell: &&Cell| {
            let case: Option<Case> = cell.id.parse().ok();
            case.is_some_and(|case| (case.kind, case.mover) == (kind, mover))
        };
        let all: Vec<_> = cells.iter().filter(is_in).collect();
        let passed: Vec<_> = all.iter().filter(|cell| cell.passed).collect();
        let three = |get: fn(&Cell) -> f64| {
            let values: Vec<_> = passed.iter().map(|cell| get(cell)).collect();
            let least = values.iter().copied().reduce(f64::min)?;
            let most = values.iter().copied().reduce(f64::max)?;
            Some([least, median_of(&values)?, most])
        };
        (!all.is_empty()).then(|| Self {
            kind: kind.name(),
            mover: mover.name(),
            cells: all.len(),
            passed: passed.len(),
            outage_ms: three(|cell| cell.outage_ms),
            lost: three(|cell| cell.lost as f64),
        })
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_figures_of_what_passed() {
        let cell = |id: &str, outage_ms, passed| Cell {
            passed,
            outage_ms,
            lost: 7,
            ..Cell::failed(id, String::new())
        };
        let cells = vec![
            cell("v4-v4-mn-none", 30.0, true),
            cell("v4-v6-mn-none", 10.0, true),
            cell("v6-v6-mn-none", 900.0, false),
            cell("v6-v4-mn-none", 20.0, true),
            cell("v4-v4-cn-none", 1.0, false),
        ];
        let report = Report::new(Mode::Fast, &Outfit::default(), cells);
        assert_eq!((report.passed, report.failed), (3, 2));
        let [mn, cn] = &report.groups[..] else { panic!("{:?}", report.groups) };
        assert_eq!((mn.cells, mn.passed, mn.outage_ms), (4, 3, Some([10.0, 20.0, 30.0])));
        assert_eq!(mn.lost, Some([7.0; 3]));
        assert_eq!((cn.cells, cn.passed, cn.outage_ms), (1, 0, None));
        assert!(
            report
                .lines()
                .iter()
                .any(|line| line.starts_with("v6-v6-mn-none") && line.contains("FAILED"))
        );
    }
}
