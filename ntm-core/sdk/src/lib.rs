//! What a plugin in a shared object is written with.
//!
//! Write the plugin as an ordinary crate on `ntm-core`: a type with the trait of
//! its kind, a configuration that serde decodes, and a function that opens it.
//! A second crate of type `cdylib` makes the shared object:
//!
//! ```ignore
//! ntm_sdk::export_plugin! {
//!     watcher: mine::Watcher,
//!     name = "mine",
//!     config = mine::Config,
//!     open = |config, _lanes| mine::Watcher::open(config),
//! }
//! ```
//!
//! What the macro makes, keeps the rules of the boundary (`ntm_plugin.h`):
//!
//! - No panic leaves the plugin. After one the host uses another instance.
//! - Each instance has a tokio runtime of its own, with one thread, and every entry
//!   has entered it: timers, sockets and `tokio::spawn` work as in a program.
//! - `tracing` goes to the host's log, panics with it.
//! - The configuration is decoded by its type; a mistake names its key. A type that
//!   derives [`schemars::JsonSchema`] also describes it ([`schema`]).
//!
//! What is not shared with the host: statics, the global `tracing` subscriber, the
//! allocator, the panic hook. What is: the process. A plugin installs no signal
//! handlers, does not change the folder, and does not exit.
//!
//! To read on: `exported` (the macro), `instance` (create and destroy), then a file
//! for each kind.

mod config;
mod exported;
mod guard;
mod instance;
mod interface;
mod lanes;
mod log;
mod registry;
mod transport;
mod traversal;
mod vip;
mod watcher;

pub use exported::{Exported, enter};
pub use interface::InterfaceShims;
pub use ntm_abi as abi;
pub use ntm_core::plugin;
pub use registry::RegistryShims;
pub use schemars;
pub use transport::TransportShims;
pub use traversal::TraversalShims;
pub use vip::VipShims;
pub use watcher::WatcherShims;

/// The JSON Schema of a configuration, for `schema` of [`export_plugin!`]. What is
/// described is the type alone: who decodes it is the judge.
pub fn schema<T: schemars::JsonSchema>() -> String {
    schemars::schema_for!(T).to_value().to_string()
}

/// What this crate calls itself in a header.
pub const SDK: &str = concat!("ntm-sdk ", env!("CARGO_PKG_VERSION"));
/// The compiler that built it, and the plugin with it.
pub const TOOLCHAIN: &str = env!("NTM_SDK_TOOLCHAIN");
