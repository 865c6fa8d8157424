//! Two terminals with a coordinator and a relay, of which one or both move.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ntm_core::Time;
use serde_json::Value;

use super::ask::until;
use super::domain::{Domain, Mode, Node};
use super::mover::{End, Mover};
use super::outfit::Outfit;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::link::Conditions;
use crate::topology::{Lab, Site};
use crate::traffic::RunningDownload;

/// Between any two hosts.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(10);

/// What a node says when the coordinator has not answered for some round trips.
const IMPATIENT: &str = "the coordinator does not answer";

/// The nodes, each on a host of its own.
pub(super) struct Pair {
    /// MN and CN.
    pub(super) hosts: [Host; 2],
    /// The terminals on them.
    pub(super) ends: [Node; 2],
    dc: Node,
    rs: Node,
    _servers: [Host; 2],
    _domain: Domain,
}

/// Where MN and CN are.
pub(super) struct Places {
    pub(super) mn: Site,
    pub(super) cn: Site,
}

/// What both ends say of their tunnel.
pub(super) struct Look {
    pub(super) path_ids: [String; 2],
    pub(super) ways: [String; 2],
    vips: Value,
}

impl Places {
    pub(super) fn of(&self, end: End) -> &Site {
        match end {
            End::Mn => &self.mn,
            End::Cn => &self.cn,
        }
    }
}

impl Pair {
    /// Starts all four: the coordinator and the relay in `core`.
    pub(super) fn start(
        lab: &mut Lab,
        (program, folder): (&Path, &Path),
        (mode, outfit): (Mode, &Outfit),
        core: &Site,
        places: &Places,
    ) -> Result<Self> {
        let access = Conditions::round_trip(ROUND_TRIP);
        let servers = [lab.host("dc", access)?, lab.host("rs", access)?];
        let hosts = [lab.host("mn", access)?, lab.host("cn", access)?];
        servers.iter().try_for_each(|host| host.join(core))?;
        for (end, host) in End::BOTH.into_iter().zip(&hosts) {
            host.join(places.of(end))?;
        }
        let mut domain = Domain::new(program, folder, &["dc", "rs", "mn", "cn"])?;
        domain.set_outfit(outfit);
        let dc = domain.start_dc(&servers[0])?;
        let rs = domain.start_relay(&servers[1])?;
        let [mn, cn] = &hosts;
        let ends = [domain.start_terminal(mn, mode)?, domain.start_terminal(cn, mode)?];
        Ok(Self { hosts, ends, dc, rs, _servers: servers, _domain: domain })
    }

    /// Moves who is to move, one right after the other, and waits until they have
    /// their addresses. Returns when the first plug was pulled and when that was.
    pub(super) fn go(
        &self,
        mover: Mover,
        places: &Places,
        patience: Duration,
    ) -> Result<(Time, Time)> {
        let movers = || End::BOTH.into_iter().zip(&self.hosts).filter(|(end, _)| mover.moves(*end));
        let mut left = None;
        for (end, host) in movers() {
            let moved = host.move_to(places.of(end))?;
            left.get_or_insert(moved.left);
        }
        for (end, host) in movers() {
            host.eth0().settle(places.of(end), patience)?;
        }
        let there = now();
        Ok((left.unwrap_or(there), there))
    }

    /// Waits until both ends use the way they should, and are registered.
    pub(super) fn look(&self, way: &str, patience: Duration) -> Result<Look> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut look = Look::none();
        let mut vips = Vec::new();
        for (at, node) in self.ends.iter().enumerate() {
            let suits = |tunnel: &Value| tunnel["path"]["kind"] == way;
            let tunnel = node.wait_for_tunnel_within(patience, suits)?;
            look.path_ids[at] = text(&tunnel["path_id"]);
            look.ways[at] = text(&tunnel["path"]["kind"]);
            let mut terminal = until("a registered terminal", patience, || {
                let terminal = node.status()?["terminal"].take();
                Ok((terminal["registered"] == true).then_some(terminal))
            })?;
            vips.push(terminal["vips"].take());
        }
        look.vips = Value::Array(vips);
        Ok(look)
    }

    /// Waits until the relay carries so many bytes of the download, or nothing of them,
    /// as it should: what both ends say of their way may be some packets ahead of them.
    /// Returns what is wrong if it never does.
    pub(super) fn check_relay(
        &self,
        (download, bytes): (&RunningDownload, u64),
        way: &str,
        when: &str,
        patience: Duration,
    ) -> Result<Option<String>> {
        let forwarded = || {
            let status = self.rs.status()?;
            let count = status["relay"]["forwarded"].as_u64();
            count.ok_or_else(|| Error::wrong("the relay does not say what it forwarded"))
        };
        let begin = Instant::now();
        loop {
            let first = forwarded()?;
            download.wait_for(download.received() + bytes, patience)?;
            let carried = forwarded()? - first;
            // A packet of data has some 1,300 bytes; an odd probe of a way that is given
            // up is none.
            let much = bytes / 1300 / 6;
            if (way == "relay") == (carried > much) {
                return Ok(None);
            }
            if begin.elapsed() > patience {
                return Ok(Some(format!(
                    "{when} the move the relay carried {carried} datagrams of a {way} path"
                )));
            }
        }
    }

    /// Writes beside the logs what each node says of itself: for who wants to know what
    /// went wrong.
    pub(super) fn leave_statuses(&self, folder: &Path) {
        for node in [&self.dc, &self.rs, &self.ends[0], &self.ends[1]] {
            let status = node.status().unwrap_or_else(|error| error.to_string().into());
            let file = folder.join(format!("{}-status.json", node.name));
            let _the_reason_is_told_in_any_case = fs::write(file, format!("{status:#}\n"));
        }
    }

    /// The warnings and errors in the nodes' logs, but for one that tells of time
    /// alone: on a busy machine an answer takes longer than a node waits for it.
    pub(super) fn complaints(&self) -> impl Iterator<Item = String> {
        [&self.dc, &self.rs, &self.ends[0], &self.ends[1]].into_iter().flat_map(|node| {
            let lines = node.complaints().into_iter().filter(|line| !line.contains(IMPATIENT));
            lines.map(|line| format!("{} complained: {line}", node.name))
        })
    }
}

impl Look {
    /// Nothing seen.
    pub(super) fn none() -> Self {
        Self { path_ids: Default::default(), ways: Default::default(), vips: Value::Null }
    }

    /// Whether both ends have one Path ID, and that of the other look.
    pub(super) fn same_path(&self, other: &Self) -> bool {
        let mut ids = self.path_ids.iter().chain(&other.path_ids);
        ids.all(|id| *id == self.path_ids[0] && !id.is_empty())
    }

    /// What should have stayed the same since, and did not.
    pub(super) fn changes(&self, after: &Self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.same_path(after) {
            let ids = [self.path_ids.clone(), after.path_ids.clone()].concat();
            wrong.push(format!("the Path ID did not stay the same: {ids:?}"));
        }
        if self.vips != after.vips {
            wrong.push(format!("virtual addresses changed: {} to {}", self.vips, after.vips));
        }
        wrong
    }
}
