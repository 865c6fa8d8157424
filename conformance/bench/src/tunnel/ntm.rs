//! A coordinator, two terminals and, where the ends cannot reach each other, a
//! relay.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ntm_core::address::Candidate;
use ntm_core::client::CoordinatorAddress;
use ntm_lab::scenario::domain::Transport;
use ntm_lab::scenario::{library, program, until};
use ntm_lab::{Error, Netns, Process, Result};
use serde_json::Value;

use super::{Context, Running, START};
use crate::bed::{Way, doing, finish};
use crate::crowd::{Crowd, Pairs, Stranger};

/// What nodes are given, where it is not what they come with.
pub(super) struct Outfit<'a> {
    pub(super) program: &'a Path,
    /// Added to the configuration of both terminals.
    pub(super) sections: &'a str,
    /// How all datagrams travel.
    pub(super) transport: Transport,
    /// The folder of the shared objects that have the transport of every node and the
    /// interface of both terminals.
    pub(super) libraries: Option<&'a Path>,
    pub(super) others: Others,
}

/// Who has tunnels besides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Nobody,
    /// So many have one with left, in which nobody says anything.
    WithLeft(usize),
    /// The relay has so many paths of others, each used a little.
    ThroughRelay(usize),
}

/// A node that is to run.
struct Node<'a> {
    name: &'a str,
    machine: &'a Netns,
    role: &'a str,
    port: u16,
    sections: String,
    /// What it says once it is ready.
    ready: &'a str,
}

impl<'a> Outfit<'a> {
    /// The program as it comes.
    pub(super) fn of(program: &'a Path) -> Self {
        let transport = Transport::Udp;
        Self { program, sections: "", transport, libraries: None, others: Others::Nobody }
    }

    /// A plugin's section.
    fn plugin(&self, kind: &str, head: &str, name: &str, config: &str) -> String {
        let which = match self.libraries {
            None => format!("plugin = \"{name}\""),
            Some(folder) => format!("library = \"{}\"", library(folder, kind, name).display()),
        };
        format!("{head}\n{which}\nconfig = {{ {config} }}\n")
    }

    fn must_be_built(&self) -> Result<()> {
        let Some(folder) = self.libraries else { return Ok(()) };
        let (transport, interface) = (self.transport.name(), "tun");
        let files = [("transport", transport), ("interface", interface)];
        let mut files = files.into_iter().map(|(kind, name)| library(folder, kind, name));
        files.find(|file| !file.is_file()).map_or(Ok(()), |file| {
            Err(Error::Missing {
                what: file.display().to_string(),
                remedy: format!(
                    "build it with `cargo build --release -p ntm-transport-{transport}-dyn -p \
                     ntm-interface-{interface}-dyn`, or name another folder with --libraries"
                ),
            })
        })
    }
}

pub(super) fn start(context: &Context<'_>, outfit: &Outfit<'_>) -> Result<Running> {
    outfit.must_be_built()?;
    let bed = context.bed;
    let (count, pairs) = match outfit.others {
        Others::Nobody => (0, 0),
        Others::WithLeft(count) => (count, 0),
        Others::ThroughRelay(_) if bed.way == Way::Direct => {
            return Err(Error::Wrong("there is no relay where the ends reach each other".into()));
        }
        Others::ThroughRelay(pairs) => (Pairs::people(pairs), pairs),
    };
    let strangers = Stranger::some(count)?;
    let domain = Domain { context, outfit };
    let keys = ["dc", "rs", "left", "right"].map(|name| domain.key(name));
    let [dc, rs, left, right] = keys;
    let (dc_key, rs, left, right) = (dc?, rs?, left?, right?);
    let hub = bed.hub_address;
    let mut members: String = strangers.iter().map(Stranger::member).collect();
    for (name, key, role) in
        [("rs", rs, "relay"), ("left", left, "terminal"), ("right", right, "terminal")]
    {
        members += &format!(
            "[[member]]\nname = \"{name}.example\"\npublic_key = \"{key}\"\nrole = \"{role}\"\n"
        );
    }
    let at_hub = |name, role, port, sections: String, ready| Node {
        name,
        machine: &bed.hub,
        role,
        port,
        sections,
        ready,
    };
    let registry = "[registry.config]\npath = \"dc.redb\"\n";
    // Nothing here is about quotas.
    let quota = "relay_quota = { rate = 2_000_000_000, bytes = 1_000_000_000_000 }";
    let at = format!("\"{}:{hub}:4330\"", outfit.transport.name());
    let serve = format!("{registry}[coordinator]\npublic = [{at}]\n{quota}\n{members}");
    let upstream = format!("[[dc]]\naddresses = [{at}]\npublic_key = \"{dc_key}\"\n");
    let dc = domain.run(&at_hub("dc", "dc", 4330, serve, "the registry is read"))?;
    let mut path = Vec::new();
    if bed.way == Way::Relayed {
        let ready = "registered with the coordinator";
        path.push(domain.run(&at_hub("rs", "rs", 4331, upstream.clone(), ready))?);
    }
    for (name, machine) in [("left", &bed.left), ("right", &bed.right)] {
        let device = outfit.plugin("interface", "[interface]", "tun", "name = \"bench\"");
        let sections = format!("{upstream}{device}{}", outfit.sections);
        let node = Node { name, machine, role: "terminal", port: 4330, sections, ready: "ready" };
        path.push(domain.run(&node)?);
    }
    domain.ask("left", &["ping", "right.example"])?;
    domain.wait_for_way()?;
    let mut crowd = None;
    if outfit.others != Others::Nobody {
        let key = dc_key.parse().map_err(|_| Error::Wrong("a public key is not one".into()))?;
        let addresses = vec![Candidate::udp((hub, 4330).into())];
        let coordinator = CoordinatorAddress { key, addresses };
        crowd = Some(domain.gather(&coordinator, strangers, pairs)?);
    }
    let (left, right) = (domain.address("left")?, domain.address("right")?);
    let sockets = Some(["left", "right"].map(|name| domain.socket(name)));
    Ok(Running { left, right, path, others: vec![dc], sockets, crowd })
}

struct Domain<'a> {
    context: &'a Context<'a>,
    outfit: &'a Outfit<'a>,
}

impl Domain<'_> {
    /// Makes a node's key and returns the public half.
    fn key(&self, name: &str) -> Result<String> {
        let mut command = self.command();
        command.args(["key", "generate", "--out", &format!("{name}.key")]);
        let said = self.finish(command)?;
        Ok(said.trim().to_owned())
    }

    fn run(&self, node: &Node<'_>) -> Result<Process> {
        let Node { name, machine, role, port, sections, ready } = node;
        let (way, listen) = (self.outfit.transport.name(), format!("bind = \"[::]:{port}\""));
        let transport = self.outfit.plugin("transport", "[[transport]]", way, &listen);
        let text = format!(
            "[node]\nname = \"{name}.example\"\nrole = [\"{role}\"]\nkey = \"{name}.key\"\n\
             [control]\nsocket = \"{}\"\n{transport}{sections}",
            self.socket(name).display(),
        );
        let file = self.context.write(&format!("{name}.toml"), text)?;
        let mut command = self.command();
        command.args(["run", "--check", "--config"]).arg(&file);
        self.finish(command)?;
        let mut command = self.command();
        command.arg("run").arg("--config").arg(&file);
        let log = self.context.folder.join(format!("{name}.log"));
        command.current_dir(&self.context.folder);
        let process = Process::start_logged(machine, command, Some(&log))?;
        process.wait_for_line(ready, START)?;
        Ok(process)
    }

    fn command(&self) -> Command {
        program(self.outfit.program)
    }

    fn finish(&self, mut command: Command) -> Result<String> {
        command.current_dir(&self.context.folder);
        finish(Process::start(&self.context.bed.left, command)?, START)
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.context.folder.join(format!("{name}.sock"))
    }

    fn ask(&self, node: &str, question: &[&str]) -> Result<Value> {
        let mut command = self.command();
        command.args(question).arg("--json").arg("--socket").arg(self.socket(node));
        // With many tunnels the answer is longer than what is kept of a process's words.
        let output = command.output().map_err(doing("ask a node"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Wrong(format!("{node}: {words}")));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| Error::Wrong(error.to_string()))
    }

    fn address(&self, node: &str) -> Result<Ipv4Addr> {
        let status = self.ask(node, &["status"])?;
        let addresses = status["terminal"]["vips"].as_array().into_iter().flatten();
        let mut addresses = addresses.filter_map(|vip| vip.as_str()?.parse().ok());
        addresses.next().ok_or_else(|| Error::Wrong(format!("{node} has no virtual address")))
    }

    /// How many others a node has keys with.
    fn tunnels(&self, node: &str) -> Result<usize> {
        let status = self.ask(node, &["status"])?;
        let tunnels = status["terminal"]["tunnels"].as_array().into_iter().flatten();
        Ok(tunnels.filter(|tunnel| tunnel["session_age_s"].is_number()).count())
    }

    /// The paths that the relay has.
    fn relayed(&self) -> Result<usize> {
        let status = self.ask("rs", &["status"])?;
        let pairs = status["relay"]["pairs"].as_u64().unwrap_or_default();
        Ok(usize::try_from(pairs).unwrap_or_default())
    }

    /// Has others come: with `pairs` of them through the relay, who cannot reach each other
    /// either; without, with left.
    fn gather(
        &self,
        coordinator: &CoordinatorAddress,
        strangers: Vec<Stranger>,
        pairs: usize,
    ) -> Result<Crowd> {
        let bed = self.context.bed;
        if pairs == 0 {
            let place = [(&bed.hub, bed.hub_address)];
            let crowd = Crowd::gather(&place, coordinator, strangers, Pairs::default())?;
            crowd.meet(&bed.left, || self.tunnels("left"))?;
            return Ok(crowd);
        }
        let places = [(&bed.left, bed.left_address), (&bed.right, bed.right_address)];
        let plan = Pairs::of(&strangers, pairs);
        let crowd = Crowd::gather(&places, coordinator, strangers, plan)?;
        crowd.join(self.context.say)?;
        // Those, and the one that is measured.
        match self.relayed()? {
            number if number > pairs => Ok(crowd),
            number => Err(Error::Wrong(format!("the relay has {number} paths, not {pairs}"))),
        }
    }

    /// The path must be the one that is to be measured, and one on which the far end
    /// has proved to be: until then a node sends it little.
    fn wait_for_way(&self) -> Result<()> {
        let wanted = match self.context.bed.way {
            Way::Direct => "direct",
            Way::Relayed => "relay",
        };
        until(&format!("a {wanted} path"), START, || {
            let status = self.ask("left", &["status"])?;
            let tunnels = status["terminal"]["tunnels"].as_array();
            let fits = |tunnel: &Value| {
                tunnel["state"] == "live"
                    && tunnel["path"]["kind"] == wanted
                    && tunnel["path"]["proved"] == true
            };
            Ok(tunnels.is_some_and(|tunnels| tunnels.iter().any(fits)).then_some(()))
        })
    }
}
