//! One long transfer to an end that moves all the time.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ntm_lab::traffic::Download;
use ntm_lab::{Process, Result};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::measure::host;
use crate::stats::{median, span};
use crate::tunnel::{Programs, Tunnel};

/// Between two looks at how much has arrived.
const TICK: Duration = Duration::from_millis(10);
/// After a move its second begins so much later: what TCP makes of the gap itself is
/// the move's, not the new path's.
const SETTLE: Duration = Duration::from_millis(200);

/// What became of it.
pub(crate) struct Outcome {
    /// All arrived, and the SHA-256 sums of both ends are the same.
    pub(crate) intact: bool,
    pub(crate) error: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    pub(crate) longest_stall: Duration,
    /// In seconds since the beginning.
    pub(crate) moves: Vec<f64>,
    /// Bit/s of every whole second.
    pub(crate) rates: Vec<f64>,
    /// Of each move that has a whole second before and after it.
    pub(crate) ratios: Vec<f64>,
    /// KiB of left's and right's process, once a second.
    pub(crate) memory: [Vec<u64>; 2],
    /// Warnings, errors and panics that either wrote.
    pub(crate) complaints: Vec<String>,
}

/// Sends `bytes` from right to left, which moves each `interval`.
///
/// # Errors
/// The tunnel does not start, or the network not change.
pub(crate) fn run(
    tunnel: &Tunnel,
    programs: &Programs,
    folder: &Path,
    bytes: u64,
    interval: Duration,
    mut say: impl FnMut(&str),
) -> Result<Outcome> {
    let bed = Bed::routed()?;
    let running = tunnel.start(&bed, programs, folder, &|_| {})?;
    let ids = running.ids();
    let download = Download::of(bytes).start(&bed.right, running.right.into(), &bed.left)?;
    let begin = Instant::now();
    let mut arrived = vec![(0.0, 0)];
    let (mut moves, mut memory) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut at = 0;
    let (mut next_move, mut next_look) = (interval, Duration::ZERO);
    let mut last = Instant::now();
    // Longer without a byte than this, and the download gives itself up.
    while download.received() < bytes && last.elapsed() < Download::of(bytes).patience {
        sleep(TICK);
        let now = begin.elapsed();
        let received = download.received();
        if arrived.last().is_some_and(|(_, before)| *before < received) {
            last = Instant::now();
        }
        arrived.push((now.as_secs_f64(), received));
        if now >= next_move {
            moves.push(begin.elapsed().as_secs_f64());
            bed.move_left(at, 1 - at)?;
            at = 1 - at;
            next_move += interval;
        }
        if now >= next_look {
            for (history, process) in memory.iter_mut().zip(&ids) {
                history.push(host::status(*process, "VmRSS")?);
            }
            say(&format!("{} of {} MiB, {} moves", received >> 20, bytes >> 20, moves.len()));
            next_look += Duration::from_secs(1);
        }
    }
    let transfer = download.finish()?;
    Ok(Outcome {
        intact: transfer.intact,
        error: transfer.error,
        bytes: transfer.bytes,
        took: transfer.duration,
        longest_stall: transfer.longest_stall,
        rates: rates(&arrived),
        ratios: moves.iter().filter_map(|at| ratio(&arrived, *at)).collect(),
        moves,
        memory,
        complaints: running.path.iter().flat_map(complaints).collect(),
    })
}

impl Outcome {
    /// It arrived whole, and nobody complained.
    pub(crate) fn passed(&self) -> bool {
        self.intact && self.complaints.is_empty()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let verdict = if self.intact { "intact" } else { "NOT INTACT" };
        let seconds = self.took.as_secs_f64();
        let mut lines = vec![format!(
            "{} MiB in {seconds:.1} s ({:.0} Mbit/s), {verdict}; {} moves; longest stall {:.0} ms",
            self.bytes >> 20,
            self.bytes as f64 * 8e-6 / seconds.max(1e-6),
            self.moves.len(),
            self.longest_stall.as_secs_f64() * 1e3,
        )];
        lines.extend(self.error.clone());
        if let (Some(middle), Some((least, most))) = (median(&self.ratios), span(&self.ratios)) {
            lines.push(format!(
                "second from 200 ms after a move / second before it: \
                 {middle:.2} [{least:.2}..{most:.2}]"
            ));
        }
        let rates: Vec<_> = self.rates.iter().map(|rate| format!("{:.0}", rate / 1e6)).collect();
        lines.push(format!("Mbit/s of each second: {}", rates.join(" ")));
        for (name, history) in ["left", "right"].iter().zip(&self.memory) {
            if let (Some(first), Some(last), Some(most)) =
                (history.get(1), history.last(), history.iter().max())
            {
                lines.push(format!(
                    "memory of {name}: {first} KiB after a second, {last} at the end, {most} at most"
                ));
            }
        }
        lines.push(format!("warnings, errors and panics in the logs: {}", self.complaints.len()));
        lines.extend(self.complaints.iter().take(10).map(|line| format!("  {line}")));
        lines
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "schema": 1,
            "intact": self.intact,
            "error": self.error,
            "bytes": self.bytes,
            "seconds": self.took.as_secs_f64(),
            "longest_stall_ms": self.longest_stall.as_secs_f64() * 1e3,
            "moves_s": self.moves,
            "bits_per_second": self.rates,
            "after_to_before": { "median": median(&self.ratios), "values": self.ratios },
            "memory_kib": { "left": self.memory[0], "right": self.memory[1] },
            "complaints": self.complaints,
        })
    }
}

/// How much had arrived at a moment, between two looks in proportion.
fn total(arrived: &[(f64, u64)], at: f64) -> Option<f64> {
    let after = arrived.iter().position(|(time, _)| *time >= at)?;
    let (time, bytes) = arrived[after];
    let Some((time_before, before)) = after.checked_sub(1).map(|before| arrived[before]) else {
        return Some(bytes as f64);
    };
    let share = (at - time_before) / (time - time_before).max(1e-9);
    Some(before as f64 + (bytes - before) as f64 * share)
}

fn rates(arrived: &[(f64, u64)]) -> Vec<f64> {
    let second = |from: u32| {
        let from = f64::from(from);
        Some(8.0 * (total(arrived, from + 1.0)? - total(arrived, from)?))
    };
    (0..).map_while(second).collect()
}

fn ratio(arrived: &[(f64, u64)], moved: f64) -> Option<f64> {
    let from = moved + SETTLE.as_secs_f64();
    let after = total(arrived, from + 1.0)? - total(arrived, from)?;
    let before = total(arrived, moved)? - total(arrived, moved - 1.0)?;
    (before > 0.0 && moved >= 1.0).then(|| after / before)
}

fn complaints(process: &Process) -> Vec<String> {
    let lines = process.lines().into_iter().map(|line| line.text);
    lines
        .filter(|line| ["WARN", "ERROR", "panicked"].iter().any(|word| line.contains(word)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 bytes a second for two seconds, then 50.
    fn arrived() -> Vec<(f64, u64)> {
        vec![(0.0, 0), (1.0, 100), (2.0, 200), (3.0, 250), (4.0, 300)]
    }

    #[test]
    fn seconds_are_cut_out_between_looks() {
        assert_eq!(total(&arrived(), 1.5), Some(150.0));
        assert_eq!(total(&arrived(), 4.5), None);
        assert_eq!(rates(&arrived()), [800.0, 800.0, 400.0, 400.0]);
    }

    #[test]
    fn a_move_is_judged_by_whole_seconds_alone() {
        let ratio = |moved| ratio(&arrived(), moved);
        assert!((ratio(2.0).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(ratio(0.5), None);
        assert_eq!(ratio(3.5), None);
    }
}
