//! What clients of the control socket ask, answered.

use ntm_core::Time;
use ntm_core::coordinator::{Coordinator, Member, MembershipError};
use ntm_core::id::NodeName;
use ntm_core::terminal::TerminalCommand;
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::error;

use super::Node;
use super::control::{Request, Response};
use super::status::{self, NodeStatus, PluginFacts};
use crate::clock;

/// Moves that a status tells of.
const MOVES: usize = 10;

impl Node {
    pub(super) fn serve(&mut self, request: Request, answer: oneshot::Sender<Response>) {
        let now = clock::now();
        let response = match request {
            Request::Status => json_of(&self.status(now)),
            Request::Handover { last } => {
                self.handovers.look(now, &self.table, self.mailbox.stats());
                json_of(&self.handovers.report(last))
            }
            Request::Ping { name, timeout_ms } => {
                return self.begin_ping(now, name, timeout_ms, answer);
            }
            Request::Trust { name } => match &mut self.machines.terminal {
                Some(terminal) if terminal.has_changed_key(&name) => {
                    terminal.handle_command(now, TerminalCommand::Trust(name));
                    Response::Ok(Value::Null)
                }
                Some(_) => Response::Error(format!(
                    "no changed key of {name} has been seen; nothing to accept"
                )),
                None => Response::Error("this node is no terminal".into()),
            },
            Request::MemberAdd { name, public_key, roles } => {
                let member = Member { name, key: public_key, roles };
                let name = member.name.clone();
                return self.change_member(name, answer, |dc| dc.add_member(now, member));
            }
            Request::MemberRemove { name } => {
                return self.change_member(name.clone(), answer, |dc| dc.remove_member(now, &name));
            }
        };
        // The client may have gone; that is its right.
        let _gone = answer.send(response);
    }

    /// Changes a member; the client is answered when that is durable.
    fn change_member(
        &mut self,
        name: NodeName,
        answer: oneshot::Sender<Response>,
        change: impl FnOnce(&mut Coordinator) -> Result<(), MembershipError>,
    ) {
        let begun = match &mut self.machines.coordinator {
            Some(coordinator) => change(coordinator).map_err(|error| error.to_string()),
            None => Err("this node is no coordinator".into()),
        };
        match begun {
            Ok(()) => self.waiting.members.begin(name, answer),
            Err(message) => drop(answer.send(Response::Error(message))),
        }
    }

    fn status(&mut self, now: Time) -> NodeStatus {
        let stats = self.mailbox.stats();
        self.handovers.look(now, &self.table, stats);
        let facts = |facts: Vec<(String, String)>| facts.into_iter().collect();
        let transports = self.transports.iter().map(|(name, transport)| PluginFacts {
            name: name.clone(),
            listens: transport.local_addrs(),
            facts: facts(transport.facts()),
        });
        NodeStatus {
            name: self.name.clone(),
            public_key: self.public_key,
            version: env!("CARGO_PKG_VERSION"),
            terminal: self.machines.terminal.as_ref().map(|terminal| {
                let traffic = |path: &_| {
                    self.table.get(path).map(|tunnel| tunnel.traffic()).unwrap_or_default()
                };
                let moves = self.handovers.report(MOVES);
                status::terminal(terminal.status(now), &self.transports, traffic, moves)
            }),
            coordinator: self
                .machines
                .coordinator
                .as_ref()
                .map(|c| status::coordinator(c.status())),
            relay: self
                .machines
                .relay
                .as_ref()
                .map(|relay| status::relay(relay.status(), stats.worker.relayed)),
            transports: transports.collect(),
            interface: self.interface.as_ref().map(|interface| PluginFacts {
                name: interface.name(),
                listens: Vec::new(),
                facts: facts(interface.facts()),
            }),
            plugins: status::LibraryReport::all(),
            dropped: stats.into(),
        }
    }
}

fn json_of(value: &impl serde::Serialize) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => Response::Ok(value),
        Err(error) => {
            error!(%error, "an answer cannot be written as JSON");
            Response::Error(error.to_string())
        }
    }
}
