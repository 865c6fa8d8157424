//! What the trait promises, and what a person reads when it cannot be kept.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::{block_on, load, node, open, reached, state, writes};
use ntm_core::address::Vips;
use ntm_core::plugin::memory::MemoryRegistry;
use ntm_core::plugin::{Fault, PluginError, Record, Registry as _, Write};
use proptest::prelude::*;
use redb::{ReadableDatabase as _, TableDefinition};
use tempfile::TempDir;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("dc.redb");
    (folder, path)
}

/// A registry after so many commits of the history.
fn registry(path: &Path, commits: u64) {
    let registry = open(path).unwrap();
    block_on(async {
        for number in 1..=commits {
            registry.commit(writes(number)).await.unwrap();
        }
    });
}

/// Changes the file behind the registry's back.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn refusal(path: &Path) -> PluginError {
    let error = open(path).expect_err("a refusal");
    assert_eq!(error.key.as_deref(), Some("path"), "{error}");
    assert!(error.message.contains(&path.display().to_string()), "{error}");
    error
}

#[test]
fn what_was_committed_is_loaded_after_reopening() {
    let (_folder, path) = folder();
    assert_eq!(load(&path), []);
    registry(&path, 60);
    assert_eq!(load(&path), state(60));
    assert_eq!(reached(&load(&path)), 60);
}

#[test]
fn overlapping_commits_keep_their_order_and_share_transactions() {
    let (_folder, path) = folder();
    let registry = open(&path).unwrap();
    block_on(async {
        let mut calls = Vec::new();
        for number in 1..=500 {
            calls.push(Box::pin(registry.commit(writes(number))));
        }
        // Each call is polled once before any is waited for.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        calls.retain_mut(|call| match call.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => result.is_err(),
            std::task::Poll::Pending => true,
        });
        // A load comes after the commits that were called before it.
        assert_eq!(reached(&registry.load().await.unwrap()), 500);
        for call in calls {
            call.await.unwrap();
        }
    });
    drop(registry);
    let database = redb::Database::open(&path).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    let transactions = meta.get("transactions").unwrap().unwrap().value();
    assert!((1..400).contains(&transactions), "{transactions} transactions for 500 commits");
}

#[test]
fn a_dropped_commit_leaves_the_others_alone() {
    let (_folder, path) = folder();
    let registry = open(&path).unwrap();
    block_on(async {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut dropped = Box::pin(registry.commit(writes(1)));
        let _pending = dropped.as_mut().poll(&mut context);
        drop(dropped);
        registry.commit(writes(2)).await.unwrap();
    });
    drop(registry);
    assert_eq!(load(&path), state(2));
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let (_folder, path) = folder();
    let first = open(&path).unwrap();
    let error = refusal(&path);
    assert_eq!(error.fault, Fault::Busy);
    assert!(error.message.contains("another coordinator has"), "{error}");
    drop(first);
    assert!(open(&path).is_ok());
}

#[test]
fn only_its_owner_may_read_it() {
    let (folder, path) = folder();
    registry(&path, 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = refusal(&path);
    assert_eq!(error.fault, Fault::Permission);
    assert!(error.remedy.contains("chmod 600"), "{error}");
}

#[test]
fn a_missing_folder_is_named() {
    let (folder, _) = folder();
    let error = refusal(&folder.path().join("nowhere/dc.redb"));
    assert_eq!(error.fault, Fault::Missing);
}

#[test]
fn a_newer_format_is_refused() {
    let (_folder, path) = folder();
    registry(&path, 1);
    tamper(&path, |transaction| {
        transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    });
    let error = refusal(&path);
    assert_eq!(error.fault, Fault::Unsupported);
    assert!(error.message.contains("format 2"), "{error}");
}

#[test]
fn a_kind_of_record_from_a_later_version_is_kept_and_passed_over() {
    let (_folder, path) = folder();
    registry(&path, 3);
    tamper(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).unwrap();
        records.insert(&b"\xc8later"[..], &b"?"[..]).unwrap();
    });
    assert_eq!(load(&path), state(3));
    let database = redb::Database::open(&path).unwrap();
    let records = database.begin_read().unwrap().open_table(RECORDS).unwrap();
    assert!(records.get(&b"\xc8later"[..]).unwrap().is_some());
}

#[test]
fn an_unreadable_record_is_named() {
    let (_folder, path) = folder();
    registry(&path, 1);
    tamper(&path, |transaction| {
        let mut records = transaction.open_table(RECORDS).unwrap();
        records.insert(&b"\x01mn.example"[..], &b"{\"record\":\"node\"}"[..]).unwrap();
    });
    let registry = open(&path).unwrap();
    let error = block_on(registry.load()).unwrap_err();
    assert!(error.message.contains("`mn.example`"), "{error}");
}

#[test]
fn other_files_are_not_taken_for_registries() {
    let (_folder, path) = folder();
    let put = |content: &[u8]| {
        let _absent = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    for content in [&b""[..], b"hello", &[0; 100_000], &[0xff; 100_000]] {
        put(content);
        let error = refusal(&path);
        assert!(error.message.contains("is damaged or not a registry"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content, "left as it was");
    }
    put(b"");
    drop(redb::Database::create(&path).unwrap());
    assert!(refusal(&path).message.contains("is a database for something else"));
}

#[test]
fn a_damaged_file_is_an_error_or_still_whole_but_never_a_panic() {
    let (_folder, path) = folder();
    registry(&path, 30);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    // Every byte of the header, then every 127th.
    for at in (0..512).chain((512..whole.len()).step_by(127)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        refused += u32::from(refused_or_whole(&path, &damaged, at));
    }
    for length in (0..whole.len()).step_by(4099) {
        refused += u32::from(refused_or_whole(&path, &whole[..length], length));
    }
    assert!(refused > 50, "only {refused} of all damages were noticed");
}

/// Whether the damage was noticed; panics if it went unnoticed and changed what
/// is there.
fn refused_or_whole(path: &Path, content: &[u8], at: usize) -> bool {
    fs::write(path, content).unwrap();
    match open(path) {
        Ok(registry) => match block_on(registry.load()) {
            Ok(records) => {
                assert_eq!(records, state(30), "damage at byte {at}");
                false
            }
            Err(_) => true,
        },
        Err(_) => true,
    }
}

fn any_write() -> impl Strategy<Value = Write> {
    let record = prop_oneof![
        any::<[u8; 32]>().prop_map(|salt| Record::Domain { salt }),
        (1..20_u64).prop_map(node),
        (0..20_u32, any::<bool>(), any::<u64>()).prop_map(|(last, only4, until)| {
            let v6 = (!only4).then(|| u128::from(last).into());
            Record::Quarantine { vips: Vips { v4: Some(last.into()), v6 }, until }
        }),
    ];
    (record, any::<bool>()).prop_map(|(record, put)| match put {
        true => Write::Put(record),
        false => Write::Delete(record.key()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_commits_give_what_the_memory_registry_gives(
        commits in prop::collection::vec(prop::collection::vec(any_write(), 0..8), 0..12),
        reopen in 0..12_usize,
    ) {
        let (_folder, path) = folder();
        let model = MemoryRegistry::default();
        let mut registry = Some(open(&path).unwrap());
        for (index, writes) in commits.into_iter().enumerate() {
            if index == reopen {
                registry = None;
            }
            let registry = registry.get_or_insert_with(|| open(&path).unwrap());
            model.apply(writes.clone());
            block_on(registry.commit(writes)).unwrap();
            prop_assert_eq!(block_on(registry.load()).unwrap(), model.records());
        }
    }
}
