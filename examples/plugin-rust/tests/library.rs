//! The shared object, loaded as a node loads it.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ntm_core::plugin::{Fault, Lane, RxSlot, Transport, TxPacket};
use ntm_host::Library;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

/// A copy in a folder that nobody else may write, which is what root asks for.
fn library() -> &'static Library {
    static LIBRARY: LazyLock<&'static Library> = LazyLock::new(load);
    *LIBRARY
}

fn load() -> &'static Library {
    let exe = std::env::current_exe().unwrap();
    let name = format!("libplugin_rust{}", std::env::consts::DLL_SUFFIX);
    let place = tempfile::tempdir().unwrap();
    let library = place.path().join(&name);
    fs::copy(exe.with_file_name(&name), &library).unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    Library::load(&library).unwrap()
}

struct End {
    transport: Arc<dyn Transport>,
    lane: Arc<dyn Lane>,
    addr: SocketAddr,
}

fn open_at(library: &'static Library, bind: SocketAddr) -> End {
    let transport = library.transport(&json!({ "bind": bind, "idle_s": 600 }), 1).unwrap();
    let (lane, addr) = (transport.lanes().remove(0), transport.local_addrs()[0]);
    End { transport, lane, addr }
}

fn open(library: &'static Library) -> End {
    open_at(library, "127.0.0.1:0".parse().unwrap())
}

impl End {
    fn send(&self, text: &[u8], to: SocketAddr) {
        assert_eq!(self.lane.try_send(&[TxPacket::new(text, to.into())]).unwrap(), 1);
    }

    /// What arrives within that time.
    fn receive_within(&self, most: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut fds = [PollFd::from_borrowed_fd(self.lane.fd(), PollFlags::IN)];
        let most = Timespec { tv_sec: most.as_secs() as i64, tv_nsec: most.subsec_nanos().into() };
        if poll(&mut fds, Some(&most)).unwrap() == 0 {
            return None;
        }
        let mut buffer = vec![0; 65_535];
        let mut slots = [RxSlot::new(&mut buffer)];
        match self.lane.try_recv(&mut slots) {
            Ok(count) => assert_eq!(count, 1),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("the lane is broken: {error}"),
        }
        Some((slots[0].filled().to_vec(), slots[0].remote.socket().unwrap()))
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing arrives");
            if let Some(arrived) = self.receive_within(left) {
                return arrived;
            }
        }
    }

    fn fact(&self, key: &str) -> u64 {
        let facts = self.transport.facts();
        facts.iter().find(|(known, _)| known == key).map_or(0, |(_, value)| value.parse().unwrap())
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn datagrams_go_both_ways_in_order_and_whole() {
    let library = library();
    let (a, b) = (open(library), open(library));
    assert_eq!(a.transport.kind().0, 200);
    let largest = a.transport.max_payload(b.addr).unwrap();
    let run: Vec<u8> = (0..5u8).flat_map(|at| [at; 1000]).collect();
    let singles: Vec<Vec<u8>> = vec![vec![5; largest], vec![6; 1], vec![7; 1472]];
    let mut packets = vec![TxPacket::run(&run[..4300], 1000, b.addr.into())];
    packets.extend(singles.iter().map(|data| TxPacket::new(data, b.addr.into())));
    assert_eq!(a.lane.try_send(&packets).unwrap(), packets.len());
    let expected = run[..4300].chunks(1000).map(<[u8]>::to_vec).chain(singles.clone());
    let mut back = None;
    for expected in expected {
        let (datagram, from) = b.receive();
        assert_eq!(datagram, expected);
        assert_eq!(*back.get_or_insert(from), from, "one connection");
    }
    // Answers go where the datagrams came from, by the same connection.
    b.send(b"answer", back.unwrap());
    assert_eq!(a.receive(), (b"answer".to_vec(), b.addr));
    assert_eq!((a.fact("called"), b.fact("accepted"), b.fact("called")), (1, 1, 0));
}

#[test]
fn after_a_move_packets_come_from_elsewhere() {
    let library = library();
    let (a, b) = (open(library), open(library));
    a.send(b"before", b.addr);
    let (_, before) = b.receive();
    a.transport.moved();
    let mut after = before;
    until("a packet from elsewhere", || {
        a.send(b"after", b.addr);
        if let Some((_, from)) = b.receive_within(Duration::from_millis(100)) {
            after = from;
        }
        after != before
    });
    b.send(b"answer", after);
    until("the answer", || {
        a.receive_within(Duration::from_millis(100)).is_some_and(|(text, _)| text == b"answer")
    });
}

#[test]
fn a_peer_that_restarts_is_reached_again() {
    let library = library();
    let (a, b) = (open(library), open(library));
    a.send(b"before", b.addr);
    b.receive();
    let addr = b.addr;
    let closing = close_frees_the_port(b);
    assert!(closing, "the port stays taken");
    let b = open_at(library, addr);
    until("a packet to the next", || {
        a.send(b"after", addr);
        b.receive_within(Duration::from_millis(100)).is_some_and(|(text, _)| text == b"after")
    });
}

/// Closes, and says whether the port is free then.
fn close_frees_the_port(end: End) -> bool {
    let waiting = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waiting);
    let mut closing = std::pin::pin!(end.transport.close());
    let until = Instant::now() + LIMIT;
    while closing.as_mut().poll(&mut context).is_pending() {
        assert!(Instant::now() < until, "it does not close");
        std::thread::sleep(Duration::from_millis(1));
    }
    // A closed lane says so.
    let mut fds = [PollFd::from_borrowed_fd(end.lane.fd(), PollFlags::IN)];
    let most = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(poll(&mut fds, Some(&most)).unwrap(), 1);
    TcpListener::bind(end.addr).is_ok()
}

#[test]
fn who_does_not_answer_costs_old_packets_and_no_time() {
    let library = library();
    let a = open(library);
    // Takes calls and says nothing: no handshake ever comes to its end.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = mute.local_addr().unwrap();
    let mut sent = 0;
    until("something is dropped", || {
        let text = [0; 1000];
        match a.lane.try_send(&[TxPacket::new(&text, to.into())]) {
            Ok(count) => sent += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        sent > 2000 && a.fact("lost") > 0
    });
    // Others are reached meanwhile.
    let b = open(library);
    a.send(b"beside", b.addr);
    assert_eq!(b.receive().0, b"beside");
}

#[test]
fn nobody_at_the_other_end_is_no_fault_of_the_lane() {
    let library = library();
    let (a, b) = (open(library), open(library));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    a.send(b"lost", gone);
    until("it is counted", || a.fact("lost") == 1);
    a.send(b"well", b.addr);
    assert_eq!(b.receive().0, b"well");
}

#[test]
fn a_mistake_is_blamed_on_its_key() {
    let library = library();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = [
        (json!({ "bnid": "[::]:443" }), Fault::Config, "bnid"),
        (json!({ "connections": 0 }), Fault::Config, "connections"),
        (json!({ "idle_s": 1 }), Fault::Config, "idle_s"),
        (json!({ "bind": held.local_addr().unwrap() }), Fault::Busy, "bind"),
    ];
    for (config, fault, key) in cases {
        let error = library.transport(&config, 1).err().unwrap();
        assert_eq!((error.fault, error.key.as_deref()), (fault, Some(key)), "{error}");
    }
}
