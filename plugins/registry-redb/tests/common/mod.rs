//! A history of commits whose every prefix is a state of its own.

use std::path::Path;

use ntm_core::address::Vips;
use ntm_core::id::PublicKey;
use ntm_core::plugin::memory::MemoryRegistry;
use ntm_core::plugin::{
    MemberRole, NodeRecord, PluginError, Record, RecordKey, Registry as _, Write,
};
use ntm_registry_redb::{Config, Redb};

/// Nodes that are there at a time, so that the file does not grow for ever.
const NODES: u64 = 50;

/// The commit of this number, from 1 on: adds a node, removes an old one and
/// moves the one quarantine along.
pub(crate) fn writes(number: u64) -> Vec<Write> {
    let mut writes = vec![
        Write::Delete(quarantine(number - 1).key()),
        Write::Put(node(number)),
        Write::Put(quarantine(number)),
    ];
    if let Some(old) = number.checked_sub(NODES) {
        writes.push(Write::Delete(node(old).key()));
    }
    if number == 1 {
        writes.push(Write::Put(Record::Domain { salt: [9; 32] }));
        writes.push(Write::Delete(RecordKey::Domain));
        writes.push(Write::Put(Record::Domain { salt: [7; 32] }));
    }
    writes
}

/// What is there after the commit of this number.
pub(crate) fn state(number: u64) -> Vec<Record> {
    let model = MemoryRegistry::default();
    for number in (1..=number).rev().take(NODES as usize + 1).collect::<Vec<_>>().iter().rev() {
        model.apply(writes(*number));
    }
    if number > 0 {
        model.apply(vec![Write::Put(Record::Domain { salt: [7; 32] })]);
    }
    model.records()
}

/// The number of the last commit in `records`; panics if they are no prefix of
/// the history.
pub(crate) fn reached(records: &[Record]) -> u64 {
    let number = records.iter().find_map(|record| match record {
        Record::Quarantine { until, .. } => Some(*until),
        Record::Domain { .. } | Record::Node(_) => None,
    });
    let number = number.unwrap_or(0);
    assert!(records == state(number), "half a commit, or one out of order: {records:#?}");
    number
}

pub(crate) fn node(number: u64) -> Record {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Record::Node(NodeRecord {
        name: format!("node-{number}.example").parse().unwrap(),
        key: PublicKey::from_bytes(key),
        roles: MemberRole::Terminal.into(),
        vips: Some(vips(number)),
    })
}

pub(crate) fn quarantine(number: u64) -> Record {
    Record::Quarantine { vips: vips(number), until: number }
}

fn vips(number: u64) -> Vips {
    let number = number as u32;
    Vips { v4: Some(number.into()), v6: Some((0xfd << 120 | u128::from(number)).into()) }
}

pub(crate) fn open(path: &Path) -> Result<Redb, PluginError> {
    Redb::open(Config { path: path.to_owned() })
}

/// Runs what awaits.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

pub(crate) fn load(path: &Path) -> Vec<Record> {
    block_on(open(path).unwrap().load()).unwrap()
}
