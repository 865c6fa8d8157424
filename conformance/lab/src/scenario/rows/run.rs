use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::case::{Case, End};
use super::places::Map;
use crate::error::{Error, Result};
use crate::link::Conditions;
use crate::scenario::domain::{Domain, Node};
use crate::tools::Tools;
use crate::topology::Lab;
use crate::traffic::{Download, RunningDownload};

/// Between any two hosts.
const ROUND_TRIP: Duration = Duration::from_millis(10);
const BYTES: u64 = 6 << 20;
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

/// What both ends and the relay say.
struct Look {
    path_ids: [String; 2],
    ways: [String; 2],
    vips: Value,
}

/// Runs a case with this program as every node.
///
/// # Errors
/// The lab cannot be built, a node does not start, or the ends do not find each
/// other. What goes wrong later is in the outcome.
pub fn run(program: &Path, folder: &Path, case: Case) -> Result<Outcome> {
    let (family, mode) = (case.family(), case.mode());
    let mut lab = Lab::new(Tools::detect())?;
    let map = Map::build(&mut lab, family, case.before(), case.after())?;
    let access = Conditions::round_trip(ROUND_TRIP);
    let (dc_host, rs_host) = (lab.host("dc", access)?, lab.host("rs", access)?);
    let hosts = [(End::Mn, lab.host("mn", access)?), (End::Cn, lab.host("cn", access)?)];
    dc_host.join(&map.core)?;
    rs_host.join(&map.core)?;
    for (end, host) in &hosts {
        host.join(map.before.of(*end))?;
    }
    let mut domain = Domain::new(program, folder, &["dc", "rs", "mn", "cn"])?;
    let dc = domain.start_dc(&dc_host)?;
    let rs = domain.start_relay(&rs_host)?;
    let ends =
        [domain.start_terminal(&hosts[0].1, mode)?, domain.start_terminal(&hosts[1].1, mode)?];

    let vip = ends[1].vip(family)?;
    let download = Download { patience: PATIENCE, ..Download::of(BYTES) }.paced(PACE);
    let download = download.start(hosts[1].1.netns(), vip, hosts[0].1.netns())?;
    let mut wrong = Vec::new();
    let before = look(&ends, case.before().way())?;
    download.wait_for(BYTES / 8, PATIENCE)?;
    check_relay(&rs, &download, case.before().way(), "before", &mut wrong)?;

    for (end, host) in &hosts {
        if case.mover().moves(*end) {
            host.move_to(map.after.of(*end))?;
        }
    }
    for (end, host) in &hosts {
        if case.mover().moves(*end) {
            host.eth0().settle(map.after.of(*end), PATIENCE)?;
        }
    }
    download.wait_for(download.received() + BYTES / 8, PATIENCE)?;
    let after = look(&ends, case.after().way());
    if after.is_ok() {
        check_relay(&rs, &download, case.after().way(), "after", &mut wrong)?;
    }
    let transfer = download.finish()?;

    let after = match after {
        Ok(after) => after,
        Err(error) => {
            wrong.push(error.to_string());
            Look { path_ids: Default::default(), ways: Default::default(), vips: Value::Null }
        }
    };
    if !transfer.intact {
        let why = transfer.error.as_deref().unwrap_or("the SHA-256 of both ends differ");
        wrong.push(format!("the download is not whole: {why}"));
    }
    let ids = [before.path_ids.clone(), after.path_ids.clone()].concat();
    if ids.iter().any(|id| *id != ids[0]) {
        wrong.push(format!("the Path ID did not stay the same: {ids:?}"));
    }
    if before.vips != after.vips {
        wrong.push(format!("virtual addresses changed: {} to {}", before.vips, after.vips));
    }
    let nodes = [&dc, &rs, &ends[0], &ends[1]];
    for node in nodes {
        let complaints = node.complaints();
        wrong.extend(complaints.iter().map(|line| format!("{} complained: {line}", node.name)));
    }
    let [before_id, _] = before.path_ids;
    let [after_id, _] = after.path_ids;
    let ([before_way, _], [after_way, _]) = (before.ways, after.ways);
    Ok(Outcome {
        case: case.to_string(),
        passed: wrong.is_empty(),
        wrong,
        path_id: [before_id, after_id],
        way: [before_way, after_way],
        checksum_ok: transfer.intact,
        bytes: transfer.bytes,
        longest_stall_ms: transfer.longest_stall.as_secs_f64() * 1e3,
    })
}

/// Waits until both ends use the way they should.
fn look(ends: &[Node; 2], way: &str) -> Result<Look> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut look =
        Look { path_ids: Default::default(), ways: Default::default(), vips: Value::Null };
    let mut vips = Vec::new();
    for (at, node) in ends.iter().enumerate() {
        let tunnel = node.wait_for_tunnel(|tunnel| tunnel["path"]["kind"] == way)?;
        look.path_ids[at] = text(&tunnel["path_id"]);
        look.ways[at] = text(&tunnel["path"]["kind"]);
        vips.push(node.status()?["terminal"]["vips"].take());
    }
    look.vips = Value::Array(vips);
    Ok(look)
}

/// Looks whether the relay carries the download, or nothing of it, as it should.
fn check_relay(
    rs: &Node,
    download: &RunningDownload,
    way: &str,
    when: &str,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let forwarded = || {
        let status = rs.status()?;
        let count = status["relay"]["forwarded"].as_u64();
        count.ok_or_else(|| Error::wrong("the relay does not say what it forwarded"))
    };
    let first = forwarded()?;
    let at = download.received();
    download.wait_for((at + BYTES / 8).min(BYTES), PATIENCE)?;
    let carried = forwarded()? - first;
    // Some 600 packets of data, or an odd probe of a way that is given up.
    if (way == "relay") != (carried > 100) {
        wrong
            .push(format!("{when} the move the relay carried {carried} datagrams of a {way} path"));
    }
    Ok(())
}
