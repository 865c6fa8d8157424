//! Real DHCP where its programs are installed: busybox's server (or dnsmasq) and
//! busybox's client, with the lab itself as the client's script.

mod client;
mod hook;
mod server;

pub use client::Client;
pub(crate) use hook::run_if_called;
pub use server::Server;
