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
mod health;
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

use ntm_abi::Common;
use ntm_core::plugin::{Fault, PluginError};
use serde_json::Value;

pub use health::Health;
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
        let recipe = Recipe { config: config.to_string(), lanes: 1 };
        instance::check(self, &self.common(kind)?, recipe)
    }

    /// The JSON Schema of what the plugin of this kind in it can be told; `None` where
    /// it does not say.
    ///
    /// # Errors
    /// There is no such plugin, it does not come back, or it says what is no JSON.
    pub fn schema(&'static self, kind: Kinds) -> Result<Option<Value>, PluginError> {
        let Some(said) = instance::describe(self, &self.common(kind)?)? else { return Ok(None) };
        serde_json::from_str(&said).map(Some).map_err(|error| {
            let what = format!("{} describes its configuration by no JSON: {error}", self.who());
            PluginError::new(Fault::Config, what, "ask its author")
        })
    }

    /// What the table of this kind begins with.
    fn common(&self, kind: Kinds) -> Result<Common, Refusal> {
        use ntm_abi::kind;
        Ok(match kind.0 {
            kind::TRANSPORT => self.table::<ntm_abi::TransportTable>()?.common,
            kind::WATCHER => self.table::<ntm_abi::WatcherTable>()?.common,
            kind::TRAVERSAL => self.table::<ntm_abi::TraversalTable>()?.common,
            kind::VIP => self.table::<ntm_abi::VipTable>()?.common,
            kind::INTERFACE => self.table::<ntm_abi::InterfaceTable>()?.common,
            _ => self.table::<ntm_abi::RegistryTable>()?.common,
        })
    }
}
