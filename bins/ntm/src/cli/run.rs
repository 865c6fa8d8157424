use std::path::PathBuf;

use clap::Args;
use ntm::config::{self, Loaded};
use ntm::{Exit, Node};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Logging, logging, output};

/// Run a node.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm run --config ntm.toml
  ntm run --config ntm.toml --check
  ntm run --config ntm.toml --set handover.mode=seed
  NTM_NODE__NAME=mn2.example ntm run --config ntm.toml --log debug

SIGINT and SIGTERM stop the node: it says farewell and takes its interface away.
A second one stops it at once.")]
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
        logging::start(&self.logging, &loaded.config.log)?;
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
        runtime.block_on(run(&loaded))
    }
}

async fn run(loaded: &Loaded) -> Result<(), Failure> {
    let watch = |kind| {
        signal(kind).map_err(|error| Failure::new(Exit::Failed, format!("no signals: {error}")))
    };
    let (mut interrupt, mut terminate) =
        (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    let node = Node::assemble(loaded).await?;
    tracing::info!(name = %loaded.config.node.name, "running");
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    };
    node.run(stop).await?;
    Ok(())
}
