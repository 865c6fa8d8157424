//! A shared object in Rust that does wrong whatever it is told to (`conformance/fault`),
//! behind one transport: after each fault datagrams come and go again, by the same lane.
//! Whole nodes meet the same faults in `bins/ntm/tests/outages/faults.rs`; here memory
//! checkers see them.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use ntm_core::plugin::{Lane, RxSlot, Transport, TxPacket};
use ntm_host::Library;
use serde_json::json;

/// What is asked for, and how many instances it costs.
const FAULTS: [(&str, u64); 18] = [
    ("panic-try_recv", 1),
    ("panic-try_send", 1),
    ("count-try_recv", 1),
    ("count-try_send", 1),
    ("none-try_recv", 1),
    ("error-try_recv", 1),
    ("panic-facts", 0),
    ("panic-max_payload", 0),
    ("panic-moved", 0),
    ("flood-try_recv", 0),
    ("panic-open panic-try_recv", 1),
    ("panic-lanes panic-try_recv", 1),
    ("panic-kind panic-try_recv", 2),
    ("panic-drop panic-try_recv", 1),
    ("panic-close panic-try_recv", 1),
    ("block-drop panic-try_recv", 1),
    ("panic-rebind", 1),
    ("never-rebind", 1),
];

/// A datagram goes to the peer and one comes from it, now or with another instance.
fn carries(lane: &dyn Lane, transport: &dyn Transport, peer: &UdpSocket) {
    let (to, mut buffer) = (peer.local_addr().unwrap(), [0; 2048]);
    let mut sent = false;
    common::until("a datagram both ways", || {
        let at = transport.local_addrs()[0];
        let _not_yet = lane.try_send(&[TxPacket::new(b"out", to.into())]);
        let _not_yet = peer.send_to(b"in", at);
        sent |= peer.recv(&mut [0; 16]).is_ok();
        let mut slots = [RxSlot::new(&mut buffer)];
        match lane.try_recv(&mut slots) {
            Ok(count) => sent && count == 1 && slots[0].filled() == b"in",
            Err(_) => false,
        }
    });
}

#[tokio::test]
async fn each_fault_costs_an_instance_at_most() {
    let place = tempfile::tempdir().unwrap();
    let file = ntm_built::copied(&ntm_built::shared_object("ntm-fault"), place.path());
    let folder = place.path().join("faults");
    fs::create_dir(&folder).unwrap();
    let library = Library::load(&file).unwrap();
    let config = json!({ "faults": folder, "udp": { "bind": "127.0.0.1:0" } });
    let transport = library.transport(&config, 1).unwrap();
    let lane = transport.lanes().remove(0);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    carries(&*lane, &*transport, &peer);
    for (faults, cost) in FAULTS {
        let before = library.health().broken();
        let files: Vec<_> = faults.split(' ').map(|fault| folder.join(fault)).collect();
        files.iter().for_each(|file| fs::write(file, "").unwrap());
        let to = peer.local_addr().unwrap();
        while files.iter().any(|file| file.exists()) {
            let _asked = transport.facts();
            let _asked = transport.max_payload(to);
            transport.moved();
            if faults.ends_with("rebind") {
                let _failed = transport.rebind().await;
            }
            let _sent = lane.try_send(&[TxPacket::new(b"out", to.into())]);
            let _sent = peer.send_to(b"in", transport.local_addrs()[0]);
            let mut buffer = [0; 2048];
            let _received = lane.try_recv(&mut [RxSlot::new(&mut buffer)]);
            std::thread::sleep(Duration::from_millis(2));
        }
        common::until("an instance that works", || library.health().working() == 1);
        carries(&*lane, &*transport, &peer);
        assert_eq!(library.health().broken() - before, cost, "{faults}");
        if cost > 0 {
            // Who breaks at once is opened later and later.
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    fs::write(folder.join("panic-close"), "").unwrap();
    transport.close().await;
    assert!(!folder.join("panic-close").exists());
}
