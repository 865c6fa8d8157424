use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::Nat;
use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// Masquerades what leaves by `wan`, and lets in only what answers it. In an
/// own chain, `drops`, more can be forbidden.
pub(super) fn install(nft: &Path, router: &Netns, wan: &str, nat: Nat) -> Result<()> {
    let how = match nat {
        Nat::Cone => "masquerade",
        Nat::ConeV4 => "meta nfproto ipv4 masquerade",
        Nat::Symmetric => "masquerade fully-random",
    };
    // What is dropped in `input` leaves no trace in the connection table, where
    // it would take a port away from those behind us.
    run(
        nft,
        router,
        &format!(
            "table inet lab {{
               chain translate {{
                 type nat hook postrouting priority 100;
                 oifname \"{wan}\" {how}
               }}
               chain inside {{
                 type filter hook forward priority 0;
                 iifname \"{wan}\" ct state {{ new, invalid }} drop
               }}
               chain input {{
                 type filter hook input priority 0;
                 iifname \"{wan}\" meta l4proto {{ tcp, udp }} ct state {{ new, invalid }} drop
               }}
             }}"
        ),
    )
}

/// Drops forwarded packets that match an nft expression.
pub(super) fn drop_matching(nft: &Path, router: &Netns, expression: &str) -> Result<()> {
    drop_at(nft, router, &["forward"], expression)
}

/// Drops what a machine sends and receives by a UDP port, its own or the other's.
pub(crate) fn block_udp(nft: &Path, machine: &Netns, port: u16) -> Result<()> {
    let both = format!("udp dport {port} drop; udp sport {port}");
    drop_at(nft, machine, &["input", "output"], &both)
}

fn drop_at(nft: &Path, netns: &Netns, hooks: &[&str], expression: &str) -> Result<()> {
    let chain = |hook: &&str| {
        format!(
            "chain drops_{hook} {{
               type filter hook {hook} priority -10;
               {expression} drop
             }}"
        )
    };
    let chains: Vec<_> = hooks.iter().map(chain).collect();
    run(nft, netns, &format!("table inet lab_drops {{\n{}\n}}", chains.join("\n")))
}

/// Lets pass again what [`drop_matching`] forbade.
pub(super) fn drop_nothing(nft: &Path, router: &Netns) -> Result<()> {
    // Made first, so that there is something to delete.
    run(nft, router, "table inet lab_drops { }\ndelete table inet lab_drops")
}

/// Empties the connection table: all mappings are forgotten.
pub(super) fn forget(router: &Netns) -> Result<()> {
    router.run(flush_connections).doing(|| format!("flush the connections of {}", router.name()))
}

fn run(nft: &Path, router: &Netns, script: &str) -> Result<()> {
    let what = || format!("run nft in {}", router.name());
    let mut command = Command::new(nft);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = router.spawn(&mut command).doing(what)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).doing(what)?;
    }
    let output = child.wait_with_output().doing(what)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::wrong(format!("nft refuses in {}: {}", router.name(), said.trim())))
}

/// `IPCTNL_MSG_CT_DELETE` without a tuple deletes all
/// (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
fn flush_connections() -> io::Result<()> {
    const LENGTH: u32 = 20;
    const CONNTRACK_DELETE: u16 = 1 << 8 | 2;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    let mut request = Vec::new();
    request.extend(LENGTH.to_ne_bytes());
    request.extend(CONNTRACK_DELETE.to_ne_bytes());
    request.extend(REQUEST_AND_ACK.to_ne_bytes());
    // Sequence number and port id, then family, version and resource id.
    request.extend([0; 12]);
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let code = answer.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
