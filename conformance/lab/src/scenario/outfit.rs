use std::path::{Path, PathBuf};

use super::domain::Transport;
use crate::error::{Error, Result};
use crate::nat;
use crate::netns::Netns;
use crate::tools::Tools;

/// What nodes are given to work with, and what their machines do to it.
#[derive(Clone, Debug)]
pub struct Outfit {
    /// How datagrams travel, the best first.
    pub transports: Vec<Transport>,
    /// Where all of their plugins are, as shared objects; linked ones if nowhere.
    pub libraries: Option<PathBuf>,
    /// Every machine drops what comes and goes by UDP port 4330.
    pub block_udp: bool,
}

impl Default for Outfit {
    fn default() -> Self {
        Self { transports: vec![Transport::Udp], libraries: None, block_udp: false }
    }
}

impl Outfit {
    /// A node's sections about its transports, of which there are `more`.
    pub(super) fn transport_sections(&self, more: bool) -> String {
        // UDP alone is what a node has that says nothing, or something of its own.
        if self.transports == [Transport::Udp] && self.libraries.is_none() && !more {
            return String::new();
        }
        let section = |transport: &Transport| {
            let name = transport.name();
            let which = match &self.libraries {
                None => format!("plugin = \"{name}\""),
                Some(folder) => names(&library(folder, "transport", name)),
            };
            format!("[[transport]]\n{which}\n")
        };
        self.transports.iter().map(section).collect()
    }

    /// A node's sections about its other plugins, but for what its own role configures
    /// of them.
    pub(super) fn sections(&self, role: &str) -> String {
        let Some(folder) = &self.libraries else { return String::new() };
        let plugins: &[_] = match role {
            "terminal" => &[("watcher", "netlink"), ("interface", "tun")],
            "dc" => &[
                ("watcher", "netlink"),
                ("traversal", "rs"),
                ("vip", "pool"),
                ("registry", "redb"),
            ],
            _ => &[("watcher", "netlink")],
        };
        let section = |(kind, name): &(&str, &str)| {
            format!("[{kind}]\n{}\n", names(&library(folder, kind, name)))
        };
        plugins.iter().map(section).collect()
    }

    /// Does to a machine what is to be done to it before its node starts.
    pub(super) fn prepare(&self, machine: &Netns) -> Result<()> {
        if !self.block_udp {
            return Ok(());
        }
        let nft = Tools::detect().nft.ok_or_else(|| Error::Missing {
            what: "nft, which drops packets by rules,".to_owned(),
            remedy: "install nftables, or leave UDP alone".to_owned(),
        })?;
        nat::block_udp(&nft, machine, Transport::Udp.port())
    }
}

fn names(library: &Path) -> String {
    format!("library = \"{}\"", library.display())
}

/// The shared object of a built-in plugin, as cargo calls it.
pub fn library(folder: &Path, kind: &str, name: &str) -> PathBuf {
    let (before, after) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    folder.join(format!("{before}ntm_{kind}_{name}_dyn{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_names_the_libraries_of_its_role_and_no_others() {
        let all = |it: &Outfit, role| it.transport_sections(false) + &it.sections(role);
        let plain = Outfit::default();
        assert_eq!(all(&plain, "dc"), "");
        assert_eq!(plain.transport_sections(true), "[[transport]]\nplugin = \"udp\"\n");
        let both = Outfit { transports: vec![Transport::Udp, Transport::Quic], ..plain };
        let text = all(&both, "terminal");
        assert!(text.contains("plugin = \"udp\"") && text.contains("plugin = \"quic\""), "{text}");
        let loaded = Outfit { libraries: Some("/lib".into()), ..both };
        let [dc, relay, terminal] = ["dc", "rs", "terminal"].map(|role| all(&loaded, role));
        assert_eq!([&dc, &relay, &terminal].map(|it| it.matches("library").count()), [6, 3, 4]);
        assert!(terminal.contains("library = \"/lib/libntm_interface_tun_dyn.so\""), "{terminal}");
        assert!(!dc.contains("plugin = ") && !relay.contains("interface"), "{dc}{relay}");
    }
}
