use std::io;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use ntm::config::{self, Loaded};
use ntm::{Exit, Node};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{EXIT_CODES, Failure, Logging, logging, output};

/// Run a node.
#[derive(Args)]
#[command(after_help = format!("{NOTES}\n\n{EXIT_CODES}"))]
pub(super) struct Run {
    /// The file that describes the node.
    #[arg(long, value_name = "FILE", default_value = "ntm.toml")]
    config: PathBuf,
    /// Change one value of it, such as `handover.mode=seed`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Look whether the configuration is right, and stop.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    logging: Logging,
}

impl Run {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let loaded = config::load(&self.config, &self.sets)?;
        logging::start(&self.logging, &loaded)?;
        if self.check {
            ntm::check(&loaded)?;
            for warning in &loaded.warnings {
                output::say(format!("hint: {warning}"));
            }
            output::say(format!("{}: nothing is wrong", self.config.display()));
            return Ok(());
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let stop = stop_signal()?;
        let runtime = one_thread()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
        runtime.block_on(run(&loaded, stop))
    }
}

const NOTES: &str = "\
Examples:
  ntm run --config ntm.toml
  ntm run --config ntm.toml --check
  ntm run --config ntm.toml --set handover.mode=seed
  NTM_NODE__NAME=mn2.example ntm run --config ntm.toml --log debug

SIGINT and SIGTERM stop the node: it says farewell and takes its interface away.
A second one stops it at once.";

/// Completes at the first SIGINT or SIGTERM. A second one ends the process at
/// once, whatever the node is waiting for: a thread of its own hears it.
fn stop_signal() -> Result<oneshot::Receiver<()>, Failure> {
    let failed = |error| Failure::new(Exit::Failed, format!("cannot wait for signals: {error}"));
    let runtime = one_thread().map_err(failed)?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    drop(inside);
    let (stop, stopped) = oneshot::channel();
    let listen = async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping");
        let _ending_already = stop.send(());
        next().await;
        std::process::exit(Exit::Stopped as i32);
    };
    let thread = thread::Builder::new().name("ntm-signals".into());
    thread.spawn(move || runtime.block_on(listen)).map_err(failed)?;
    Ok(stopped)
}

fn one_thread() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn run(loaded: &Loaded, stop: oneshot::Receiver<()>) -> Result<(), Failure> {
    let node = Node::assemble(loaded).await?;
    tracing::info!(name = %loaded.config.node.name, "running");
    let stop = async {
        let _at_first_signal = stop.await;
    };
    Ok(node.run(stop).await?)
}
