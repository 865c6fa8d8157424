//! A plugin carries whoever compiled it: the example in C by every compiler that is
//! here, and libraries that `just plugin-matrix` has built with other toolchains.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ntm_core::plugin::{Fault, Lane, RxSlot, TxPacket};
use ntm_host::{Kinds, Library};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

/// Loads a copy in a folder that nobody else may write. What is loaded outlives its
/// file.
fn load(library: &Path) -> &'static Library {
    let place = tempfile::tempdir().unwrap();
    Library::load(&ntm_built::copied(library, place.path())).unwrap()
}

/// One datagram from a lane, within a minute.
fn receive(lane: &dyn Lane) -> (Vec<u8>, SocketAddr) {
    let mut fds = [PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)];
    let most = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&most)).unwrap(), 1, "nothing arrives");
    let mut buffer = vec![0; 65_535];
    let mut slots = [RxSlot::new(&mut buffer)];
    assert_eq!(lane.try_recv(&mut slots).unwrap(), 1);
    (slots[0].filled().to_vec(), slots[0].remote.socket().unwrap())
}

/// Two instances talk to each other over loopback, by both IP versions.
fn carries(library: &'static Library, config: &Value) {
    let open = || library.transport(config, 1).unwrap();
    let (a, b) = (open(), open());
    let port = |addrs: Vec<SocketAddr>| addrs[0].port();
    for ip in ["127.0.0.1", "[::1]"] {
        let at = |port: u16| -> SocketAddr { format!("{ip}:{port}").parse().unwrap() };
        let (to, back) = (at(port(b.local_addrs())), at(port(a.local_addrs())));
        let (ours, theirs) = (a.lanes().remove(0), b.lanes().remove(0));
        let run = [&[1; 1000][..], &[2; 1000], &[3; 10]].concat();
        let packets = [TxPacket::run(&run, 1000, to.into()), TxPacket::new(b"last", to.into())];
        assert_eq!(ours.try_send(&packets).unwrap(), 2);
        let mut arrived = Vec::new();
        while !arrived.ends_with(b"last") {
            let (datagram, from) = receive(&*theirs);
            assert_eq!(from, back);
            arrived.extend(datagram);
        }
        assert_eq!(arrived, [&run[..], b"last"].concat());
        assert_eq!(theirs.try_send(&[TxPacket::new(b"answer", back.into())]).unwrap(), 1);
        assert_eq!(receive(&*ours), (b"answer".to_vec(), to));
    }
}

#[test]
fn the_example_in_c_carries_whoever_compiled_it() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugin-c");
    let mut compilers = 0;
    for compiler in ["cc", "gcc", "clang"] {
        let there = Command::new(compiler).arg("--version").output();
        if !there.is_ok_and(|it| it.status.success()) {
            assert_ne!(compiler, "cc", "a C compiler is needed: cc");
            continue;
        }
        compilers += 1;
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("libc_udp.so");
        let mut make = Command::new("make");
        make.arg("-s").arg(format!("CC={compiler}")).arg(format!("OUT={}", out.display()));
        assert!(make.current_dir(&example).status().unwrap().success(), "{compiler}");
        let library = load(&out);
        assert_eq!(library.summary().name, "c-udp");
        let transport = Kinds::named("transport");
        let schema = library.schema(transport).unwrap().unwrap();
        assert_eq!(schema["properties"]["port"]["maximum"], 65_535);
        for (wrong, key) in [
            (json!({ "port": 65_536 }), "port"),
            (json!({ "port": "1" }), "port"),
            (json!({ "port": 1, "prot": 1 }), "prot"),
            (json!({ "an": 1, "port": 1 }), "an"),
        ] {
            let error = library.check(transport, &wrong).unwrap_err();
            assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some(key)));
        }
        carries(library, &json!({ "port": 0 }));
        let taken = std::net::UdpSocket::bind("[::]:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = library.transport(&json!({ "port": port }), 1).err().unwrap();
        assert_eq!(error.fault, Fault::Busy);
    }
    assert!(compilers > 0);
}

/// `NTM_MATRIX` names shared objects of the transport `udp`, with colons between them.
#[test]
#[ignore = "`just plugin-matrix` builds what it loads"]
fn a_transport_of_another_toolchain_carries() {
    let libraries = std::env::var("NTM_MATRIX").unwrap();
    for library in libraries.split(':').map(PathBuf::from) {
        let loaded = load(&library);
        println!("{}: {}", library.display(), loaded.summary().toolchain);
        carries(loaded, &json!({ "bind": "[::]:0" }));
    }
}
