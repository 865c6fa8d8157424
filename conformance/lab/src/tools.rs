use std::env;
use std::path::{Path, PathBuf};

/// Programs of other people that the lab uses where they are installed. Each
/// has an own replacement, which is less like the real thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    /// Translates addresses and filters packets in the kernel.
    pub nft: Option<PathBuf>,
    /// A DHCP server.
    pub udhcpd: Option<PathBuf>,
    /// Another DHCP server.
    pub dnsmasq: Option<PathBuf>,
    /// A DHCP client.
    pub udhcpc: Option<PathBuf>,
}

impl Tools {
    /// What is installed: found through `PATH` or, since those directories are
    /// often missing from a user's, in `/usr/sbin` and `/sbin`. With
    /// `NTM_LAB_TOOLS=none` in the environment nothing is.
    pub fn detect() -> Self {
        let (nft, dnsmasq) = (Self::find("nft"), Self::find("dnsmasq"));
        Self { nft, udhcpd: Self::find("udhcpd"), dnsmasq, udhcpc: Self::find("udhcpc") }
    }

    /// A program of somebody else's by its name, as [`detect`](Self::detect) looks
    /// for it.
    pub fn find(name: &str) -> Option<PathBuf> {
        if env::var("NTM_LAB_TOOLS").is_ok_and(|value| value == "none") {
            return None;
        }
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(":/usr/sbin:/sbin");
        let places = env::split_paths(&path).map(|folder| folder.join(name));
        places.filter(|file| file.is_absolute()).find(|file| is_program(file))
    }

    /// As on a machine that has none of them.
    pub fn none() -> Self {
        Self::default()
    }
}

fn is_program(file: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}
