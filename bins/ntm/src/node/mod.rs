//! A node: machines, tables and workers, put together as a configuration says.
//!
//! `assemble` opens everything, `run` drives it: one control task owns the
//! machines and the tables; packet workers read the tables and leave what they
//! cannot decide in the mailbox.

mod assemble;
mod changes;
mod control;
mod effects;
mod handover;
mod interface;
mod log;
mod look;
mod machines;
mod nat64;
mod outputs;
mod overlap;
mod peers;
mod ping;
mod run;
mod serve;
mod silence;
mod sleep;
mod status;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::Arc;

use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Interface, Transport, Watcher};
use ntm_core::relay::ForwardTable;
use ntm_core::tunnel::Table;
use tokio::sync::mpsc;

use control::Server;
use effects::{Answer, Questions};
use handover::Handovers;
use machines::Machines;
use run::Waiting;
use workers::Workers;

use crate::config::Place;
use crate::worker::Mailbox;

pub use assemble::check;
pub use control::{Request, Response, ask};
pub use handover::{MoveReport, NodePhases, PacketReport, TunnelMove, WayReport};
pub use log::SIGNAL;
pub use status::{
    CoordinatorReport, Drops, LibraryReport, MemberReport, NodeStatus, PathReport, PluginFacts,
    PresenceReport, RelayReport, TerminalReport, TrafficReport, TunnelReport,
};

/// A node that has everything it needs and has not begun.
pub struct Node {
    name: NodeName,
    public_key: PublicKey,
    machines: Machines,
    table: Table,
    forwards: ForwardTable,
    transports: Vec<(String, Arc<dyn Transport>)>,
    interface: Option<Arc<dyn Interface>>,
    mtu: u16,
    watcher: Box<dyn Watcher>,
    mailbox: Arc<Mailbox>,
    workers: Workers,
    questions: Questions,
    answers: mpsc::UnboundedReceiver<Answer>,
    server: Option<Server>,
    /// Where the coordinator was named, to blame for what it tells.
    dc: Place,
    handovers: Handovers,
    waiting: Waiting,
}
