//! OpenVPN between two ends that know each other's certificate.

use std::process::Command;

use ntm_lab::Result;

use super::{Context, LEFT, RIGHT, Running};
use crate::bed::{INNER_MTU, dress, program};

pub(super) fn start(context: &Context<'_>) -> Result<Running> {
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
        command.args(["--local", &end.address.to_string()]);
        command.args(["--remote", &peer.address.to_string(), "1194"]);
        command.args(if own == 0 {
            &["--tls-client"][..]
        } else {
            &["--tls-server", "--dh", "none"]
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
    Ok(Running { left: LEFT, right: RIGHT, path, others: Vec::new() })
}
