//! WireGuard in user space, told what to do by `wg`.

use std::process::Command;

use ntm_lab::scenario::until;
use ntm_lab::{Process, Result};

use super::{Context, LEFT, RIGHT, Running, START};
use crate::bed::{dress, finish, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    let (daemon, tool) = (program("wireguard-go")?, program("wg")?);
    let ends = context.ends();
    let mut public = Vec::new();
    for end in ends {
        let private = context.call("wg", &["genkey"])?;
        let file = context.write(&format!("{}.key", end.name), private)?;
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" pubkey < \"$1\""]).arg(&tool).arg(file);
        let said = finish(Process::start(end.machine, command)?, START)?;
        public.push(said.trim().to_owned());
    }
    let mut path = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        let (end, peer) = (ends[own], ends[other]);
        // The name is that of the control socket too, of which both ends see one
        // folder.
        let device = format!("bench-{}", end.name);
        let mut command = Command::new(&daemon);
        command.args(["-f", &device]);
        // Where the kernel has WireGuard it asks whether one really wants this.
        command.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
        path.push(context.stay(end.machine, command)?);
        let configure = || {
            let mut command = Command::new(&tool);
            command.args(["set", &device, "listen-port", "51820", "private-key"]);
            command.arg(context.folder.join(format!("{}.key", end.name)));
            command.args(["peer", &public[other], "allowed-ips", &format!("{}/32", peer.inside)]);
            command.args(["endpoint", &format!("{}:51820", peer.address)]);
            finish(Process::start(end.machine, command)?, START)
        };
        // Until the daemon listens, the tool asks the kernel, which may know nothing
        // of WireGuard.
        let mut outcome = Ok(String::new());
        let done = until("the control socket of wireguard-go", START, || {
            outcome = configure();
            Ok(outcome.is_ok().then_some(()))
        });
        outcome.and(done)?;
        dress(end.machine, &device, end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}
