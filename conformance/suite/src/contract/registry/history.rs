//! Commits of which every prefix is a state of its own.

use ntm_core::address::Vips;
use ntm_core::id::PublicKey;
use ntm_core::plugin::memory::MemoryRegistry;
use ntm_core::plugin::{MemberRole, MemberRoles, NodeRecord, Record, Registry, Write};

use crate::outcome::Stop;
use crate::wait::within;

/// Nodes that are there at a time.
const NODES: u64 = 20;

/// The commit of this number, from 1 on: adds a node, removes an old one, and moves the
/// one quarantine along.
pub(super) fn writes(number: u64) -> Vec<Write> {
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
        writes.push(Write::Put(Record::Domain { salt: [7; 32] }));
    }
    writes
}

/// What is there after the commit of this number, sorted by keys.
pub(super) fn state(number: u64) -> Vec<Record> {
    let model = MemoryRegistry::default();
    (1..=number).for_each(|number| model.apply(writes(number)));
    sorted(model.records())
}

pub(super) fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(Record::key);
    records
}

/// After how many commits this is the state.
pub(super) fn reached(records: Vec<Record>) -> Result<u64, Stop> {
    let until = |record: &Record| match record {
        Record::Quarantine { until, .. } => Some(*until),
        Record::Domain { .. } | Record::Node(_) => None,
    };
    let number = records.iter().find_map(until).unwrap_or(0);
    let (found, count) = (sorted(records), state(number).len());
    if found != state(number) {
        let found = found.len();
        return Err(Stop::broken(format!(
            "half a commit, or one out of order: {found} records after commit {number}, which has {count}"
        )));
    }
    Ok(number)
}

pub(super) async fn load(registry: &dyn Registry) -> Result<Vec<Record>, Stop> {
    Ok(within("`load`", registry.load()).await??)
}

pub(super) async fn commit(registry: &dyn Registry, writes: Vec<Write>) -> Result<(), Stop> {
    Ok(within("`commit`", registry.commit(writes)).await??)
}

pub(super) fn node(number: u64) -> Record {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let name = format!("node-{number}.example");
    Record::Node(NodeRecord {
        name: name.parse().expect("a name of two labels"),
        key: PublicKey::from_bytes(key),
        roles: match number % 2 {
            0 => MemberRoles::from(MemberRole::Terminal).with(MemberRole::Relay),
            _ => MemberRole::Terminal.into(),
        },
        vips: Some(vips(number)),
    })
}

pub(super) fn quarantine(number: u64) -> Record {
    Record::Quarantine { vips: vips(number), until: number }
}

fn vips(number: u64) -> Vips {
    let number = number as u32;
    Vips { v4: Some(number.into()), v6: Some((0xfd << 120 | u128::from(number)).into()) }
}
