//! tinc 1.0 as a router, with the strongest cipher of its manual.

use std::fs;
use std::process::Command;

use ntm_lab::Result;

use super::{Context, LEFT, RIGHT, Running};
use crate::bed::{doing, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    context.must_be_direct()?;
    let tincd = program("tincd")?;
    let ends = context.ends();
    let mut hosts = Vec::new();
    for end in ends {
        let folder = context.folder.join(end.name);
        fs::create_dir_all(folder.join("hosts")).map_err(doing("make a folder"))?;
        let host = format!(
            "Address = {}\nSubnet = {}/32\nCipher = aes-256-cbc\nDigest = sha256\n",
            end.address, end.inside
        );
        let (private, public) = (
            folder.join("rsa_key.priv").display().to_string(),
            folder.join("rsa_key.pub").display().to_string(),
        );
        context.call("openssl", &["genrsa", "-traditional", "-out", &private, "2048"])?;
        let ask = ["rsa", "-in", &private, "-RSAPublicKey_out", "-out", &public];
        context.call("openssl", &ask)?;
        let key = fs::read_to_string(&public).map_err(doing("read a key"))?;
        hosts.push((end.name, host + &key));
    }
    let mut path = Vec::new();
    for (end, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
        for (name, host) in &hosts {
            context.write(&format!("{}/hosts/{name}", end.name), host)?;
        }
        let config = format!(
            "Name = {}\nInterface = bench\nDeviceType = tun\nMode = router\n\
             AddressFamily = ipv4\nConnectTo = {}\n",
            end.name, other.name
        );
        context.write(&format!("{}/tinc.conf", end.name), config)?;
        let mut command = Command::new(&tincd);
        command.args(["-D", "-d1", "-c"]).arg(context.folder.join(end.name));
        command.arg(format!("--pidfile={}/{}.pid", context.folder.display(), end.name));
        path.push(context.stay(end.machine, command)?);
    }
    for end in ends {
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}
