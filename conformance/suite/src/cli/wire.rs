use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use ntm_conformance::Report;
use ntm_conformance::wire::{self, CHECKS, Member, Node, WireCheck};
use ntm_core::crypto::{Identity, Secret};
use ntm_core::id::PublicKey;
use ntm_core::plugin::PluginError;

use super::{Failure, progress, say, select, table, usage};

/// Another implementation, over the wire.
#[derive(Args)]
pub(super) struct Wire {
    /// Test the coordinator at this address, of any implementation, in the place of
    /// plugins. It has to know the members that `--as` names.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        requires = "key",
        requires = "members",
        conflicts_with_all = ["plugins", "kind", "config", "claims", "lab", "limit", "list"]
    )]
    wire: Option<SocketAddr>,
    /// The coordinator's public key, in base64.
    #[arg(long, value_name = "KEY", requires = "wire")]
    key: Option<PublicKey>,
    /// A member of its domain, as terminal alone, and the file with its private key
    /// (`ntm key generate`). A second one lets more be tried.
    #[arg(long = "as", value_name = "NAME=FILE", requires = "wire")]
    members: Vec<String>,
}

impl Wire {
    /// What is to be tested, if anything is.
    pub(super) fn node(&self) -> Result<Option<Node>, Failure> {
        let (Some(address), Some(key)) = (self.wire, self.key) else { return Ok(None) };
        let mut members = self.members.iter().map(|text| member(text));
        let (Some(first), other, None) = (members.next(), members.next(), members.next()) else {
            return Err(usage("three members are too many", "give `--as` once or twice"));
        };
        Ok(Some(Node { address, key, member: first?, other: other.transpose()? }))
    }
}

fn member(text: &str) -> Result<Member, Failure> {
    let wrong = || usage(format!("`{text}` is no member"), "write NAME=FILE");
    let (name, file) = text.split_once('=').ok_or_else(wrong)?;
    let name = name.parse().map_err(|_| wrong())?;
    let read = std::fs::read_to_string(Path::new(file)).map_err(|error| {
        PluginError::io(format!("read the key {file}"), &error, "make one with `ntm key generate`")
    })?;
    let private = BASE64.decode(read.trim()).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
    let Some(private) = private else {
        return Err(usage(format!("{file} holds no private key"), "one line of base64, 32 bytes"));
    };
    Ok(Member { name, identity: Identity::from_private(Secret::new(private)) })
}

/// Those with these identifiers.
pub(super) fn checks(only: &[String]) -> Result<Vec<WireCheck>, Failure> {
    let wanted = |check: &&WireCheck| select::is_among(check.requirement.id, only);
    let checks: Vec<_> = CHECKS.iter().filter(wanted).copied().collect();
    if checks.is_empty() {
        return Err(usage("nothing is left to test", "`--list` shows what there is"));
    }
    Ok(checks)
}

pub(super) fn run(node: &Node, checks: &[WireCheck]) -> Report {
    let bar = progress::Bar::new(&node.address.to_string());
    let report = wire::run(node, checks, |progress| bar.show(progress));
    bar.end();
    table::report(&report);
    report
}

/// Every requirement on a line, unless the list is one of something else.
pub(super) fn list(of_something_else: bool) {
    for check in CHECKS.iter().filter(|_| !of_something_else) {
        let line = format!("{:<7} {} (--wire)", check.requirement.id, check.requirement.title);
        say(line);
    }
}
