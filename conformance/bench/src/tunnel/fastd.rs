//! fastd with the method that its manual recommends.

use std::process::Command;

use ntm_lab::Result;

use super::{Context, LEFT, RIGHT, Running};
use crate::bed::{INNER_MTU, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    let fastd = program("fastd")?;
    let ends = context.ends();
    let mut keys = Vec::new();
    for _ in ends {
        let said = context.call("fastd", &["--generate-key", "--machine-readable"])?;
        let secret = said.trim().to_owned();
        let file =
            context.write("secret", format!("secret \"{secret}\";\n"))?.display().to_string();
        let ask = ["--config", &file, "--show-key", "--machine-readable"];
        keys.push((secret, context.call("fastd", &ask)?.trim().to_owned()));
    }
    let mut path = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        let (end, peer) = (ends[own], ends[other]);
        let config = format!(
            "log level warn;\nmode tun;\ninterface \"bench\";\nmtu {INNER_MTU};\n\
             method \"salsa2012+umac\";\nbind {}:10000;\nsecret \"{}\";\n\
             peer \"{}\" {{ key \"{}\"; remote {}:10000; }}\n",
            end.address, keys[own].0, peer.name, keys[other].1, peer.address
        );
        let file = context.write(&format!("{}.conf", end.name), config)?;
        let mut command = Command::new(&fastd);
        command.arg("--config").arg(file);
        path.push(context.stay(end.machine, command)?);
    }
    for end in ends {
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}
