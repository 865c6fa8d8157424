//! The publication protocol in every interleaving (`just loom`).
//!
//! The cell is loom's mutex here, which has the ordering guarantees we rely on
//! and no others; what is checked is everything built over it.

use loom::thread;

use super::keys::SendKey;
use super::publish::Publisher;
use crate::crypto::{Secret, Suite};

/// An entry as workers see it: an address, and the key that belongs to it.
struct Entry {
    address: u32,
    key: u32,
}

#[test]
fn a_reader_sees_all_of_the_old_entry_or_all_of_the_new_one() {
    loom::model(|| {
        let mut writer = Publisher::new(Entry { address: 0, key: 0 });
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let reader = writer.reader();
                thread::spawn(move || {
                    let first = reader.take();
                    let second = reader.take();
                    assert_eq!(first.address, first.key, "a mixture");
                    assert_eq!(second.address, second.key, "a mixture");
                    assert!(second.address >= first.address, "an older entry came back");
                })
            })
            .collect();
        for n in 1..=2 {
            writer.publish(Entry { address: n, key: n });
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn an_entry_that_is_held_stays_whole_while_it_is_replaced() {
    loom::model(|| {
        let mut writer = Publisher::new(vec![0_u32; 2]);
        let reader = writer.reader();
        let holder = thread::spawn(move || {
            let held = reader.take();
            thread::yield_now();
            assert!(held.windows(2).all(|pair| pair[0] == pair[1]));
        });
        writer.publish(vec![1; 2]);
        holder.join().unwrap();
    });
}

#[test]
fn two_workers_never_take_the_same_counter() {
    loom::model(|| {
        let key = SendKey::new(Suite::ChaCha20Poly1305, &Secret::new([1; 32]), 0);
        let mut writer = Publisher::new(key);
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let reader = writer.reader();
                thread::spawn(move || {
                    let key = reader.take();
                    let first = key.reserve(3).unwrap();
                    (key.slot(), first)
                })
            })
            .collect();
        writer.publish(SendKey::new(Suite::ChaCha20Poly1305, &Secret::new([2; 32]), 1));
        let taken: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        let ((slot_a, a), (slot_b, b)) = (taken[0], taken[1]);
        assert!(slot_a != slot_b || a.abs_diff(b) >= 3, "the ranges overlap under one key");
    });
}
