use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use ntm::{Exit, Request, Response};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{MemberRole, MemberRoles};
use serde_json::{Value, json};

use super::{Asking, Failure, moves, output, show};

/// Where nodes have their control sockets, unless configured otherwise.
const SOCKETS: &str = "/run/ntm";

impl Asking {
    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if let Some(config) = &self.config {
            return Ok(ntm::config::load(config, &[])?.config.control.socket);
        }
        let folder = fs::read_dir(SOCKETS).into_iter().flatten().flatten();
        let mut sockets: Vec<_> = folder
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
            .collect();
        sockets.sort();
        match sockets.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(Failure::new(
                Exit::Failed,
                format!(
                    "no node is running that has its control socket in {SOCKETS}; name another \
                     with `--config` or `--socket`"
                ),
            )),
            several => {
                let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
                let message = format!(
                    "several nodes are running; choose one with `--socket`: {}",
                    names.join(", ")
                );
                Err(Failure::new(Exit::Usage, message))
            }
        }
    }

    /// Asks, and prints the answer as JSON or as `show` does.
    fn ask(&self, request: &Request, show: impl FnOnce(&Value)) -> Result<(), Failure> {
        let socket = self.socket()?;
        match ntm::ask(&socket, request) {
            Ok(Response::Ok(value)) if self.json => output::say(format!("{value:#}")),
            Ok(Response::Ok(value)) => show(&value),
            Ok(Response::Error(message)) if self.json => {
                output::say(format!("{:#}", json!({ "error": message })));
                return Err(Failure::new(Exit::Failed, message));
            }
            Ok(Response::Error(message)) => return Err(Failure::new(Exit::Failed, message)),
            Err(error) => return Err(unreachable_node(&socket, &error)),
        }
        Ok(())
    }
}

fn unreachable_node(socket: &Path, error: &std::io::Error) -> Failure {
    let (exit, remedy) = if error.kind() == ErrorKind::PermissionDenied {
        (Exit::Permission, "ask as the user that the node runs as")
    } else {
        (Exit::Failed, "is the node running?")
    };
    Failure::new(exit, format!("cannot ask the node at {}: {error}; {remedy}", socket.display()))
}

pub(super) fn status(asking: &Asking) -> Result<(), Failure> {
    asking.ask(&Request::Status, show::status)
}

/// Ask another node for a sign of life.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm ping cn.example
  ntm ping cn.example --count 10 --json")]
pub(super) struct Ping {
    /// The node's name.
    name: NodeName,
    /// How often.
    #[arg(long, short, default_value_t = 1)]
    count: u32,
    /// Seconds to wait for each answer.
    #[arg(long, default_value_t = 5)]
    timeout: u64,
    #[command(flatten)]
    asking: Asking,
}

impl Ping {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let timeout_ms = self.timeout.saturating_mul(1000);
        for nth in 0..self.count {
            if nth > 0 {
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            let request = Request::Ping { name: self.name.clone(), timeout_ms };
            self.asking.ask(&request, show::pong)?;
        }
        Ok(())
    }
}

/// Accept the changed key of a node.
#[derive(Args)]
pub(super) struct Trust {
    /// The node's name.
    name: NodeName,
    #[command(flatten)]
    asking: Asking,
}

impl Trust {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let name = self.name;
        self.asking.ask(&Request::Trust { name: name.clone() }, |_| {
            output::say(format!("the present key of {name} is trusted from now on"));
        })
    }
}

/// The last moves, its own and its peers', and why each took as long as it did.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm handover
  ntm handover --last 1 --json")]
pub(super) struct Handover {
    /// How many moves.
    #[arg(long, default_value_t = 10)]
    last: usize,
    #[command(flatten)]
    asking: Asking,
}

impl Handover {
    pub(super) fn execute(self) -> Result<(), Failure> {
        self.asking.ask(&Request::Handover { last: self.last }, moves::show)
    }
}

/// Who belongs to a coordinator's domain.
#[derive(Subcommand)]
pub(super) enum MemberCommand {
    /// Show the members.
    List(Asking),
    /// Add a member, or change the key or the roles of one.
    Add {
        /// Its name.
        name: NodeName,
        /// Its public key, as `ntm key public` prints it.
        public_key: PublicKey,
        /// What it may be; may be repeated.
        #[arg(long = "role", value_name = "ROLE", default_value = "terminal")]
        roles: Vec<Role>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Remove a member; what connects others with it ends.
    Remove {
        /// Its name.
        name: NodeName,
        #[command(flatten)]
        asking: Asking,
    },
}

/// What a member may be.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Role {
    /// An NTM terminal.
    Terminal,
    /// A relay server.
    #[value(alias = "rs")]
    Relay,
}

impl MemberCommand {
    pub(super) fn execute(self) -> Result<(), Failure> {
        match self {
            Self::List(asking) => asking.ask(&Request::Status, show::members),
            Self::Add { name, public_key, roles, asking } => {
                let roles = roles
                    .into_iter()
                    .map(|role| match role {
                        Role::Terminal => MemberRole::Terminal,
                        Role::Relay => MemberRole::Relay,
                    })
                    .map(MemberRoles::from)
                    .reduce(MemberRoles::with);
                let roles = roles.unwrap_or(MemberRole::Terminal.into());
                let request = Request::MemberAdd { name: name.clone(), public_key, roles };
                asking.ask(&request, |_| output::say(format!("{name} is a member")))
            }
            Self::Remove { name, asking } => {
                asking.ask(&Request::MemberRemove { name: name.clone() }, |_| {
                    output::say(format!("{name} is no member any more"));
                })
            }
        }
    }
}
