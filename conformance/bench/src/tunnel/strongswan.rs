//! strongSwan: IKEv2 with MOBIKE. Not every kernel has ESP, so its own in user space is
//! used.

use std::path::{Path, PathBuf};
use std::process::Command;

use ntm_lab::scenario::until;
use ntm_lab::{Error, Process, Result};

use super::{Context, End, LEFT, RIGHT, Running, START};
use crate::bed::{INNER_MTU, finish, net, program};

/// Where distributions put the daemon, which is not for people to start.
const DAEMONS: [&str; 3] =
    ["/usr/lib/ipsec/charon", "/usr/libexec/ipsec/charon", "/usr/libexec/strongswan/charon"];
/// Where it notes its process. A second one would take the first for itself.
const NOTE: &str = "/var/run/charon.pid";

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    let (swanctl, daemon) = (program("swanctl")?, daemon()?);
    let ends = context.ends();
    let mut path = Vec::new();
    let ask = |end: &End<'_>, arguments: &[&str]| {
        let uri = format!("unix://{}", socket(context, end).display());
        let mut command = Command::new(&swanctl);
        command.args(arguments).args(["--uri", &uri]);
        command.env("STRONGSWAN_CONF", settings_file(context, end));
        finish(Process::start(end.machine, command)?, START)
    };
    for (end, peer) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        // The second tunnel in a network finds it there.
        let _there = end.machine.netlink().add_address("lo", net(end.inside, 32));
        let socket = socket(context, &end);
        context.write(&format!("{}.conf", end.name), settings(&socket))?;
        let file = context.write(&format!("{}.swanctl", end.name), connection(&end, &peer))?;
        let mut command = Command::new(&daemon);
        command.env("STRONGSWAN_CONF", settings_file(context, &end));
        path.push(context.stay(end.machine, command)?);
        // It is there before anybody listens.
        let load = || ask(&end, &["--load-all", "--file", &file.to_string_lossy()]);
        until("the socket of charon", START, || Ok(load().ok()))?;
        let _nothing_noted = std::fs::remove_file(NOTE);
    }
    ask(&ends[0], &["--initiate", "--child", "bench", "--timeout", "10"])?;
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}

fn daemon() -> Result<PathBuf> {
    let found = DAEMONS.iter().map(PathBuf::from).find(|file| file.exists());
    found.ok_or_else(|| Error::Missing {
        what: "charon".to_owned(),
        remedy: "install strongSwan with its kernel-libipsec plugin to have it measured".to_owned(),
    })
}

fn socket(context: &Context<'_>, end: &End<'_>) -> PathBuf {
    context.folder.join(format!("{}.vici", end.name))
}

fn settings_file(context: &Context<'_>, end: &End<'_>) -> PathBuf {
    context.folder.join(format!("{}.conf", end.name))
}

/// Of the daemon, and of the tool that talks to it.
fn settings(socket: &Path) -> String {
    format!(
        "charon {{\n load_modular = no\n load = random nonce aes gcm hmac sha1 sha2 kdf openssl \
         pem pkcs1 x509 pubkey constraints kernel-libipsec kernel-netlink socket-default vici \
         updown\n install_virtual_ip = no\n \
         plugins {{ vici {{ socket = unix://{} }}\n kernel-libipsec {{ mtu = {INNER_MTU} }} }}\n}}\n\
         swanctl {{ load = random pem pkcs1 openssl }}\n",
        socket.display()
    )
}

fn connection(end: &End<'_>, peer: &End<'_>) -> String {
    format!(
        "connections {{ bench {{\n version = 2\n mobike = yes\n encap = yes\n \
         local_addrs = %any\n remote_addrs = {}\n \
         local {{\n auth = psk\n id = {} }}\n remote {{\n auth = psk\n id = %any }}\n \
         children {{ bench {{\n local_ts = {}/32\n remote_ts = {}/32\n \
         esp_proposals = aes256gcm16 }} }} }} }}\n\
         secrets {{ ike-bench {{ secret = \"between namespaces\" }} }}\n",
        peer.address, end.name, end.inside, peer.inside,
    )
}
