//! A node that runs: what it says of itself, and what it has logged.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ntm_core::Time;
use serde_json::Value;

use super::ask;
use crate::error::{Error, Result};
use crate::family::Family;
use crate::process::Process;

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Its name in the domain.
    pub name: String,
    /// The program.
    pub process: Process,
    pub(super) socket: PathBuf,
}

/// A signalling message that a node sent or received, out of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) at: Time,
    pub(super) node: String,
    pub(super) out: bool,
    pub(super) message: String,
    pub(super) remote: SocketAddr,
    pub(super) bytes: u64,
}

impl Node {
    /// How it is, as `ntm status --json` says.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Value> {
        ask::status(&self.socket)
    }

    /// Its last moves, as `ntm handover --json` says.
    ///
    /// # Errors
    /// It does not answer.
    pub fn handovers(&self) -> Result<Vec<Value>> {
        ask::handovers(&self.socket)
    }

    /// A sign of life from another member, as `ntm ping --json` says; within ten
    /// seconds.
    ///
    /// # Errors
    /// There was none, or it does not answer.
    pub fn ping(&self, name: &str) -> Result<Value> {
        ask::ping(&self.socket, name)
    }

    /// The first of its tunnels that is live and suits, once there is one.
    ///
    /// # Errors
    /// There was none within ten seconds: with what there was.
    pub fn wait_for_tunnel(&self, suits: impl Fn(&Value) -> bool) -> Result<Value> {
        self.wait_for_tunnel_within(Duration::from_secs(10), suits)
    }

    /// The same, with another patience.
    ///
    /// # Errors
    /// There was none in time: with what there was.
    pub fn wait_for_tunnel_within(
        &self,
        patience: Duration,
        suits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let good = |tunnel: &Value| {
            tunnel["state"] == "live" && tunnel["path"].is_object() && suits(tunnel)
        };
        let mut last = Vec::new();
        let found = ask::until("a working tunnel", patience, || {
            last = self.status()?["terminal"]["tunnels"].as_array().cloned().unwrap_or_default();
            Ok(last.iter().find(|tunnel| good(tunnel)).cloned())
        });
        found.map_err(|error| {
            Error::wrong(format!("{} has no such tunnel: {error}; it has {last:?}", self.name))
        })
    }

    /// Its virtual address of a family.
    ///
    /// # Errors
    /// It has none.
    pub fn vip(&self, family: Family) -> Result<IpAddr> {
        let status = self.status()?;
        let vips = status["terminal"]["vips"].as_array().cloned().unwrap_or_default();
        vips.iter()
            .filter_map(|vip| vip.as_str()?.parse().ok())
            .find(|ip| Family::from(*ip) == family)
            .ok_or_else(|| Error::wrong(format!("{} has no {family} virtual address", self.name)))
    }

    /// The lines of its log that are warnings or errors.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.process.lines();
        let bad = |line: &str| {
            serde_json::from_str::<Value>(line)
                .map_or(true, |entry| matches!(entry["level"].as_str(), Some("WARN" | "ERROR")))
        };
        lines.into_iter().map(|line| line.text).filter(|line| bad(line)).collect()
    }

    /// The signalling messages that it sent and received so far.
    pub(super) fn signals(&self) -> Vec<Signal> {
        let lines = self.process.lines();
        lines.iter().filter_map(|line| self.signal(&line.text)).collect()
    }

    fn signal(&self, line: &str) -> Option<Signal> {
        let entry: Value = serde_json::from_str(line).ok()?;
        if entry["target"] != "ntm::signal" {
            return None;
        }
        Some(Signal {
            at: Time::from_nanos(entry["at_ns"].as_u64()?),
            node: self.name.clone(),
            out: entry["sent"] == "out",
            message: entry["message"].as_str()?.to_owned(),
            remote: entry["remote"].as_str()?.parse().ok()?,
            bytes: entry["bytes"].as_u64()?,
        })
    }
}
