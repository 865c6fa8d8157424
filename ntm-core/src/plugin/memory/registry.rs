use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::plugin::{PluginError, Record, RecordKey, Registry, Write};

/// A registry that lasts as long as somebody holds a clone of it.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry(Arc<Mutex<BTreeMap<RecordKey, Record>>>);

impl MemoryRegistry {
    /// A registry with these records.
    pub fn with(records: impl IntoIterator<Item = Record>) -> Self {
        let records = records.into_iter().map(|record| (record.key(), record)).collect();
        Self(Arc::new(Mutex::new(records)))
    }

    /// Everything, as `load` gives it.
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Applies writes, as `commit` does.
    pub fn apply(&self, writes: Vec<Write>) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            match write {
                Write::Put(record) => {
                    records.insert(record.key(), record);
                }
                Write::Delete(key) => {
                    records.remove(&key);
                }
            }
        }
    }
}

#[async_trait]
impl Registry for MemoryRegistry {
    async fn load(&self) -> Result<Vec<Record>, PluginError> {
        Ok(self.records())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError> {
        self.apply(writes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_replaces_and_a_delete_removes() {
        let registry = MemoryRegistry::default();
        let domain = |byte| Record::Domain { salt: [byte; 32] };
        registry.apply(vec![Write::Put(domain(1)), Write::Put(domain(2))]);
        assert_eq!(registry.records(), [domain(2)]);
        registry.apply(vec![Write::Delete(RecordKey::Domain), Write::Delete(RecordKey::Domain)]);
        assert_eq!(registry.records(), []);
    }
}
