use std::io::{self, IsTerminal as _};

use ntm::Exit;
use ntm::config::{Loaded, LogFormat as Configured};
use tracing_subscriber::EnvFilter;

use super::{Failure, LogFormat, Logging};

/// What is always said, unless asked for otherwise: QUIC's sockets warn of every
/// datagram that has no way, as there are at each move.
const QUIET: &str = "quinn_udp=error";

/// Starts logging to standard error: the command line wins over the
/// configuration, and `info` is the default.
pub(super) fn start(options: &Logging, loaded: &Loaded) -> Result<(), Failure> {
    let configured = &loaded.config.log;
    let filter = options.log.as_deref().or(configured.level.as_deref()).unwrap_or("info");
    let all = format!("{QUIET},{filter}");
    let filter = EnvFilter::builder().parse(all).map_err(|error| {
        let message = format!(
            "`{filter}` is no log filter ({error}); use one such as `info` or \
             `warn,ntm::signal=debug`"
        );
        match options.log {
            Some(_) => Failure::new(Exit::Usage, format!("--log or NTM_LOG: {message}")),
            None => loaded.sources.error("log.level", message).into(),
        }
    })?;
    let json = match (options.log_format, configured.format) {
        (Some(LogFormat::Json), _) | (None, Some(Configured::Json)) => true,
        (Some(LogFormat::Human), _) | (None, Some(Configured::Human) | None) => false,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let started = if json {
        tracing::subscriber::set_global_default(subscriber.json().flatten_event(true).finish())
    } else {
        tracing::subscriber::set_global_default(subscriber.finish())
    };
    started.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}
