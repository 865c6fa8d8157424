//! Single datagrams on loopback: addresses, ECN, pins, errors.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::ends::{Buffers, at, is_readable, lane, open, receive, send, wait_readable};
use ntm_core::plugin::{Addr, Transport as _, TxPacket};
use ntm_transport_udp::Udp;
use rustix::io::Errno;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn one_dual_stack_socket_speaks_both_families_and_shows_plain_addresses() {
    let both = open("[::]:0");
    for (host, peer) in [("127.0.0.1", open("127.0.0.1:0")), ("::1", open("[::1]:0"))] {
        send(&peer, &[TxPacket::new(b"question", at(host, &both).into())]);
        let question = receive(&both, 1).remove(0);
        assert_eq!(question.data, b"question");
        assert_eq!(question.remote, at(host, &peer), "not an IPv4-mapped address");
        assert_eq!(question.local, Some(ip(host)));
        assert_ne!(question.ifindex, 0);
        send(&both, &[TxPacket::new(b"answer", question.remote.into())]);
        let answer = receive(&peer, 1).remove(0);
        assert_eq!((answer.data, answer.remote), (b"answer".to_vec(), at(host, &both)));
    }
}

#[test]
fn a_socket_of_one_family_serves_that_family_and_refuses_the_other() {
    let (v4, v6) = (open("127.0.0.1:0"), open("[::1]:0"));
    for udp in [&v4, &v6] {
        let own = udp.local_addrs()[0];
        send(udp, &[TxPacket::new(b"to itself", own.into())]);
        assert_eq!(receive(udp, 1)[0].remote, own);
    }
    let refused = |udp, to| lane(udp).try_send(&[TxPacket::new(b"lost", to)]).is_err();
    assert!(refused(&v4, v6.local_addrs()[0].into()));
    assert!(refused(&v6, v4.local_addrs()[0].into()));
}

#[test]
fn ecn_bits_arrive_as_sent_in_both_families_and_directions() {
    let both = open("[::]:0");
    let peers = [("127.0.0.1", open("127.0.0.1:0")), ("::1", open("[::1]:0"))];
    for (host, peer) in &peers {
        for ecn in 0..=3 {
            for (from, to) in [(peer, &both), (&both, peer)] {
                let mut run = TxPacket::run(b"aabb", 2, at(host, to).into());
                run.ecn = ecn;
                let mut single = TxPacket::new(b"c", at(host, to).into());
                single.ecn = ecn;
                send(from, &[run, single]);
                let seen: Vec<_> = receive(to, 3).iter().map(|got| got.ecn).collect();
                assert_eq!(seen, [ecn; 3]);
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_pinned_source_is_the_one_the_peer_sees() {
    let peer = open("127.0.0.1:0");
    let to = peer.local_addrs()[0];
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let udp = open(bind);
        let mut packet = TxPacket::run(b"aab", 2, to.into());
        packet.ecn = 2;
        send(&udp, &[packet]);
        assert!(receive(&peer, 2).iter().all(|got| got.remote.ip() == ip("127.0.0.1")));
        packet.local = ip("127.0.0.9").into();
        send(&udp, &[packet]);
        packet.ifindex = loopback();
        send(&udp, &[packet]);
        for got in receive(&peer, 4) {
            assert_eq!((got.remote.ip(), got.ecn), (ip("127.0.0.9"), 2));
        }
    }
}

#[test]
fn a_pin_that_is_gone_costs_neither_the_datagram_nor_gso() {
    let udp = open("[::]:0");
    let gso = udp.facts();
    for (host, gone) in [("127.0.0.1", "203.0.113.77"), ("::1", "2001:db8::77")] {
        let mut packet = TxPacket::run(b"aab", 2, at(host, &udp).into());
        packet.local = ip(gone).into();
        send(&udp, &[packet]);
        packet.ifindex = 999_999;
        send(&udp, &[packet]);
        packet.local = Addr::NONE;
        send(&udp, &[packet]);
        assert!(receive(&udp, 6).iter().all(|got| got.remote.ip() == ip(host)));
    }
    assert_eq!(udp.facts(), gso);
}

#[test]
fn a_datagram_that_cannot_be_sent_is_named_and_the_lane_goes_on() {
    let udp = open("[::]:0");
    let large = vec![0; 70_000];
    for host in ["127.0.0.1", "::1"] {
        let to = at(host, &udp).into();
        let batch =
            [TxPacket::new(b"before", to), TxPacket::new(&large, to), TxPacket::new(b"behind", to)];
        assert_eq!(lane(&udp).try_send(&batch).unwrap(), 1);
        let error = lane(&udp).try_send(&batch[1..]).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::MSGSIZE));
        send(&udp, &batch[2..]);
        let arrived: Vec<_> = receive(&udp, 2).into_iter().map(|got| got.data).collect();
        assert_eq!(arrived, [b"before", b"behind"]);
    }
}

#[test]
fn a_bad_destination_spoils_neither_ecn_nor_gso_for_the_good_ones() {
    let udp = open("0.0.0.0:0");
    let facts = udp.facts();
    let nowhere = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    let error = lane(&udp).try_send(&[TxPacket::run(b"aab", 2, nowhere.into())]).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::INVAL));
    let mut packet = TxPacket::run(b"aab", 2, at("127.0.0.1", &udp).into());
    packet.ecn = 1;
    send(&udp, &[packet]);
    assert!(receive(&udp, 2).iter().all(|got| got.ecn == 1));
    assert_eq!(udp.facts(), facts);
}

#[test]
fn the_descriptor_polls_readable_exactly_while_something_lies_there() {
    let udp = open("127.0.0.1:0");
    let lane = lane(&udp);
    let would_block = || Buffers::default().take(&*lane).map_err(|error| error.kind()).err();
    assert!(!is_readable(&*lane));
    assert_eq!(would_block(), Some(ErrorKind::WouldBlock));
    // More than one batch, of different sizes so that none are coalesced.
    let data = [0; 100];
    for len in 1..=100 {
        send(&udp, &[TxPacket::new(&data[..len], udp.local_addrs()[0].into())]);
    }
    let mut arrived = 0;
    wait_readable(&*lane);
    while is_readable(&*lane) {
        assert!(is_readable(&*lane), "asking does not use it up");
        arrived += Buffers::default().take(&*lane).unwrap().len();
    }
    assert_eq!(arrived, 100);
    assert_eq!(would_block(), Some(ErrorKind::WouldBlock));
}

#[test]
fn a_hundred_thousand_datagrams_arrive_in_order_and_complete() {
    const COUNT: u32 = 100_000;
    const WINDOW: u32 = 64;
    let (from, to) = (open("[::]:0"), open("[::]:0"));
    let received = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            flood(&from, &to, COUNT, |sent| {
                while sent - received.load(Ordering::Acquire) > WINDOW {
                    thread::yield_now();
                }
            })
        });
        let lane = lane(&to);
        let mut buffers = Buffers::default();
        let mut next = 0;
        while next < COUNT {
            wait_readable(&*lane);
            for got in buffers.take(&*lane).unwrap() {
                assert_eq!(got.data, next.to_be_bytes());
                next += 1;
            }
            received.store(next, Ordering::Release);
        }
    });
}

/// Sends the numbers below `count`, four to a run, waiting as `pace` says.
fn flood(from: &Udp, to: &Udp, count: u32, pace: impl Fn(u32)) {
    let lane = lane(from);
    let to = at("::1", to).into();
    for first in (0..count).step_by(4) {
        pace(first);
        let data: Vec<_> = (first..first + 4).flat_map(u32::to_be_bytes).collect();
        loop {
            match lane.try_send(&[TxPacket::run(&data, 4, to)]) {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn loopback() -> u32 {
    let udp = open("127.0.0.1:0");
    send(&udp, &[TxPacket::new(b"which", udp.local_addrs()[0].into())]);
    receive(&udp, 1)[0].ifindex
}
