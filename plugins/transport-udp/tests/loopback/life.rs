//! Opening, sharing, rebinding and closing.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::thread;

use crate::ends::{Buffers, at, lane, open, port, receive, send, wait_readable};
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, PluginError, Transport as _, TxPacket};
use ntm_transport_udp::{Config, Udp};
use rustix::net::sockopt::set_socket_reuseport;
use socket2::{Domain, Socket, Type};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn try_open(bind: SocketAddr, lanes: usize) -> Result<Udp, PluginError> {
    Udp::open(Config { bind, ..Config::default() }, lanes)
}

fn whole_machine(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

#[test]
fn a_taken_port_is_named_with_a_remedy() {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = stranger.local_addr().unwrap();
    let ours = try_open(whole_machine(0), 2).unwrap();
    for bind in [taken, ours.local_addrs()[0], at("::1", &ours)] {
        for lanes in [1, 2] {
            let error = try_open(bind, lanes).err().unwrap();
            assert_eq!(error.fault, Fault::Busy);
            assert_eq!(error.key.as_deref(), Some("bind"));
            assert!(
                error.message.contains(&bind.to_string()) && !error.remedy.is_empty(),
                "{error}"
            );
        }
    }
}

#[test]
fn an_address_that_is_not_ours_is_a_mistake_in_the_configuration() {
    let error = try_open(([203, 0, 113, 1], 0).into(), 1).err().unwrap();
    assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("bind")));
}

#[test]
fn what_is_open_says_where_it_listens_and_how() {
    let udp = open("[::]:0");
    assert_eq!(udp.kind(), TransportKind::UDP);
    assert!(udp.local_addrs()[0].ip().is_unspecified() && port(&udp) != 0);
    let facts = udp.facts();
    let keys: BTreeSet<_> = facts.iter().map(|(key, _)| key.as_str()).collect();
    let expected =
        ["batch", "families", "gro segments", "gso segments", "receive buffer", "send buffer"];
    assert_eq!(keys, BTreeSet::from(expected));
    assert!(facts.contains(&("families".into(), "IPv4 and IPv6".into())));
}

#[test]
fn lanes_share_the_port_and_together_get_everything() {
    let udp = try_open(whole_machine(0), 2).unwrap();
    share_everything(&udp);
    run(udp.rebind()).unwrap();
    share_everything(&udp);
}

/// Datagrams from many sources arrive at one lane or the other, none at both.
fn share_everything(udp: &Udp) {
    let senders: Vec<_> = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut expected = BTreeSet::new();
    for sender in &senders {
        sender.send_to(b"hello", at("127.0.0.1", udp)).unwrap();
        expected.insert(sender.local_addr().unwrap());
    }
    let mut arrived = Vec::new();
    for lane in udp.lanes() {
        wait_readable(&*lane);
        while let Ok(batch) = Buffers::default().take(&*lane) {
            arrived.extend(batch.into_iter().map(|got| got.remote));
        }
    }
    assert_eq!(arrived.len(), senders.len());
    assert_eq!(BTreeSet::from_iter(arrived), expected);
}

#[test]
fn closing_frees_the_port_wakes_the_worker_and_leaves_an_error() {
    let udp = open("[::]:0");
    let lane = lane(&udp);
    let to = at("127.0.0.1", &udp);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            wait_readable(&*lane);
            Buffers::default().take(&*lane).map_err(|error| error.kind()).err()
        });
        run(udp.close());
        assert_eq!(worker.join().unwrap(), Some(ErrorKind::NotConnected));
    });
    let sent = lane.try_send(&[TxPacket::new(b"late", to.into())]);
    assert_eq!(sent.map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    assert!(run(udp.rebind()).is_err());
    run(udp.close());
    let next = try_open(whole_machine(to.port()), 1).unwrap();
    send(&next, &[TxPacket::new(b"free again", to.into())]);
    assert_eq!(receive(&next, 1)[0].data, b"free again");
}

#[test]
fn dropping_frees_the_port() {
    let udp = open("[::]:0");
    let bind = udp.local_addrs()[0];
    drop(udp);
    assert!(try_open(bind, 1).is_ok());
}

#[test]
fn rebinding_keeps_port_and_descriptor_for_a_worker_that_sleeps_on_them() {
    let udp = open("[::]:0");
    let lane = lane(&udp);
    let (addrs, number) = (udp.local_addrs(), lane.fd().as_raw_fd());
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            wait_readable(&*lane);
            Buffers::default().take(&*lane).unwrap().remove(0).data
        });
        run(udp.rebind()).unwrap();
        assert_eq!((udp.local_addrs(), lane.fd().as_raw_fd()), (addrs, number));
        send(&udp, &[TxPacket::new(b"afterwards", at("127.0.0.1", &udp).into())]);
        assert_eq!(worker.join().unwrap(), b"afterwards");
    });
    let stranger = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
    set_socket_reuseport(&stranger, true).unwrap();
    let shared = stranger.bind(&udp.local_addrs()[0].into());
    assert!(shared.is_err(), "the port is ours alone, as before");
}

/// A set that holds the descriptor forgets it when what is behind it goes.
#[test]
#[cfg(target_os = "linux")]
fn a_registration_of_the_descriptor_survives_rebinding() {
    use rustix::event::{Timespec, epoll};

    let udp = open("[::]:0");
    let watched = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let data = epoll::EventData::new_u64(0);
    epoll::add(&watched, lane(&udp).fd(), data, epoll::EventFlags::IN).unwrap();
    run(udp.rebind()).unwrap();
    send(&udp, &[TxPacket::new(b"hello", at("::1", &udp).into())]);
    let mut events = Vec::with_capacity(1);
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    epoll::wait(&watched, rustix::buffer::spare_capacity(&mut events), Some(&limit)).unwrap();
    assert_eq!(events.len(), 1);
}
