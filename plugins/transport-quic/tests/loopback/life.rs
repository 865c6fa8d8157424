use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

use ntm_core::plugin::{Fault, RxSlot, Transport, TxPacket};
use ntm_transport_quic::{Config, Quic};

use crate::ends::{End, config, wait};

#[test]
fn a_port_in_use_is_refused_with_what_to_do() {
    let taken = End::new();
    let Err(error) = Quic::open(config(taken.addr), 1) else { panic!("the port was taken") };
    assert_eq!(error.fault, Fault::Busy);
    assert!(error.to_string().contains("web server"), "{error}");
    let Err(error) = Quic::open(config((Ipv4Addr::new(203, 0, 113, 7), 0)), 1) else {
        panic!("nobody has this address")
    };
    assert_eq!(error.fault, Fault::Config);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let local = config((Ipv4Addr::LOCALHOST, 0));
    for wrong in [
        Config { idle_s: 4, ..local.clone() },
        Config { idle_s: 601, ..local.clone() },
        Config { connections: 0, ..local },
    ] {
        let Err(error) = Quic::open(wrong, 1) else { panic!("out of bounds") };
        assert_eq!(error.fault, Fault::Config);
    }
}

#[test]
fn a_closed_transport_frees_its_port_and_its_lane_says_so_and_wakes() {
    let (a, b) = (End::open(config((Ipv6Addr::UNSPECIFIED, 0))), End::new());
    a.send(b"hello", b.addr);
    b.next();
    wait(a.quic.close());
    let mut buffer = [0; 64];
    let received = a.lane.try_recv(&mut [RxSlot::new(&mut buffer)]);
    assert_eq!(received.unwrap_err().kind(), ErrorKind::NotConnected);
    let sent = a.lane.try_send(&[TxPacket::new(b"x", b.addr.into())]);
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::NotConnected);
    UdpSocket::bind(a.addr).unwrap();
    assert!(wait(a.quic.rebind()).is_err());
    a.quic.moved();
    wait(a.quic.close());
}

#[test]
fn opening_and_closing_leaves_nothing_behind() {
    let open = || std::fs::read_dir("/dev/fd").unwrap().count();
    // What the process opens once.
    wait(End::new().quic.close());
    let before = open();
    let addr = End::new().addr;
    for _ in 0..50 {
        // Whoever drops a transport without a farewell is rid of it a little later.
        let mut opened = Quic::open(config(addr), 2);
        while opened.is_err() {
            std::thread::yield_now();
            opened = Quic::open(config(addr), 2);
        }
        wait(opened.unwrap().close());
    }
    // Other tests open and close theirs meanwhile: this only has to stay in bounds.
    assert!(open() < before + 100, "{} descriptors, {before} before", open());
}

#[test]
fn rebinding_keeps_the_port_and_the_lane() {
    let (a, b) = (End::new(), End::new());
    a.send(b"before", b.addr);
    assert_eq!(b.next().from, a.addr);
    wait(a.quic.rebind()).unwrap();
    assert_eq!(a.reach(&b, b"after", b.addr).from, a.addr);
    assert_eq!(b.reach(&a, b"answer", a.addr).from, b.addr);
    wait(b.quic.rebind()).unwrap();
    b.reach(&a, b"the other end", a.addr);
    assert!(UdpSocket::bind(a.addr).is_err(), "a port of its own again");
}

#[test]
fn who_restarts_is_reached_again() {
    let (a, b) = (End::new(), End::new());
    a.send(b"hello", b.addr);
    b.next();
    let addr = b.addr;
    drop(b.lane);
    wait(b.quic.close());
    let again = End::open(config(addr));
    a.reach(&again, b"welcome back", addr);
    again.reach(&a, b"thank you", a.addr);
}

/// The farewell is lost: nobody has told that the connection is no more.
#[test]
fn who_fell_silent_gets_another_connection() {
    let (a, b) = (End::new(), End::new());
    let relay = crate::moves::Relay::to(b.addr);
    a.send(b"hello", relay.addr);
    b.next();
    relay.forget();
    let again = End::new();
    relay.lead_to(again.addr);
    a.reach(&again, b"welcome", relay.addr);
    assert_eq!(a.fact("connections made"), 2);
}

#[test]
fn connections_are_bounded_and_who_is_not_spoken_to_gives_way() {
    let server = End::open(Config { connections: 2, ..config((Ipv4Addr::LOCALHOST, 0)) });
    let known = End::new();
    known.send(b"question", server.addr);
    let question = server.next();
    server.send(b"answer", question.from);
    known.next();
    for _ in 0..5 {
        let stranger = End::new();
        stranger.reach(&server, b"let me in", server.addr);
        assert!(server.fact("connections") <= 2);
    }
    known.send(b"another", server.addr);
    assert_eq!(server.next().from, known.addr);
    assert_eq!(known.fact("connections made"), 1, "it was not pushed out");
}
