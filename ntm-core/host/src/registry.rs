use std::sync::Arc;

use async_trait::async_trait;
use ntm_abi::{Error, RegistryTable, StoredWrite, Text, status, write};
use ntm_core::plugin::{Fault, PluginError, Record, Registry, Write};
use serde_json::Value;

use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::library::Library;
use crate::sink::Texts;
use crate::watchdog::Call;

struct DynRegistry(Arc<Keeper<RegistryTable, Nothing>>);

/// A registry keeps everything itself.
struct Nothing;

impl Hooks<RegistryTable> for Nothing {
    fn came(&self, _: &Arc<Instance<RegistryTable>>) -> Result<(), PluginError> {
        Ok(())
    }

    fn went(&self, _: &Arc<Instance<RegistryTable>>) {}
}

impl Library {
    /// Opens the registry in this library.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn registry(&'static self, config: &Value) -> Result<Arc<dyn Registry>, PluginError> {
        let recipe = Recipe { config: config.to_string(), lanes: 0 };
        Ok(Arc::new(DynRegistry(Keeper::open(self, recipe, Nothing)?)))
    }
}

/// A write as it crosses.
struct Crossing {
    op: u32,
    key: String,
    value: String,
}

impl Crossing {
    fn new(write: &Write) -> Result<Self, serde_json::Error> {
        Ok(match write {
            Write::Put(record) => {
                let key = serde_json::to_string(&record.key())?;
                Self { op: write::PUT, key, value: serde_json::to_string(record)? }
            }
            Write::Delete(key) => {
                let key = serde_json::to_string(key)?;
                Self { op: write::DELETE, key, value: String::new() }
            }
        })
    }

    fn lend(&self) -> StoredWrite<'_> {
        let (key, value) = (Text::new(self.key.as_bytes()), Text::new(self.value.as_bytes()));
        StoredWrite { op: self.op, reserved: 0, key, value }
    }
}

fn not_a_record(error: &serde_json::Error) -> PluginError {
    let message = format!("a record of the registry is none: {error}");
    PluginError::new(Fault::System, message, "restore the registry from a copy")
}

#[async_trait]
impl Registry for DynRegistry {
    async fn load(&self) -> Result<Vec<Record>, PluginError> {
        let ask = |it: &Instance<RegistryTable>, table: &RegistryTable, handle| {
            let (mut texts, mut error) = (Texts::default(), Error::NONE);
            let answer = table.load.map_or(status::FAILED, |load| {
                // SAFETY: the sink is lent for the call.
                unsafe { load(handle, Some(Texts::put), texts.ctx(), &raw mut error) }
            });
            it.judge("load", answer, &error)?;
            let record = |(_, value): (String, String)| serde_json::from_str(&value);
            let records: Result<_, _> = texts.take().into_iter().map(record).collect();
            records.map_err(|error| not_a_record(&error))
        };
        self.0.instance()?.ask(Call::disk("load"), ask).await?
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError> {
        let writes: Result<Vec<_>, _> = writes.iter().map(Crossing::new).collect();
        let writes = writes.map_err(|error| not_a_record(&error))?;
        let ask = move |it: &Instance<RegistryTable>, table: &RegistryTable, handle| {
            let lent: Vec<_> = writes.iter().map(Crossing::lend).collect();
            let mut error = Error::NONE;
            let answer = table.commit.map_or(status::FAILED, |commit| {
                // SAFETY: the writes are lent for the call.
                unsafe { commit(handle, lent.as_ptr(), lent.len(), &raw mut error) }
            });
            it.judge("commit", answer, &error).map(drop)
        };
        // One at a time, so that they take effect in the order in which they were made.
        self.0.instance()?.ask_in_order(Call::disk("commit"), ask).await?
    }
}
