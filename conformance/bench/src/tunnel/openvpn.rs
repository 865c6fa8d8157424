//! OpenVPN between two ends that know each other's certificate.

use std::process::Command;

use ntm_lab::Result;

use super::{Context, LEFT, LIGHTHOUSE, RIGHT, Running};
use crate::bed::{INNER_MTU, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
    run(context, false)
}

/// A server that follows where its client's packets come from. Between two equals it
/// does so only when keys are renewed.
pub(super) fn start_roaming(context: &Context<'_>) -> Result<Running> {
    run(context, true)
}

/// Addresses are ours to give.
const ROAMING: [&str; 3] = ["--float", "--ifconfig-noexec", "--route-noexec"];
const MASK: &str = "255.255.255.0";

fn run(context: &Context<'_>, roaming: bool) -> Result<Running> {
    context.must_be_direct()?;
    let openvpn = program("openvpn")?;
    let ends = context.ends();
    let mut prints = Vec::new();
    for end in ends {
        let (key, certificate) = (format!("{}.key", end.name), format!("{}.crt", end.name));
        let subject = format!("/CN={}", end.name);
        context.call(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
                "-subj",
                &subject,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ],
        )?;
        let ask = ["x509", "-noout", "-sha256", "-fingerprint", "-in", &certificate];
        let said = context.call("openssl", &ask)?;
        prints.push(said.trim().rsplit('=').next().unwrap_or_default().to_owned());
    }
    let mut path = Vec::new();
    for (own, other) in [(0, 1), (1, 0)] {
        let (end, peer) = (ends[own], ends[other]);
        let mtu = INNER_MTU.to_string();
        let mut command = Command::new(&openvpn);
        command.args(["--dev", "bench", "--dev-type", "tun", "--proto", "udp", "--port", "1194"]);
        let remote = ["--remote".to_owned(), peer.address.to_string(), "1194".to_owned()];
        let is_client = own == 0;
        if !roaming {
            command.args(["--local", &end.address.to_string()]).args(&remote);
        } else if is_client {
            command.args(ROAMING).arg("--pull").args(&remote);
        } else {
            let [first, last] = [LEFT, LIGHTHOUSE].map(|address| address.to_string());
            command.args(ROAMING).args(["--mode", "server", "--topology", "subnet"]);
            command.args(["--ifconfig", &end.inside.to_string(), MASK, "--keepalive", "10", "60"]);
            command.args(["--ifconfig-pool", &first, &last, MASK]);
        }
        command.args(match is_client {
            true => &["--tls-client"][..],
            false => &["--tls-server", "--dh", "none"],
        });
        command.args([
            "--cert",
            &format!("{}.crt", end.name),
            "--key",
            &format!("{}.key", end.name),
        ]);
        command.args(["--peer-fingerprint", &prints[other]]);
        command.args(["--data-ciphers", "AES-256-GCM", "--tun-mtu", &mtu, "--verb", "1"]);
        path.push(context.stay(end.machine, command)?);
    }
    for end in ends {
        dress(end.machine, "bench", end.inside)?;
    }
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new(), sockets: None, crowd: None })
}
