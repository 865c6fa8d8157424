use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::case::{Case, When};
use super::places::Map;
use crate::error::Result;
use crate::family::Family;
use crate::scenario::domain::Mode;
use crate::scenario::outfit::Outfit;
use crate::scenario::pair::{Look, Pair};
use crate::tools::Tools;
use crate::topology::Lab;
use crate::traffic::{Download, Flow, Flows, Probe};

/// Bytes a second of the download.
const PACE: u64 = 2 << 20;
/// As many bytes as show that the download goes on.
const SOME: u64 = 256 << 10;
/// For what must happen by itself: on a machine that does much else besides, too.
const PATIENCE: Duration = Duration::from_secs(45);
/// For packets that are still under way when the probe stops.
const GRACE: Duration = Duration::from_millis(300);

/// What became of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Its name: before, after, who moves, behind what.
    pub id: String,
    /// Whether all was as it should be.
    pub passed: bool,
    /// What was not.
    pub wrong: Vec<String>,
    /// Both ends had one Path ID, before and after.
    pub path_id_kept: bool,
    /// The Path ID, before and after.
    pub path_id: [String; 2],
    /// The way, before and after: `direct` or `relay`.
    pub way: [String; 2],
    /// The download arrived whole, with the same SHA-256 at both ends.
    pub checksum_ok: bool,
    /// Bytes of it.
    pub bytes: u64,
    /// The longest time without a byte, in milliseconds.
    pub longest_stall_ms: f64,
    /// The longest time without a packet of the probe since the first plug was
    /// pulled, in milliseconds: of both directions the longer one.
    pub outage_ms: f64,
    /// Each direction's.
    pub outage_each_ms: Ways<f64>,
    /// Packets of the probe that never came, in both directions.
    pub lost: u64,
    /// Each direction's.
    pub lost_each: Ways<u64>,
    /// How long it took in all, in seconds.
    pub seconds: f64,
    /// Where the nodes' configurations and logs are kept, if they are.
    #[serde(default)]
    pub logs: Option<PathBuf>,
}

/// Something in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ways<T> {
    /// Towards MN.
    pub to_mn: T,
    /// Towards CN.
    pub to_cn: T,
}

impl Cell {
    /// A cell that could not be run, and why.
    pub fn failed(id: &str, why: String) -> Self {
        Self {
            id: id.to_owned(),
            passed: false,
            wrong: vec![why],
            path_id_kept: false,
            path_id: Default::default(),
            way: Default::default(),
            checksum_ok: false,
            bytes: 0,
            longest_stall_ms: 0.0,
            outage_ms: 0.0,
            outage_each_ms: Ways::default(),
            lost: 0,
            lost_each: Ways::default(),
            seconds: 0.0,
            logs: None,
        }
    }
}

/// Runs a cell with this program as every node.
///
/// # Errors
/// The lab cannot be built, a node does not start, or communication does not come
/// about. What goes wrong later is in the cell.
pub fn run(
    program: &Path,
    folder: &Path,
    case: Case,
    (mode, outfit): (Mode, &Outfit),
) -> Result<Cell> {
    let begin = Instant::now();
    let mut lab = Lab::new(Tools::detect())?;
    let map = Map::build(&mut lab, case)?;
    let pair = Pair::start(&mut lab, (program, folder), (mode, outfit), &map.core, &map.before)?;

    // One family of virtual addresses for each kind of traffic, so that both are
    // tried.
    let ([mn_host, cn_host], [mn, cn]) = (&pair.hosts, &pair.ends);
    let download = Download { patience: PATIENCE, ..Download::endless() }.paced(PACE);
    let download = download.start(cn_host.netns(), cn.vip(Family::V4)?, mn_host.netns())?;
    let before = pair.look(case.way(When::Before), PATIENCE)?;
    let vips = [mn.vip(Family::V6)?, cn.vip(Family::V6)?];
    let probe = Probe::default().start((cn_host.netns(), vips[1]), (mn_host.netns(), vips[0]))?;
    let mut wrong = Vec::new();
    let relay = |when, word| pair.check_relay((&download, SOME), case.way(when), word, PATIENCE);
    wrong.extend(relay(When::Before, "before")?);

    let (left, there) = pair.go(case.mover, &map.after, PATIENCE)?;
    let went_on = download.wait_for(download.received() + SOME, PATIENCE);
    let after = match went_on.and_then(|()| pair.look(case.way(When::After), PATIENCE)) {
        Ok(after) => {
            wrong.extend(
                relay(When::After, "after").unwrap_or_else(|error| Some(error.to_string())),
            );
            after
        }
        Err(error) => {
            wrong.push(error.to_string());
            Look::none()
        }
    };
    if !wrong.is_empty() {
        pair.leave_statuses(folder);
    }
    let flows = probe.stop(GRACE)?;
    download.end();
    let transfer = download.finish()?;

    if !transfer.intact {
        let why = transfer.error.as_deref().unwrap_or("the SHA-256 of both ends differ");
        wrong.push(format!("the download is not whole: {why}"));
    }
    let Flows { there: to_mn, back: to_cn } = &flows;
    for (name, flow) in [("MN", to_mn), ("CN", to_cn)] {
        if !flow.arrivals.iter().any(|arrival| arrival.sent > there) {
            wrong.push(format!("no packet of the probe came to {name} after the move"));
        }
    }
    wrong.extend(before.changes(&after));
    wrong.extend(pair.complaints());
    let outage = |flow: &Flow| millis(flow.longest_gap_after(left));
    let outages = Ways { to_mn: outage(to_mn), to_cn: outage(to_cn) };
    Ok(Cell {
        id: case.to_string(),
        passed: wrong.is_empty(),
        wrong,
        path_id_kept: before.same_path(&after),
        path_id: [before.path_ids[0].clone(), after.path_ids[0].clone()],
        way: [before.ways[0].clone(), after.ways[0].clone()],
        checksum_ok: transfer.intact,
        bytes: transfer.bytes,
        longest_stall_ms: millis(transfer.longest_stall),
        outage_ms: outages.to_mn.max(outages.to_cn),
        outage_each_ms: outages,
        lost: to_mn.lost + to_cn.lost,
        lost_each: Ways { to_mn: to_mn.lost, to_cn: to_cn.lost },
        seconds: millis(begin.elapsed()) / 1e3,
        logs: None,
    })
}

/// To the microsecond, which is more than is meant.
fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1e3
}
