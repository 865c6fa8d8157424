mod client;
mod key;
#[cfg(all(feature = "lab", target_os = "linux"))]
mod lab;
mod logging;
mod moves;
mod new_plugin;
mod output;
mod plugins;
mod run;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ntm::Exit;

/// Keeps your computer's conversations alive while it moves between networks.
#[derive(Parser)]
#[command(name = "ntm", version, arg_required_else_help = true)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ntm key generate --out mn.key        make a key pair; prints the public half
  ntm run --config ntm.toml --check    look whether the configuration is right
  ntm run --config ntm.toml            run the node that it describes
  ntm status                           how the node on this machine is
  ntm ping cn.example                  reach another node, and by which path
  ntm lab paper                        see a move happen, in a network made for it";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the thing asked for failed
  2  wrong usage or configuration
  3  no permission
  4  something is missing on this machine
  5  something is in use by somebody else
  6  this system or build cannot do it
  130  stopped at once by a second signal";

#[derive(Subcommand)]
enum Command {
    /// Run a node: terminal, coordinator, relay, or several of them.
    Run(run::Run),
    /// How a running node is.
    Status(Asking),
    /// Ask another node for a sign of life; says over which path it came.
    Ping(client::Ping),
    /// Make and show keys.
    #[command(subcommand)]
    Key(key::Key),
    /// Accept the changed key of a node.
    Trust(client::Trust),
    /// The last moves of a terminal, step by step.
    Handover(client::Handover),
    /// Who belongs to a coordinator's domain.
    #[command(subcommand)]
    Member(client::MemberCommand),
    /// Which plugins there are.
    Plugins(plugins::List),
    /// Look at a plugin in a library, or begin one.
    #[command(subcommand)]
    Plugin(plugins::Plugin),
    /// Try moves in networks made for it, out of network namespaces.
    #[cfg(all(feature = "lab", target_os = "linux"))]
    #[command(subcommand)]
    Lab(lab::Lab),
}

/// Which running node is meant, and how to answer.
#[derive(Args)]
struct Asking {
    /// The node's control socket; by default the one in /run/ntm, if there is one.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// The node's configuration, which names its control socket.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// How to write log lines.
#[derive(Args)]
struct Logging {
    /// What to log: a level, or a filter such as `info,ntm::signal=debug`.
    #[arg(long, value_name = "FILTER", env = "NTM_LOG")]
    log: Option<String>,
    /// How to write log lines.
    #[arg(long, value_name = "FORMAT", env = "NTM_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// One line an event.
    Human,
    /// One JSON object an event.
    Json,
}

/// A command that did not succeed: what to say, and the exit code.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<ntm::StartError> for Failure {
    fn from(error: ntm::StartError) -> Self {
        Self::new(error.exit, error.message)
    }
}

impl From<ntm::config::ConfigError> for Failure {
    fn from(error: ntm::config::ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

pub(crate) fn main() -> ExitCode {
    // The lab may have started this program as part of a network.
    #[cfg(all(feature = "lab", target_os = "linux"))]
    ntm_lab::sandbox::serve_if_called();
    let result = match Cli::parse().command {
        Command::Run(run) => run.execute(),
        Command::Status(asking) => client::status(&asking),
        Command::Ping(ping) => ping.execute(),
        Command::Key(key) => key.execute(),
        Command::Trust(trust) => trust.execute(),
        Command::Handover(handover) => handover.execute(),
        Command::Member(member) => member.execute(),
        Command::Plugins(list) => list.execute(),
        Command::Plugin(plugin) => plugin.execute(),
        #[cfg(all(feature = "lab", target_os = "linux"))]
        Command::Lab(lab) => lab.execute(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.message);
            failure.exit.into()
        }
    }
}
