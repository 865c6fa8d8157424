//! The measurement of the paper, on its Fig. 1: MN behind NAT 1 talks to CN
//! behind NAT 2 and moves straight into the network of the DC.

mod budget;
mod draw;
mod gap;
mod lines;
mod report;
mod stage;
mod steps;

use std::iter::once;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use budget::Budget;
pub use report::{Move, Phases, Report, Ways};

use super::domain::{Domain, Mode, Node};
use super::outfit::Outfit;
use crate::clock::now;
use crate::error::Result;
use crate::family::Family;
use crate::tools::Tools;
use crate::traffic::{Download, Probe};
use stage::Stage;

/// How the measurement is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// What terminals do when they move.
    pub mode: Mode,
    /// What nodes work with.
    pub outfit: Outfit,
    /// The round trip between any two hosts.
    pub rtt: Duration,
    /// How often MN moves into the network of the DC; it moves back in between.
    pub moves: u32,
    /// Bytes of the download.
    pub bytes: u64,
    /// Where to write a picture of the first move.
    pub plot: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let rtt = Duration::from_millis(10);
        let outfit = Outfit::default();
        Self { mode: Mode::Fast, outfit, rtt, moves: 5, bytes: 64 << 20, plot: None }
    }
}

impl Options {
    /// How long a move and the look at it take, about.
    fn cycle(&self) -> Duration {
        Duration::from_millis(1500) + 12 * self.rtt
    }

    /// Bytes a second that make the download last through all moves.
    fn pace(&self) -> u64 {
        let total = self.cycle() * (2 * self.moves.max(1));
        (self.bytes as f64 / total.as_secs_f64()).max(1.0) as u64
    }
}

/// Makes the measurement with this program as every node; `folder` is where
/// nodes keep their files. `progress` hears what is being done; `after` is
/// called with the report while all nodes still run.
///
/// # Errors
/// The lab cannot be built, a node does not start, or communication does not
/// come about. What goes wrong later is in the report.
pub fn run(
    program: &Path,
    folder: &Path,
    options: &Options,
    mut progress: impl FnMut(&str),
    after: impl FnOnce(&Report) -> Result<()>,
) -> Result<Report> {
    progress("building the network: MN behind NAT 1, CN behind NAT 2, DC and RS in the open");
    let stage = Stage::build(Tools::detect(), options.rtt)?;
    progress("starting the nodes");
    let mut domain = Domain::new(program, folder, &["dc", "rs", "mn", "cn"])?;
    domain.set_outfit(&options.outfit);
    let dc = domain.start_dc(&stage.dc)?;
    let rs = domain.start_relay(&stage.rs)?;
    let cn = domain.start_terminal(&stage.cn, options.mode)?;
    let begin = now();
    let mn = domain.start_terminal(&stage.mn, options.mode)?;

    progress("starting a download and a probe");
    let (mn_vip, cn_vip) = (mn.vip(Family::V4)?, cn.vip(Family::V4)?);
    let download = Download::of(options.bytes).paced(options.pace());
    let download = download.start(stage.cn.netns(), cn_vip, stage.mn.netns())?;
    let connected = now();
    let ends = [(stage.cn.netns(), cn_vip), (stage.mn.netns(), mn_vip)];
    let probe = Probe::default().start(ends[0], ends[1])?;
    let before = mn.wait_for_tunnel(|_| true)?;
    std::thread::sleep(options.cycle() / 4);

    let home = stage.mn.address(Family::V4)?;
    let mut moves = Vec::new();
    for nth in 1..=2 * options.moves {
        let (site, into_dc_network) = match nth % 2 {
            1 => (&stage.global, true),
            _ => (&stage.home, false),
        };
        progress(&format!(
            "move {nth} of {}: MN {}",
            2 * options.moves,
            if into_dc_network { "into the network of the DC" } else { "back behind NAT 1" },
        ));
        let moved = stage.mn.move_to(site)?;
        let toward = stage.dc.address(Family::V4)?;
        moves.push(steps::observe(&stage.mn, &mn, toward, moved, into_dc_network)?);
        std::thread::sleep(options.cycle() / 4);
    }
    progress("waiting for the end of the download");
    let flows = probe.stop(Duration::from_millis(500) + 2 * options.rtt)?;
    let transfer = download.finish()?;
    let nodes = [&dc, &rs, &cn, &mn];
    let signals: Vec<_> = nodes.iter().flat_map(|node| node.signals()).collect();
    for at in 0..moves.len() {
        let end = moves.get(at + 1).map(|next| next.left);
        gap::measure(&mut moves[at], &flows, end);
        steps::note_relay(&mut moves[at], &signals);
    }
    let seen: Vec<_> = once(home).chain(moves.iter().map(|one| one.source)).collect();
    let cast = stage.cast(&seen);
    let charts = [
        cast.draw(&signals, begin, connected),
        moves.first().map_or(Vec::new(), |first| cast.draw(&signals, first.sent, first.end())),
    ];
    if let (Some(path), Some(first)) = (&options.plot, moves.first()) {
        draw::write(path, first, &flows)?;
    }
    let complaints = nodes.iter().flat_map(|node| complaints(node)).collect();
    let report = Report::new(options, &stage, &before, moves, &transfer, complaints, charts);
    after(&report)?;
    Ok(report)
}

/// The warnings and errors in a node's log, with its name.
fn complaints(node: &Node) -> impl Iterator<Item = String> {
    node.complaints().into_iter().map(|line| format!("{}: {line}", node.name))
}
