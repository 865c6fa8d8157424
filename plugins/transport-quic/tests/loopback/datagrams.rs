use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ntm_core::address::TransportKind;
use ntm_core::plugin::{Transport, TxPacket};

use crate::ends::{End, config};

#[test]
fn datagrams_go_both_ways_by_one_connection_and_say_where_they_came_from() {
    let (a, b) = (End::new(), End::new());
    assert_eq!(a.quic.kind(), TransportKind::QUIC);
    a.send(b"question", b.addr);
    let question = b.next();
    assert_eq!((&question.data[..], question.from), (&b"question"[..], a.addr));
    assert_eq!(question.to, Some(b.addr.ip()), "the address that was spoken to");
    b.send(b"answer", question.from);
    let answer = a.next();
    assert_eq!((&answer.data[..], answer.from), (&b"answer"[..], b.addr));
    assert_eq!((a.fact("connections made"), b.fact("connections made")), (1, 0));
    assert_eq!((a.fact("connections accepted"), b.fact("connections accepted")), (0, 1));
}

#[test]
fn one_socket_serves_both_families() {
    let server = End::open(config((Ipv6Addr::UNSPECIFIED, 0)));
    let port = server.addr.port();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let client = End::open(config((ip, 0)));
        client.send(b"question", (ip, port).into());
        let question = server.next();
        assert_eq!(question.from, client.addr, "an IPv4 address is written as one");
        server.send(b"answer", question.from);
        assert_eq!(client.next().from, SocketAddr::from((ip, port)));
    }
}

#[test]
fn a_run_arrives_as_its_datagrams_in_order_also_what_waited_for_the_connection() {
    let (a, b) = (End::new(), End::new());
    let numbered = |from: u8| -> Vec<u8> {
        (from..from + 40).flat_map(|number| [number; 100]).chain([from; 7]).collect()
    };
    let (first, second) = (numbered(0), numbered(100));
    let remote = b.addr.into();
    let runs = [TxPacket::run(&first, 100, remote), TxPacket::run(&second, 100, remote)];
    assert_eq!(a.lane.try_send(&runs).unwrap(), 2);
    for run in [&first, &second] {
        for datagram in run.chunks(100) {
            assert_eq!(b.next().data, datagram);
        }
    }
    assert_eq!(a.fact("not sent"), 0);
}

#[test]
fn the_largest_payload_is_told_and_passes_and_one_byte_more_does_not() {
    let (a, b) = (End::new(), End::new());
    let guessed = a.quic.max_payload(b.addr).unwrap();
    assert_eq!(guessed, 1362, "a path of 1,400 bytes until it is known better");
    a.send(b"hello", b.addr);
    b.next();
    let most = a.quic.max_payload(b.addr).unwrap();
    assert!(most >= guessed, "{most}");
    a.send(&vec![1; most], b.addr);
    assert_eq!(b.next().data.len(), most);
    a.send(&[2; 3000], b.addr);
    a.send(b"behind it", b.addr);
    assert_eq!(b.next().data, b"behind it");
    assert_eq!((a.fact("too large"), a.fact("sent as streams")), (1, 0));
}

#[test]
fn what_is_not_ours_changes_nothing() {
    let (a, b) = (End::new(), End::new());
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for datagram in [&[0x80; 40][..], &[0xff; 1200], &[0x40; 30], b""] {
        stranger.send_to(datagram, b.addr).unwrap();
    }
    a.send(b"still here", b.addr);
    assert_eq!(b.next().data, b"still here");
    assert_eq!(b.fact("connections"), 1);
}

#[test]
fn who_speaks_another_protocol_is_not_let_in() {
    let server = End::new();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async {
        let mut client = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        client.set_default_client_config(quinn::ClientConfig::new(std::sync::Arc::new(tls)));
        client.connect(server.addr, "ntm").unwrap().await.unwrap_err()
    });
    // RFC 9001, section 8.1: no_application_protocol is error 0x178.
    assert!(
        format!("{refused:?}").contains("376") || refused.to_string().contains("120"),
        "{refused:?}"
    );
    assert_eq!(server.fact("connections accepted"), 0);
}
