//! TCP streams, by iperf3.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use ntm_lab::{Error, Netns, Process, Result};
use serde_json::Value;

use crate::bed::{finish, program};

/// iperf3 at both ends; its server runs until this is dropped.
pub(crate) struct Streams<'a> {
    left: &'a Netns,
    to: Ipv4Addr,
    congestion: String,
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

impl<'a> Streams<'a> {
    /// `congestion` is what the kernel calls the senders' congestion control.
    ///
    /// # Errors
    /// iperf3 is not installed, or does not listen.
    pub(crate) fn new(
        left: &'a Netns,
        right: (&Netns, Ipv4Addr),
        congestion: &str,
    ) -> Result<Self> {
        let mut command = Command::new(program("iperf3")?);
        command.args(["--server", "--forceflush", "--bind", &right.1.to_string()]);
        let server = Process::start(right.0, command)?;
        server.wait_for_line("Server listening", Duration::from_secs(5))?;
        Ok(Self { left, to: right.1, congestion: congestion.to_owned(), _server: server })
    }

    /// Starts so many streams.
    ///
    /// # Errors
    /// iperf3 cannot be started.
    pub(crate) fn start(
        &self,
        streams: u32,
        direction: Direction,
        seconds: u32,
    ) -> Result<Process> {
        let mut command = Command::new(program("iperf3")?);
        command.args(["--client", &self.to.to_string(), "--json", "--interval", "0"]);
        command.args(["--time", &seconds.to_string(), "--parallel", &streams.to_string()]);
        command.args(["--congestion", &self.congestion]);
        if direction == Direction::Back {
            command.arg("--reverse");
        }
        Process::start(self.left, command)
    }

    /// Waits for the end of streams that run for so long.
    ///
    /// # Errors
    /// iperf3 fails.
    pub(crate) fn finish(client: Process, seconds: u32) -> Result<Sum> {
        let said = finish(client, Duration::from_secs(u64::from(seconds) + 20))?;
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

    /// All of it.
    ///
    /// # Errors
    /// iperf3 fails.
    pub(crate) fn run(&self, streams: u32, direction: Direction, seconds: u32) -> Result<Sum> {
        Self::finish(self.start(streams, direction, seconds)?, seconds)
    }
}
