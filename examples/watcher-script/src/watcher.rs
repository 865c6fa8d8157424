use std::net::IpAddr;

use async_trait::async_trait;
use ntm_core::plugin::{Change, Fault, PluginError, Route, Snapshot, Watcher};
use ntm_watcher_poll::PollWatcher;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc::Receiver;

use crate::command::Running;

/// What can be set about the watcher `script`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program and its arguments. A program without a `/` is looked for in `PATH`.
    pub command: Vec<String>,
    /// Time from one look of our own to the next in milliseconds, 10 to 3600000.
    #[serde(default = "interval")]
    pub interval_ms: u32,
}

fn interval() -> u32 {
    5000
}

impl Config {
    /// Checks what can be checked without starting anything.
    ///
    /// # Errors
    /// There is no command.
    pub fn check(&self) -> Result<(), PluginError> {
        if self.command.is_empty() {
            let remedy = "name a program and its arguments, as a list";
            return Err(
                PluginError::new(Fault::Config, "there is no command", remedy).at("command")
            );
        }
        Ok(())
    }
}

/// A watcher that a command wakes.
pub struct ScriptWatcher {
    changes: Receiver<Change>,
    system: PollWatcher,
    _running: Running,
}

impl ScriptWatcher {
    /// Starts the command. Must be called inside a tokio runtime, as plugins are.
    ///
    /// # Errors
    /// There is no such command, it may not be run, or the system does not list its
    /// interfaces.
    pub fn open(config: Config) -> Result<Self, PluginError> {
        config.check()?;
        let system =
            PollWatcher::open(ntm_watcher_poll::Config { interval_ms: config.interval_ms })?;
        let program = config.command[0].clone();
        let (running, changes) = Running::start(config.command).map_err(|error| {
            let remedy = "install it, or name another in `command`";
            PluginError::io(format_args!("run `{program}`"), &error, remedy).at("command")
        })?;
        Ok(Self { changes, system, _running: running })
    }
}

#[async_trait]
impl Watcher for ScriptWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        // Both may be given up at any time, and lose nothing.
        tokio::select! {
            Some(change) = self.changes.recv() => Ok(change),
            change = self.system.next() => change,
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        self.system.snapshot().await
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        self.system.routes(to).await
    }
}
