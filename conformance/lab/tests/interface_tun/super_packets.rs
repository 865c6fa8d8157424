use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;
use ntm_core::plugin::{Interface as _, Offload};
use ntm_interface_tun::SuperPackets;
use rustix::io::Errno;

use crate::common::{EVERY, device, in_a_namespace, settings};
use crate::joined::{End, MTU, Seen, Setup};

ntm_lab::trials![
    tcp_passes_with_super_packets_and_without,
    tcp_over_several_queues_passes,
    marks_of_congestion_reach_the_sender_and_are_answered,
    runs_of_udp_pass_with_super_packets_and_without,
    what_is_in_use_is_what_is_told,
];

/// Each setting with itself, and a device with super-packets beside one that has
/// to cut them.
const PAIRS: [(SuperPackets, SuperPackets); 5] = [
    (SuperPackets::Full, SuperPackets::Full),
    (SuperPackets::Tcp, SuperPackets::Tcp),
    (SuperPackets::None, SuperPackets::None),
    (SuperPackets::Full, SuperPackets::None),
    (SuperPackets::None, SuperPackets::Full),
];

fn tcp_passes_with_super_packets_and_without() {
    for (at, (left, right)) in PAIRS.into_iter().enumerate() {
        let [seen, _] = Setup::new(left, right).run(&format!("tcp{at}"), |left, right| {
            for version in [0, 1] {
                download(left, right, version);
            }
        });
        check(seen, left != SuperPackets::None);
        println!("tcp, {left:?} to {right:?}: {} bytes a read", seen.bytes / seen.packets);
    }
}

fn tcp_over_several_queues_passes() {
    let setup = Setup { lanes: 2, ..Setup::new(SuperPackets::Full, SuperPackets::Full) };
    let [seen, _] = setup.run("queues", |left, right| {
        thread::scope(|scope| {
            for version in [0, 1, 0, 1] {
                scope.spawn(move || download(left, right, version));
            }
        });
    });
    check(seen, true);
}

fn marks_of_congestion_reach_the_sender_and_are_answered() {
    for (at, (left, right)) in PAIRS.into_iter().enumerate() {
        let setup = Setup { mark_every: Some(20), ..Setup::new(left, right) };
        let [seen, _] = setup.run(&format!("marks{at}"), |left, right| {
            for end in [left, right] {
                end.ns.set_sysctl("net.ipv4.tcp_ecn", 1).unwrap();
            }
            for version in [0, 1] {
                download(left, right, version);
            }
        });
        // Both connections begin with one.
        assert!(seen.reduced > 2, "{seen:?}");
    }
}

fn runs_of_udp_pass_with_super_packets_and_without() {
    for (at, (left, right)) in PAIRS.into_iter().enumerate() {
        let mut in_use = Offload::NONE;
        let [seen, _] = Setup::new(left, right).run(&format!("udp{at}"), |left, right| {
            in_use = left.offload;
            for version in [0, 1] {
                send_runs(left, right, version);
            }
        });
        check(seen, in_use.udp);
        println!("udp, {left:?} to {right:?}: {} bytes a read", seen.bytes / seen.packets);
    }
}

fn what_is_in_use_is_what_is_told() {
    in_a_namespace("told", |_| {
        for wanted in EVERY {
            for lanes in [1, 2] {
                let tun = device(wanted, lanes, &settings("198.18.0.5", "fd18::5"));
                let offload = tun.offload();
                assert_eq!(offload.tcp, wanted != SuperPackets::None);
                assert!(!offload.udp || wanted == SuperPackets::Full);
                let kinds = [(offload.tcp, "tcp"), (offload.udp, "udp")];
                let kinds: Vec<_> = kinds.iter().filter(|it| it.0).map(|it| it.1).collect();
                let text = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
                assert!(tun.facts().contains(&("offload".to_owned(), text)));
            }
        }
    });
}

/// What came out of the sender's device.
fn check(seen: Seen, whole: bool) {
    assert_eq!(seen.supers > 0, whole, "{seen:?}");
    assert!(seen.longest <= MTU, "{seen:?}");
    // A kernel that cut super-packets itself would do so into full segments.
    assert!(!whole || seen.bytes / seen.packets > 2 * MTU, "{seen:?}");
}

/// Takes a file over TCP from `left` to `right`.
fn download(left: &End, right: &End, version: usize) {
    let file = noise(8 << 20);
    let address = (right.addresses[version], 0);
    let listener = right.ns.run(|| TcpListener::bind(address)).unwrap();
    let address = listener.local_addr().unwrap();
    // The listener's kernel answers without the listener.
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    let mut sender = left.ns.run(connect).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            sender.set_write_timeout(Some(PATIENCE)).unwrap();
            sender.write_all(&file).unwrap();
            drop(sender);
        });
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::with_capacity(file.len());
        stream.read_to_end(&mut received).unwrap();
        assert!(received == file, "what came is not what was sent");
    });
}

/// Takes runs of datagrams from `left` to `right`, each when the one before it
/// has come.
fn send_runs(left: &End, right: &End, version: usize) {
    const SEGMENT: usize = 1200;
    const RUNS: usize = 50;
    // The last is shorter.
    let bytes = noise(40 * SEGMENT - 500);
    let bind = |end: &End| {
        let address: IpAddr = end.addresses[version];
        let socket = end.ns.run(|| UdpSocket::bind((address, 0))).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let (sender, plain, receiver) = (bind(left), bind(left), bind(right));
    setsockopt(&sender, UdpGsoSegment, &(SEGMENT as i32)).unwrap();
    let address = receiver.local_addr().unwrap();
    for _ in 0..RUNS {
        match sender.send_to(&bytes, address) {
            Ok(sent) => assert_eq!(sent, bytes.len()),
            // Kernels before 6.11, if the device completes no checksums.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
                for datagram in bytes.chunks(SEGMENT) {
                    plain.send_to(datagram, address).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
        for expected in bytes.chunks(SEGMENT) {
            let mut buffer = [0; 2048];
            let received: io::Result<usize> = receiver.recv(&mut buffer);
            assert!(buffer[..received.unwrap()] == *expected, "another datagram");
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes without a pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
