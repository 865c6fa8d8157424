//! TCP streams, by iperf3.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use ntm_lab::{Error, Netns, Process, Result};
use serde_json::Value;

use crate::bed::{finish, program};

/// iperf3 at both ends.
pub(crate) struct Streams<'a> {
    pub(crate) left: &'a Netns,
    pub(crate) right: &'a Netns,
    /// Right's address.
    pub(crate) to: Ipv4Addr,
    /// What the kernel calls the senders' congestion control.
    pub(crate) congestion: &'a str,
}

/// Streams that are under way, for so many seconds.
pub(crate) struct RunningStreams {
    client: Process,
    seconds: u32,
    _server: Process,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From left to right.
    There,
    /// From right to left.
    Back,
}

/// What iperf3 says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sum {
    pub(crate) bytes: f64,
    pub(crate) bits_per_second: f64,
    pub(crate) retransmits: f64,
}

impl Streams<'_> {
    /// Starts so many streams.
    ///
    /// # Errors
    /// iperf3 is not installed, or does not start.
    pub(crate) fn start(
        &self,
        streams: u32,
        direction: Direction,
        seconds: u32,
    ) -> Result<RunningStreams> {
        let iperf3 = program("iperf3")?;
        // One for each run: between two it does not listen.
        let mut command = Command::new(&iperf3);
        command.args(["--server", "--one-off", "--forceflush", "--bind", &self.to.to_string()]);
        let server = Process::start(self.right, command)?;
        server.wait_for_line("Server listening", Duration::from_secs(5))?;
        let mut command = Command::new(iperf3);
        command.args(["--client", &self.to.to_string(), "--json", "--interval", "0"]);
        command.args(["--time", &seconds.to_string(), "--parallel", &streams.to_string()]);
        command.args(["--congestion", self.congestion]);
        if direction == Direction::Back {
            command.arg("--reverse");
        }
        let client = Process::start(self.left, command)?;
        Ok(RunningStreams { client, seconds, _server: server })
    }

    /// All of it.
    ///
    /// # Errors
    /// iperf3 fails.
    pub(crate) fn run(&self, streams: u32, direction: Direction, seconds: u32) -> Result<Sum> {
        self.start(streams, direction, seconds)?.finish()
    }
}

impl RunningStreams {
    /// Waits for their end.
    ///
    /// # Errors
    /// iperf3 fails.
    pub(crate) fn finish(self) -> Result<Sum> {
        let said = finish(self.client, Duration::from_secs(u64::from(self.seconds) + 20))?;
        let report: Value =
            serde_json::from_str(&said).map_err(|error| Error::Wrong(error.to_string()))?;
        if let Some(error) = report["error"].as_str() {
            return Err(Error::Wrong(format!("iperf3: {error}")));
        }
        let read = |part: &str, key: &str| {
            let number = report["end"][part][key].as_f64();
            number.ok_or_else(|| Error::Wrong(format!("iperf3 says nothing of {part}.{key}")))
        };
        Ok(Sum {
            bytes: read("sum_received", "bytes")?,
            bits_per_second: read("sum_received", "bits_per_second")?,
            retransmits: read("sum_sent", "retransmits")?,
        })
    }
}
