//! A transport in TLS over TCP, for networks that drop UDP altogether and let out what
//! looks like a visit to a web site.
//!
//! ```toml
//! [[transport]]
//! plugin = "udp"
//!
//! [[transport]]
//! library = "libplugin_rust.so"
//! config = { bind = "[::]:443" }
//! ```
//!
//! A coordinator that listens so is named by the kind's number, which is one of those that
//! are free for anybody: `addresses = ["203.0.113.1:4330", "200:203.0.113.1:443"]`.
//!
//! # On the wire
//!
//! One TLS 1.3 connection for each remote address; in it datagrams, each behind its length
//! (16 bits, the high byte first). TLS is the envelope and no more: every node makes a
//! certificate at its start, and nobody verifies it. Who the other end is, keys and replay
//! protection are matters of the session inside.
//!
//! # What TCP does to a tunnel
//!
//! It repeats what was lost and lets nothing pass until that has come: conversations inside
//! pause together, and repeat for themselves what TCP repeats already. So this is a last
//! resort, behind every other transport in the list. What can be done about it is done: nothing
//! waits where it can be dropped, queues drop the *oldest* (what is new is worth more), and the
//! kernel is given little ahead of time.
//!
//! # Connections
//!
//! Made when something is to be sent to an address, and kept while anything passes. Whoever
//! called is known to the other end by the port that its system chose, as behind a NAT. A
//! move of this node ends those that it has made: the next packet makes another, which comes
//! from where the node is now. Nothing hides a move from the core.
//!
//! To read on: [`Config`]; `transport` (opening and closing), `shared` (what is sent and what
//! arrives), `queue`, `tls`.

mod config;
mod queue;
mod shared;
mod tls;
mod transport;

pub use config::Config;
pub use transport::Tls;

ntm_sdk::export_plugin! {
    transport: Tls,
    name = "tls",
    config = Config,
    open = |config, lanes| Tls::open(config, lanes),
    check = |config| config.check(),
    schema = ntm_sdk::schema::<Config>,
}
