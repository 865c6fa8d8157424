//! A coordinator's registry in an embedded database: one file, one process.
//!
//! The file is a [redb](https://docs.rs/redb) database with two tables:
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | the version of what follows: 1; a newer one is refused |
//! | `meta` | `transactions` | how many have been written: tells after a failure whether the last one counts |
//! | `records` | kind, then what the record is found by, in the order of [`RecordKey`] | the record in JSON |
//!
//! A field that a later version adds to a record is passed over, and so is a
//! kind of record that this version does not know; neither needs a new format.
//!
//! One thread owns the database. It takes everything that is queued, writes it
//! as one transaction, syncs the disk once and then answers every caller: the
//! busier the coordinator, the fewer syncs a commit costs. An error of the disk
//! closes the file; the next call opens and checks it again, so that a full disk
//! needs space and no restart.
//!
//! To read on: [`Redb`], then `writer` (the thread), `store` (transactions),
//! `file` (creating and opening), `codec` (bytes), `error` (sentences).
//!
//! [`RecordKey`]: ntm_core::plugin::RecordKey
#![forbid(unsafe_code)]

mod codec;
mod error;
mod file;
mod store;
mod writer;

use std::path::PathBuf;

use async_trait::async_trait;
use ntm_core::plugin::{PluginError, Record, Registry, Write};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::store::Store;
use crate::writer::Writer;

/// What `[registry.config]` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file. It is created, for its owner alone to read, where it is not
    /// there; its folder is not. A relative path counts from where the process
    /// runs.
    pub path: PathBuf,
}

/// A registry in one file.
///
/// Dropping it waits for what was queued.
#[derive(Debug)]
pub struct Redb {
    writer: Writer,
}

impl Redb {
    /// Opens the registry, creates it where there is none, and checks all of
    /// it. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// - `Busy`: another process has it open.
    /// - `Permission`: this process may not read and write it, or everybody may
    ///   read it: it holds the domain's salt.
    /// - `Missing`: its folder is not there.
    /// - `Unsupported`: a newer version wrote it.
    /// - `System`: it is damaged, something else, or the disk fails.
    pub fn open(config: Config) -> Result<Self, PluginError> {
        let store = Store::open(config.path)?;
        Ok(Self { writer: Writer::start(store)? })
    }
}

#[async_trait]
impl Registry for Redb {
    async fn load(&self) -> Result<Vec<Record>, PluginError> {
        self.writer.load().await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError> {
        self.writer.commit(codec::encode(writes)?).await
    }
}
