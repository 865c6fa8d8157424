//! A node assembled from its configuration.
//!
//! - [`config`]: one `ntm.toml` describes a node.
//! - [`Node`]: assembled from a configuration, then run; embed it in a program
//!   of your own, or use the `ntm` command.
//! - [`plugins`]: which there are.
//! - [`Request`], [`ask`]: talking to a running node.
//!
//! ```no_run
//! # async fn example() -> Result<(), ntm::StartError> {
//! let loaded = ntm::config::load("ntm.toml".as_ref(), &[])?;
//! let node = ntm::Node::assemble(&loaded).await?;
//! node.run(std::future::pending()).await
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod clock;
pub mod config;
mod error;
mod node;
pub mod plugins;
mod seed;
mod worker;

pub use error::{Exit, StartError};
pub use node::{
    CoordinatorReport, Drops, LibraryReport, MemberReport, MoveReport, Node, NodePhases,
    NodeStatus, PacketReport, PathReport, PluginFacts, PresenceReport, RelayReport, Request,
    Response, SIGNAL, TerminalReport, TrafficReport, TunnelMove, TunnelReport, WayReport, ask,
    check,
};
pub use seed::random_seed;
