//! Nebula without a lighthouse: each end is told where the other is.

use std::process::Command;

use ntm_lab::Result;

use super::{Context, LEFT, RIGHT, Running};
use crate::bed::{INNER_MTU, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    let nebula = program("nebula")?;
    context.call("nebula-cert", &["ca", "-name", "bench"])?;
    let ends = context.ends();
    let mut path = Vec::new();
    for (end, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        let own = format!("{}/24", end.inside);
        context.call("nebula-cert", &["sign", "-name", end.name, "-ip", &own])?;
        let folder = context.folder.display();
        let config = format!(
            "pki: {{ca: {folder}/ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key}}\n\
             static_host_map: {{'{peer}': ['{address}:4242']}}\n\
             lighthouse: {{am_lighthouse: false, hosts: []}}\n\
             listen: {{host: 0.0.0.0, port: 4242}}\n\
             cipher: aes\n\
             tun: {{dev: bench, mtu: {INNER_MTU}}}\n\
             logging: {{level: warning, format: text}}\n\
             firewall:\n\
             \x20 outbound: [{{port: any, proto: any, host: any}}]\n\
             \x20 inbound: [{{port: any, proto: any, host: any}}]\n",
            name = end.name,
            peer = other.inside,
            address = other.address,
        );
        let file = context.write(&format!("{}.yml", end.name), config)?;
        let mut command = Command::new(&nebula);
        command.arg("-config").arg(file);
        path.push(context.stay(end.machine, command)?);
    }
    for end in ends {
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new() })
}
