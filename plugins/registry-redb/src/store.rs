use std::path::{Path, PathBuf};

use ntm_core::plugin::{PluginError, Record};
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError,
};

use crate::codec::{self, Change};
use crate::error::{damaged, explain, newer};
use crate::file;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

const FORMAT: u64 = 1;
const FORMAT_KEY: &str = "format";
const TRANSACTIONS_KEY: &str = "transactions";

/// The database and what is needed to get it back after an error of the disk.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// `None` after an error: redb answers nothing more until it is reopened.
    database: Option<Database>,
    /// How many transactions the file has seen.
    transactions: u64,
}

impl Store {
    pub(crate) fn open(path: PathBuf) -> Result<Self, PluginError> {
        let database = file::open(&path, initialise)?;
        let transactions = examine(&path, &database)?;
        Ok(Self { path, database: Some(database), transactions })
    }

    /// Everything, in the order of the keys.
    pub(crate) fn load(&mut self) -> Result<Vec<Record>, PluginError> {
        let path = self.path.clone();
        let result = read(&path, self.database()?);
        if result.is_err() {
            self.database = None;
        }
        result
    }

    /// Makes all changes durable, in order, as one transaction. After an error
    /// none of them is.
    pub(crate) fn apply<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
    ) -> Result<(), PluginError> {
        let next = self.transactions()? + 1;
        let Err(error) = write(self.database()?, changes, next) else {
            self.transactions = next;
            return Ok(());
        };
        // The last write may have reached the disk although its sync failed.
        // Only the file knows.
        self.database = None;
        match self.transactions() {
            Ok(transactions) if transactions == next => Ok(()),
            Ok(_) | Err(_) => Err(explain(&self.path, error)),
        }
    }

    /// How many transactions the file has seen, as it says itself if it has to
    /// be reopened.
    fn transactions(&mut self) -> Result<u64, PluginError> {
        self.database()?;
        Ok(self.transactions)
    }

    fn database(&mut self) -> Result<&Database, PluginError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => {
                let database = file::reopen(&self.path)?;
                self.transactions = examine(&self.path, &database)?;
                database
            }
        };
        Ok(self.database.insert(database))
    }
}

/// What a new registry holds.
fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT_KEY, FORMAT)?;
        meta.insert(TRANSACTIONS_KEY, 0)?;
        transaction.open_table(RECORDS)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Checks that this is a registry of ours; tells how many transactions it saw.
fn examine(path: &Path, database: &Database) -> Result<u64, PluginError> {
    let read = || -> Result<(Option<u64>, Option<u64>), redb::Error> {
        let meta = database.begin_read()?.open_table(META)?;
        let value = |key| Ok::<_, redb::Error>(meta.get(key)?.map(|value| value.value()));
        Ok((value(FORMAT_KEY)?, value(TRANSACTIONS_KEY)?))
    };
    match read() {
        Ok((Some(FORMAT), Some(transactions))) => Ok(transactions),
        Ok((Some(FORMAT), None)) => Err(damaged(path, "it does not say how far it got")),
        Ok((Some(format), _)) => Err(newer(path, format)),
        Ok((None, _)) => Err(damaged(path, "it does not say its format")),
        Err(
            redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_),
        ) => Err(damaged(path, "it is a database for something else")),
        Err(error) => Err(explain(path, error)),
    }
}

fn read(path: &Path, database: &Database) -> Result<Vec<Record>, PluginError> {
    let error = |error: redb::Error| explain(path, error);
    let transaction = database.begin_read().map_err(|e| error(e.into()))?;
    let records = match transaction.open_table(RECORDS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Err(damaged(path, "no table of records")),
        Err(other) => return Err(error(other.into())),
    };
    let mut all = Vec::new();
    for entry in records.iter().map_err(|e| error(e.into()))? {
        let (key, value) = entry.map_err(|e| error(e.into()))?;
        let record = codec::decode(key.value(), value.value()).map_err(|error| {
            let key = String::from_utf8_lossy(key.value().get(1..).unwrap_or_default());
            damaged(path, &format!("its record `{}`: {error}", key.escape_default()))
        })?;
        all.extend(record);
    }
    Ok(all)
}

fn write<'a>(
    database: &Database,
    changes: impl IntoIterator<Item = &'a Change>,
    transactions: u64,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        transaction.open_table(META)?.insert(TRANSACTIONS_KEY, transactions)?;
        let mut records = transaction.open_table(RECORDS)?;
        for Change { key, value } in changes {
            match value {
                Some(value) => drop(records.insert(key.as_slice(), value.as_slice())?),
                None => drop(records.remove(key.as_slice())?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
