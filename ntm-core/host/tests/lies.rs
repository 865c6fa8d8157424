//! A library in C that lies, blocks or breaks is not called again, and another
//! instance carries on behind the same lane and descriptor.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ntm_core::plugin::{Addr, Lane, PluginError, RxSlot, Transport, TxPacket};
use ntm_host::Library;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use tempfile::TempDir;

/// A library of its own: a fault is for the first instance of each.
fn library(fault: &str) -> (&'static Library, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("libfaulty.so");
    common::cc("faulty.c", &[&format!("FAULT={fault}")], &path);
    (Library::load(&path).unwrap(), place)
}

fn open(fault: &str) -> (Arc<dyn Transport>, TempDir) {
    let (library, place) = library(fault);
    (library.transport(&json!({}), 1).unwrap(), place)
}

/// Instances that broke, of the library in this place.
fn broken(place: &TempDir) -> u64 {
    let place = place.path().canonicalize().unwrap();
    let mut libraries = Library::loaded().into_iter();
    libraries.find(|it| it.path().starts_with(&place)).unwrap().health().broken()
}

fn refusal(fault: &str) -> PluginError {
    library(fault).0.transport(&json!({}), 1).err().unwrap()
}

fn send(lane: &dyn Lane, text: &[u8]) -> std::io::Result<usize> {
    lane.try_send(&[TxPacket::new(text, Addr::NONE)])
}

fn readable(lane: &dyn Lane) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}

/// What arrives now, if anything does.
fn received(lane: &dyn Lane) -> Option<Vec<u8>> {
    if !readable(lane) {
        return None;
    }
    let mut buffer = [0; 2048];
    let mut slots = [RxSlot::new(&mut buffer)];
    match lane.try_recv(&mut slots) {
        Ok(count) => {
            assert_eq!(count, 1);
            Some(slots[0].filled().to_vec())
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "the node would end");
            None
        }
    }
}

/// What is sent arrives, as soon as another instance is there.
fn carries(lane: &dyn Lane) {
    common::until("a datagram comes through", || {
        let _not_yet = send(lane, b"again");
        received(lane).is_some_and(|datagram| datagram == b"again")
    });
}

#[test]
fn without_a_fault_it_carries() {
    let (transport, _place) = open("NONE");
    assert_eq!(transport.kind().0, 1);
    assert_eq!(transport.local_addrs(), ["127.0.0.1:4330".parse().unwrap()]);
    let lane = &*transport.lanes()[0];
    assert_eq!(send(lane, b"datagram").unwrap(), 1);
    assert_eq!(received(lane).as_deref(), Some(&b"datagram"[..]));
    assert_eq!(received(lane), None);
}

#[test]
fn impossible_counts_and_lengths_end_an_instance_and_not_the_lane() {
    let faults =
        ["SEND_COUNT", "RECV_COUNT", "RECV_NONE", "RECV_LENGTH", "RECV_STATUS", "RECV_BROKEN"];
    for fault in faults {
        let (transport, place) = open(fault);
        let lane = &*transport.lanes()[0];
        let fd = lane.fd().as_raw_fd();
        let _lie = send(lane, b"one");
        if fault != "SEND_COUNT" {
            assert_eq!(received(lane), None, "{fault}");
        }
        carries(lane);
        assert_eq!(broken(&place), 1, "{fault}");
        assert_eq!(lane.fd().as_raw_fd(), fd, "{fault}");
    }
}

#[test]
fn who_only_sends_is_not_kept_by_a_send_that_blocks() {
    let (transport, _place) = open("SEND_BLOCKS");
    let lane = &*transport.lanes()[0];
    // Not by the thread that receives: as the control task does.
    for _ in 0..50 {
        let _queued = send(lane, b"one");
    }
    carries(lane);
}

#[test]
fn a_receive_that_blocks_keeps_one_thread_and_another_receives_from_the_next_instance() {
    let (transport, place) = open("RECV_BLOCKS");
    let lane = transport.lanes().remove(0);
    assert_eq!(send(&*lane, b"one").unwrap(), 1);
    let back = Arc::new(AtomicBool::new(false));
    let kept = {
        let (lane, back) = (lane.clone(), back.clone());
        thread::spawn(move || {
            received(&*lane);
            back.store(true, Ordering::Relaxed);
        })
    };
    common::until("the instance is given up", || {
        let _sent_or_not = send(&*lane, b"two");
        broken(&place) == 1
    });
    carries(&*lane);
    assert!(!back.load(Ordering::Relaxed) && !kept.is_finished());
}

#[tokio::test]
async fn a_question_that_is_answered_with_nonsense_or_never_fails() {
    for (fault, sentence) in [
        ("REBIND_STATUS", "answered `rebind` with status 4711, which there is not"),
        ("REBIND_BLOCKS", "does not come back from `rebind`"),
    ] {
        let (transport, _place) = open(fault);
        let error = transport.rebind().await.unwrap_err();
        assert!(error.to_string().contains(sentence), "{error}");
        carries(&*transport.lanes()[0]);
        transport.rebind().await.unwrap();
        transport.close().await;
    }
}

#[test]
fn an_instance_that_cannot_be_is_refused() {
    for (fault, sentence) in [
        ("CREATE_NULL", "gave a null handle in `create`"),
        ("CREATE_STATUS", "answered `create` with status 77, which there is not"),
        ("FAILS_SILENTLY", "the plugin failed and did not say why"),
        ("NO_LANE", "has no descriptor for lane 0"),
        ("CLOSED_LANE", "gave descriptor 999999 for lane 0"),
        ("WIRE_KIND", "says that it is kind 4711 on the wire"),
        ("ADDRS_FLOOD", "listens where no address is"),
    ] {
        let error = refusal(fault);
        assert!(error.to_string().contains(sentence), "{fault}: {error}");
    }
}

#[test]
fn a_destroy_that_blocks_is_not_waited_for_and_a_flood_in_the_log_is_survived() {
    let (transport, _place) = open("DESTROY_BLOCKS");
    drop(transport);
    let (transport, _place) = open("LOG_FLOOD");
    carries(&*transport.lanes()[0]);
}
