//! Built-in plugins as shared objects do what they do when they are linked.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ntm_core::address::{Candidate, Location, Observed, TransportKind};
use ntm_core::plugin::{Fault, Lane, PlanRequest, RelayOption, RxSlot, Traversal as _, TxPacket};
use ntm_host::{Library, inspect};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;
use tempfile::TempDir;

/// A copy in a folder that nobody else may write.
fn load(package: &str) -> (&'static Library, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let path = ntm_built::copied(&ntm_built::shared_object(package), place.path());
    (Library::load(&path).unwrap(), place)
}

fn wait(lane: &dyn Lane) {
    let mut fds = [PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)];
    let most = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&most)).unwrap(), 1, "nothing arrives");
}

/// Everything that arrives until there are so many datagrams.
fn receive(lane: &dyn Lane, count: usize) -> Vec<(Vec<u8>, SocketAddr, u8)> {
    let mut found = Vec::new();
    let mut buffers = vec![vec![0; 65_535]; 8];
    while found.len() < count {
        wait(lane);
        let mut slots: Vec<_> = buffers.iter_mut().map(|it| RxSlot::new(it)).collect();
        let filled = lane.try_recv(&mut slots).unwrap();
        for slot in &slots[..filled] {
            let remote = slot.remote.socket().unwrap();
            found.extend(slot.segments().map(|it| (it.to_vec(), remote, slot.ecn)));
        }
    }
    found
}

#[tokio::test]
async fn udp_carries_batches_runs_and_marks_both_ways() {
    let (library, _place) = load("ntm-transport-udp-dyn");
    assert_eq!(library.summary().name, "udp");
    let open = || library.transport(&json!({ "bind": "127.0.0.1:0" }), 2).unwrap();
    let (a, b) = (open(), open());
    assert_eq!((a.kind(), a.lanes().len()), (TransportKind::UDP, 2));
    let (from, to) = (a.local_addrs()[0], b.local_addrs()[0]);
    assert!(from.port() != 0 && from != to);
    let (sender, receiver) = (a.lanes().remove(0), b.lanes().remove(0));
    let run: Vec<u8> = (0..5u8).flat_map(|at| [at; 1000]).collect();
    let run = &run[..4300];
    let mut packets = vec![TxPacket::run(run, 1000, to.into())];
    let single: Vec<Vec<u8>> = (5..64u8).map(|at| vec![at; 100 + usize::from(at)]).collect();
    packets.extend(single.iter().map(|data| TxPacket::new(data, to.into())));
    packets.iter_mut().for_each(|packet| packet.ecn = 1);
    let mut sent = 0;
    while sent < packets.len() {
        match sender.try_send(&packets[sent..]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    let mut found = receive_all(&b.lanes(), 64);
    found.sort();
    let expected: Vec<_> = run.chunks(1000).map(<[u8]>::to_vec).chain(single).collect();
    assert_eq!(found.len(), expected.len());
    for ((datagram, remote, ecn), expected) in found.iter().zip(&expected) {
        assert_eq!((datagram, *remote, *ecn), (expected, from, 1));
    }
    assert!(a.facts().iter().any(|(key, _)| key.contains("gso")), "{:?}", a.facts());
    a.rebind().await.unwrap();
    assert_eq!(a.local_addrs()[0].port(), from.port());
    drop(receiver);
    a.close().await;
    b.close().await;
}

/// From whichever of the lanes the kernel chose.
fn receive_all(lanes: &[Arc<dyn Lane>], count: usize) -> Vec<(Vec<u8>, SocketAddr, u8)> {
    let fds: Vec<_> =
        lanes.iter().map(|lane| PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)).collect();
    let mut ready = fds;
    let most = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    assert!(poll(&mut ready, Some(&most)).unwrap() > 0, "nothing arrives");
    let at = ready.iter().position(|fd| !fd.revents().is_empty()).unwrap();
    receive(&*lanes[at], count)
}

#[test]
fn udp_refuses_as_it_does_when_it_is_linked() {
    let (library, _place) = load("ntm-transport-udp-dyn");
    let error = library.transport(&json!({ "bnid": "127.0.0.1:0" }), 1).err().unwrap();
    assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("bnid")));
    let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let bind = held.local_addr().unwrap().to_string();
    let error = library.transport(&json!({ "bind": bind }), 1).err().unwrap();
    assert_eq!((error.fault, error.key.as_deref()), (Fault::Busy, Some("bind")));
}

#[tokio::test]
async fn traversal_and_vip_answer_as_when_they_are_linked() {
    let (library, _place) = load("ntm-traversal-rs-dyn");
    let dynamic = library.traversal(&json!({})).unwrap();
    let linked = ntm_traversal_rs::Rs::new(Default::default()).unwrap();
    let udp = |text: &str| Candidate::udp(text.parse().unwrap());
    let open = Location {
        claimed: vec![udp("203.0.113.7:4330")],
        observed: vec![Observed { candidate: udp("203.0.113.7:4330"), proved: true }],
    };
    let natted = Location {
        claimed: vec![udp("192.168.1.2:4330"), udp("[2001:db8::2]:4330")],
        observed: vec![Observed { candidate: udp("198.51.100.9:1024"), proved: true }],
    };
    let relays = vec![RelayOption { candidates: vec![udp("203.0.113.200:4330")] }];
    for initiator in [&open, &natted, &Location::default()] {
        for responder in [&open, &natted, &Location::default()] {
            let request = PlanRequest {
                initiator: initiator.clone(),
                responder: responder.clone(),
                relays: relays.clone(),
            };
            let plan = dynamic.plan(&request).await.unwrap();
            assert_eq!(plan, linked.plan(&request).await.unwrap());
        }
    }

    let (library, _place) = load("ntm-vip-pool-dyn");
    let error = library.vip(&json!({ "ipv4": "10.0.0.0/31" })).err().unwrap();
    assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("ipv4")));
    let vip = library.vip(&json!({ "ipv4": "10.0.0.0/30" })).unwrap();
    let key = ntm_core::id::PublicKey::from_bytes([1; 32]);
    let name = "mn.example".parse().unwrap();
    let first = vip.allocate(&name, &key).await.unwrap();
    let second = vip.allocate(&name, &key).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(vip.allocate(&name, &key).await.unwrap_err().fault, Fault::Busy);
    vip.release(&first).await;
    assert_eq!(vip.allocate(&name, &key).await, Ok(first));
}

#[test]
fn every_built_in_plugin_is_a_shared_object_too() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let folders = fs::read_dir(plugins).unwrap();
    let names: Vec<_> =
        folders.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let built_in: Vec<_> = names.iter().filter(|name| !name.ends_with("-dyn")).collect();
    assert!(built_in.len() >= 8);
    for name in built_in {
        assert!(names.contains(&format!("{name}-dyn")), "{name} has no shared object");
        let found = inspect(&ntm_built::shared_object(&format!("ntm-{name}-dyn")));
        let (kind, own) = name.split_once('-').unwrap();
        match found {
            Ok(found) => {
                assert_eq!((found.name.as_str(), found.kinds.to_string().as_str()), (own, kind));
            }
            // Built under a umask that lets a group write.
            Err(refusal) => assert!(refusal.to_string().contains("others may write"), "{refusal}"),
        }
    }
}
