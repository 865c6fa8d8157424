use std::env;
use std::process::Command;

use super::hook;
use crate::error::{Doing, Result};
use crate::netns::Netns;
use crate::process::Process;
use crate::tools::Tools;

/// A DHCP client on one interface. When dropped it is killed, without giving its
/// address back.
#[derive(Debug)]
pub struct Client(Process);

impl Client {
    /// Starts one; it sets address and default route, which gets this metric.
    /// `None` if none is installed.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        tools: &Tools,
        netns: &Netns,
        interface: &str,
        metric: u32,
    ) -> Result<Option<Self>> {
        let Some(udhcpc) = &tools.udhcpc else { return Ok(None) };
        let script = env::current_exe().doing(|| "find our own executable".to_owned())?;
        let mut command = Command::new(udhcpc);
        // It asks each second, for as long as it takes.
        command.args(["-f", "-T", "1", "-t", "3", "-A", "1", "-i", interface, "-s"]);
        command.arg(script).env(hook::METRIC, metric.to_string());
        Process::start(netns, command).map(|process| Some(Self(process)))
    }

    /// What it has said.
    pub fn process(&self) -> &Process {
        &self.0
    }
}
