use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::case::Case;
use super::places::Map;
use crate::error::Result;
use crate::scenario::outfit::Outfit;
use crate::scenario::pair::{Look, Pair};
use crate::tools::Tools;
use crate::topology::Lab;
use crate::traffic::Download;

/// As many bytes as show that the download goes on.
const SOME: u64 = 768 << 10;
const PACE: u64 = 4 << 20;
/// For bytes to come, through a move in seed mode and TCP's waiting.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub case: String,
    /// Whether all went as the decision table says.
    pub passed: bool,
    /// What did not.
    pub wrong: Vec<String>,
    /// The Path ID, before and after.
    pub path_id: [String; 2],
    /// The way at MN, before and after: `direct` or `relay`.
    pub way: [String; 2],
    /// The download arrived whole, with the same SHA-256 at both ends.
    pub checksum_ok: bool,
    /// Bytes that arrived.
    pub bytes: u64,
    /// The longest time without a byte, in milliseconds.
    pub longest_stall_ms: f64,
}

/// Runs a case with this program as every node.
///
/// # Errors
/// The lab cannot be built, a node does not start, or the ends do not find each
/// other. What goes wrong later is in the outcome.
pub fn run(program: &Path, folder: &Path, case: Case) -> Result<Outcome> {
    let mut lab = Lab::new(Tools::detect())?;
    let map = Map::build(&mut lab, case.family(), case.before(), case.after())?;
    let means = (case.mode(), &Outfit::default());
    let pair = Pair::start(&mut lab, (program, folder), means, &map.core, &map.before)?;

    let [mn, cn] = &pair.hosts;
    let vip = pair.ends[1].vip(case.family())?;
    let download = Download { patience: PATIENCE, ..Download::endless() }.paced(PACE);
    let download = download.start(cn.netns(), vip, mn.netns())?;
    let mut wrong = Vec::new();
    let before = pair.look(case.before().way(), PATIENCE)?;
    download.wait_for(SOME, PATIENCE)?;
    let relay = |way, when| pair.check_relay((&download, SOME), way, when, PATIENCE);
    wrong.extend(relay(case.before().way(), "before")?);

    pair.go(case.mover(), &map.after, PATIENCE)?;
    download.wait_for(download.received() + SOME, PATIENCE)?;
    let after = match pair.look(case.after().way(), PATIENCE) {
        Ok(after) => {
            wrong.extend(relay(case.after().way(), "after")?);
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
    download.end();
    let transfer = download.finish()?;
    if !transfer.intact {
        let why = transfer.error.as_deref().unwrap_or("the SHA-256 of both ends differ");
        wrong.push(format!("the download is not whole: {why}"));
    }
    wrong.extend(before.changes(&after));
    wrong.extend(pair.complaints());
    let first = |[first, _]: [String; 2]| first;
    Ok(Outcome {
        case: case.to_string(),
        passed: wrong.is_empty(),
        wrong,
        path_id: [first(before.path_ids), first(after.path_ids)],
        way: [first(before.ways), first(after.ways)],
        checksum_ok: transfer.intact,
        bytes: transfer.bytes,
        longest_stall_ms: transfer.longest_stall.as_secs_f64() * 1e3,
    })
}
