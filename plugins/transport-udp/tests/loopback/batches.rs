//! Whole batches in one `try_send`, with every way of handing them over.

use std::thread;

use crate::ends::{at, lane, open, open_with, receive, send};
use ntm_core::plugin::{Addr, Transport as _, TxPacket};
use ntm_transport_udp::{Config, Udp};
use rustix::io::Errno;

/// Transports that send in every way there is.
fn senders() -> Vec<Udp> {
    let config = |gso, batch| Config { gso, batch, ..Config::default() };
    [(true, true), (true, false), (false, true), (false, false)]
        .map(|(gso, batch)| open_with("[::]:0", config(gso, batch)))
        .into()
}

fn fact(udp: &Udp, key: &str) -> usize {
    let facts = udp.facts();
    let (_, value) = facts.iter().find(|(name, _)| name == key).unwrap();
    value.parse().unwrap()
}

/// The `nth` entry of a mixed batch: one datagram or up to three, of any size.
fn contents(nth: usize) -> (Vec<u8>, u16) {
    let segment = 1 + nth * 37 % 1_200;
    let len = segment * (nth % 3) + 1 + nth % segment;
    (vec![nth as u8; len], segment as u16)
}

#[test]
fn what_is_off_by_configuration_is_not_in_use() {
    let in_use: Vec<_> = senders()
        .iter()
        .map(|udp| (fact(udp, "gso segments") > 1, fact(udp, "batch") > 1))
        .collect();
    let linux = cfg!(target_os = "linux");
    assert_eq!(in_use[1..], [(linux, false), (false, linux), (false, false)]);
    assert_eq!(in_use[0], (linux, linux));
}

#[test]
fn a_batch_to_many_places_arrives_complete_and_in_order_at_each() {
    const ENTRIES: usize = 200;
    let receivers: Vec<_> = (0..5).map(|_| open("[::]:0")).collect();
    let entries: Vec<_> = (0..ENTRIES).map(contents).collect();
    for sender in senders() {
        let mut packets = Vec::new();
        let mut expected = vec![Vec::new(); receivers.len()];
        for (nth, (data, segment)) in entries.iter().enumerate() {
            let place = nth * 7 % receivers.len();
            let host = if nth % 2 == 0 { "127.0.0.1" } else { "::1" };
            let mut packet = TxPacket::run(data, *segment, at(host, &receivers[place]).into());
            packet.ecn = nth as u8 % 4;
            packet.dscp = nth as u8 % 64;
            if nth % 11 == 0 {
                packet.local = host.parse::<std::net::IpAddr>().unwrap().into();
            }
            expected[place].extend(packet.segments().map(|it| (it.to_vec(), packet.ecn)));
            packets.push(packet);
        }
        send(&sender, &packets);
        for (receiver, expected) in receivers.iter().zip(expected) {
            let arrived: Vec<_> = receive(receiver, expected.len())
                .into_iter()
                .map(|got| (got.data, got.ecn))
                .collect();
            assert!(arrived == expected, "with {:?}", sender.facts());
        }
    }
}

#[test]
fn a_batch_stops_at_what_cannot_be_sent_and_goes_on_behind_it() {
    let receiver = open("[::]:0");
    let good: Addr = at("127.0.0.1", &receiver).into();
    // Nobody can be at port 0.
    let nowhere: Addr = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into();
    let entries: Vec<_> = (0..150).map(contents).collect();
    for bad in [0, 1, 63, 64, 100, 149] {
        for sender in senders() {
            let facts = sender.facts();
            let packets: Vec<_> = entries
                .iter()
                .enumerate()
                .map(|(nth, (data, segment))| {
                    TxPacket::run(data, *segment, if nth == bad { nowhere } else { good })
                })
                .collect();
            if bad > 0 {
                assert_eq!(lane(&sender).try_send(&packets).unwrap(), bad);
            }
            let error = lane(&sender).try_send(&packets[bad..]).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::INVAL));
            send(&sender, &packets[bad + 1..]);
            let expected: Vec<_> = packets[..bad]
                .iter()
                .chain(&packets[bad + 1..])
                .flat_map(TxPacket::segments)
                .collect();
            let arrived = receive(&receiver, expected.len());
            assert!(arrived.iter().map(|got| &got.data[..]).eq(expected));
            assert_eq!(sender.facts(), facts, "one bad destination turns nothing off");
        }
    }
}

#[test]
fn stale_pins_among_good_ones_cost_nothing() {
    let receiver = open("[::]:0");
    let to: Addr = at("127.0.0.1", &receiver).into();
    let entries: Vec<_> = (0..100).map(contents).collect();
    for sender in senders() {
        let packets: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(nth, (data, segment))| {
                let mut packet = TxPacket::run(data, *segment, to);
                if nth % 3 == 0 {
                    packet.local = std::net::IpAddr::from([203, 0, 113, 77]).into();
                }
                packet
            })
            .collect();
        let facts = sender.facts();
        send(&sender, &packets);
        let expected: Vec<_> = packets.iter().flat_map(TxPacket::segments).collect();
        let arrived = receive(&receiver, expected.len());
        assert!(arrived.iter().map(|got| &got.data[..]).eq(expected));
        assert_eq!(sender.facts(), facts);
    }
}

#[test]
fn threads_that_send_at_once_do_not_mix_their_batches() {
    for sender in senders() {
        let lane = &lane(&sender);
        thread::scope(|scope| {
            for number in 0..4_u8 {
                scope.spawn(move || {
                    let receiver = open("[::]:0");
                    let to: Addr = at("::1", &receiver).into();
                    for round in 0..20 {
                        let data: Vec<_> = (0..70).map(|nth| [number, round, nth]).collect();
                        let packets: Vec<_> =
                            data.iter().map(|data| TxPacket::new(data, to)).collect();
                        assert_eq!(lane.try_send(&packets).unwrap(), packets.len());
                        let arrived = receive(&receiver, data.len());
                        assert!(arrived.iter().map(|got| &got.data[..]).eq(data.iter()));
                    }
                });
            }
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn dscp_and_ecn_stand_in_the_header_together() {
    use std::io::IoSliceMut;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
    use rustix::net::sockopt::{set_ip_recvtos, set_ipv6_recvtclass};

    let (v4, v6) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
    set_ip_recvtos(&v4, true).unwrap();
    set_ipv6_recvtclass(&v6, true).unwrap();
    let class = |socket: &UdpSocket| {
        let mut buffer = [0; 100];
        let mut into = [IoSliceMut::new(&mut buffer)];
        let mut room = nix::cmsg_space!(i32);
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut into, Some(&mut room), flags);
        match got.unwrap().cmsgs().unwrap().next() {
            Some(ControlMessageOwned::Ipv4Tos(class)) => i32::from(class),
            Some(ControlMessageOwned::Ipv6TClass(class)) => class,
            other => panic!("{other:?}"),
        }
    };
    for sender in senders() {
        for (dscp, ecn) in [(0, 0), (0, 2), (46, 0), (46, 1), (63, 3)] {
            for socket in [&v4, &v6] {
                let mut packet = TxPacket::run(b"aab", 2, socket.local_addr().unwrap().into());
                (packet.dscp, packet.ecn) = (dscp, ecn);
                // One alone, then one among others.
                for packets in [&[packet][..], &[packet; 3]] {
                    send(&sender, packets);
                    for _ in 0..packets.len() * 2 {
                        assert_eq!(class(socket), i32::from(dscp << 2 | ecn));
                    }
                }
            }
        }
    }
}
