//! Plugins in shared objects: looked at, loaded, adapted to the traits of
//! `ntm-core`, and watched.
//!
//! - [`inspect`] reads what a library says of itself out of its file. Nothing of
//!   it runs. A library that is not used is told of in one sentence, [`Refusal`].
//! - [`Library::load`] loads it, for the life of the process, and checks its
//!   tables.
//! - [`Library::transport`] and its like open an instance behind the trait.
//!
//! An instance that panics, answers what cannot be, or does not come back is
//! never called again: its paths are dead, and another instance takes its place as
//! soon as one can be had (`keeper`). No thread of the node waits for a plugin
//! without a limit: what may block runs on threads of the instance (`crew`), and
//! what must not is watched (`watchdog`).
//!
//! In one process, trust is all or nothing: what a plugin writes where it should
//! not, and a crash, are not contained.
//!
//! Read `inspect`, `library`, `instance`, `keeper`, then a file for each kind.

mod crew;
mod inspect;
mod instance;
mod interface;
mod keeper;
mod lane;
mod library;
mod log;
mod port;
mod refusal;
mod registry;
mod sink;
mod table;
mod transport;
mod traversal;
mod vip;
mod watchdog;
mod watcher;

use ntm_core::plugin::PluginError;
use serde_json::Value;

pub use inspect::{Kinds, Summary, inspect, read};
pub use library::Library;
pub use refusal::{Refusal, Why};

use crate::instance::Recipe;

impl Library {
    /// Looks whether the plugin of this kind in it could use this configuration,
    /// without opening anything.
    ///
    /// # Errors
    /// It could not, or there is none.
    pub fn check(&'static self, kind: Kinds, config: &Value) -> Result<(), PluginError> {
        use ntm_abi::kind;
        let recipe = Recipe { config: config.to_string(), lanes: 1 };
        match kind.0 {
            kind::TRANSPORT => {
                instance::check(self, &self.table::<ntm_abi::TransportTable>()?, recipe)
            }
            kind::WATCHER => instance::check(self, &self.table::<ntm_abi::WatcherTable>()?, recipe),
            kind::TRAVERSAL => {
                instance::check(self, &self.table::<ntm_abi::TraversalTable>()?, recipe)
            }
            kind::VIP => instance::check(self, &self.table::<ntm_abi::VipTable>()?, recipe),
            kind::INTERFACE => {
                instance::check(self, &self.table::<ntm_abi::InterfaceTable>()?, recipe)
            }
            _ => instance::check(self, &self.table::<ntm_abi::RegistryTable>()?, recipe),
        }
    }
}
