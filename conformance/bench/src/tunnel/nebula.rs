//! Nebula: each end is told where the other is. Where ends move there is a lighthouse
//! besides, which they tell where they are.

use std::process::Command;

use ntm_lab::{Process, Result};

use super::{Context, End, LEFT, LIGHTHOUSE, RIGHT, Running};
use crate::bed::{INNER_MTU, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    context.call("nebula-cert", &["ca", "-name", "bench"])?;
    let ends = context.ends();
    let mut path = Vec::new();
    for (end, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        path.push(run(context, &end, &[other], "am_lighthouse: false, hosts: []")?);
    }
    for end in ends {
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}

/// Ends that look each other up.
pub(super) fn start_roaming(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    context.call("nebula-cert", &["ca", "-name", "bench"])?;
    let (machine, address) = (&context.bed.hub, context.bed.hub_address);
    let lighthouse = End { name: "lighthouse", machine, address, inside: LIGHTHOUSE };
    let others = vec![run(context, &lighthouse, &[], "am_lighthouse: true")?];
    dress(machine, "bench", LIGHTHOUSE)?;
    let mut path = Vec::new();
    for end in context.ends() {
        let hosts = format!("am_lighthouse: false, interval: 10, hosts: ['{LIGHTHOUSE}']");
        path.push(run(context, &end, &[lighthouse], &hosts)?);
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others, sockets: None, crowd: None })
}

fn run(context: &Context<'_>, end: &End<'_>, known: &[End<'_>], hosts: &str) -> Result<Process> {
    let nebula = program("nebula")?;
    let own = format!("{}/24", end.inside);
    context.call("nebula-cert", &["sign", "-name", end.name, "-ip", &own])?;
    let folder = context.folder.display();
    let known = known.iter().map(|end| format!("'{}': ['{}:4242']", end.inside, end.address));
    let known = known.collect::<Vec<_>>().join(", ");
    let config = format!(
        "pki: {{ca: {folder}/ca.crt, cert: {folder}/{name}.crt, key: {folder}/{name}.key}}\n\
             static_host_map: {{{known}}}\n\
             lighthouse: {{{hosts}}}\n\
             listen: {{host: 0.0.0.0, port: 4242}}\n\
             cipher: aes\n\
             tun: {{dev: bench, mtu: {INNER_MTU}}}\n\
             logging: {{level: warning, format: text}}\n\
             firewall:\n\
             \x20 outbound: [{{port: any, proto: any, host: any}}]\n\
             \x20 inbound: [{{port: any, proto: any, host: any}}]\n",
        name = end.name,
    );
    let file = context.write(&format!("{}.yml", end.name), config)?;
    let mut command = Command::new(nebula);
    command.arg("-config").arg(file);
    context.stay(end.machine, command)
}
