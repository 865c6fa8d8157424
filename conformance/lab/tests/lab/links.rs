//! Cables: what they carry, how long it takes, and what a move looks like.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use ntm_lab::traffic::{Download, Probe, check_round_trip, round_trip};
use ntm_lab::{Conditions, Fabric, Link, Netns, Recorder, Segment, now};

ntm_lab::trials![
    bulk_tcp_crosses_two_links_intact_and_nothing_is_dropped,
    the_delay_asked_for_is_there_and_can_be_changed,
    a_delay_that_is_not_there_is_noticed,
    the_share_lost_is_the_share_asked_for,
    a_rate_holds_bulk_traffic_down,
    too_large_packets_vanish_without_a_word,
    the_host_sees_its_carrier_go_and_come_in_order,
    a_moved_host_hears_its_new_neighbours_only,
    packets_in_flight_are_lost_when_the_plug_is_pulled,
    a_probe_finds_an_outage_where_it_was,
    a_download_stalls_while_unplugged_and_ends_intact,
];

const MS: Duration = Duration::from_millis(1);

fn bulk_tcp_crosses_two_links_intact_and_nothing_is_dropped() {
    let net = Network::new(Conditions::PERFECT);
    let transfer = Download::of(200 << 20).run(&net.a, B, &net.b);
    assert!(transfer.is_err(), "an address of another host is none of ours");
    let transfer = Download::of(64 << 20).run(&net.a, A, &net.b).unwrap();
    assert!(transfer.intact, "{transfer:?}");
    for link in [&net.link_a, &net.link_b] {
        let (out, back) = link.counters();
        assert_eq!((out.overflowed, back.overflowed), (0, 0));
        assert!(out.carried + back.carried > 40_000, "the data went another way");
    }
}

fn the_delay_asked_for_is_there_and_can_be_changed() {
    let net = Network::new(Conditions::round_trip(40 * MS));
    let measured = check_round_trip(&net.a, &net.b, B, 40 * MS, 10 * MS).unwrap();
    // The lower limit is exact; above it is what a busy machine adds.
    assert!(measured.min >= 40 * MS, "{measured:?}");
    net.link_a.set_each(Conditions::delay(30 * MS), Conditions::PERFECT);
    net.link_b.set(Conditions::PERFECT);
    let measured = check_round_trip(&net.a, &net.b, B, 30 * MS, 9 * MS).unwrap();
    assert!(measured.min >= 30 * MS, "{measured:?}");
}

fn a_delay_that_is_not_there_is_noticed() {
    let net = Network::new(Conditions::PERFECT);
    let complaint = check_round_trip(&net.a, &net.b, B, 40 * MS, 10 * MS).unwrap_err();
    assert!(complaint.to_string().contains("not 40ms as asked for"), "{complaint}");
}

fn the_share_lost_is_the_share_asked_for() {
    let net = Network::new(Conditions::PERFECT);
    // Addresses are resolved before packets are counted.
    round_trip(&net.a, &net.b, B, 1).unwrap();
    net.link_a.set(Conditions::PERFECT.with_loss(0.2));
    let probe = Probe { interval: MS / 2, ..Probe::default() };
    let running = probe.start((&net.a, A), (&net.b, B)).unwrap();
    std::thread::sleep(1000 * MS);
    let flows = running.stop(50 * MS).unwrap();
    for flow in [&flows.there, &flows.back] {
        let share = flow.lost as f64 / flow.sent as f64;
        // Five standard deviations for 1,000 packets.
        assert!((0.137..0.263).contains(&share), "{share} of {}", flow.sent);
        assert_eq!((flow.duplicates, flow.reordered), (0, 0));
    }
}

fn a_rate_holds_bulk_traffic_down() {
    let net = Network::new(Conditions::PERFECT.with_rate(80_000_000));
    let transfer = Download::of(3_000_000).run(&net.a, A, &net.b).unwrap();
    assert!(transfer.intact, "{transfer:?}");
    // 3 MB and their headers at 10 MB/s.
    assert!(transfer.duration >= 300 * MS, "{transfer:?}");
}

fn too_large_packets_vanish_without_a_word() {
    let net = Network::new(Conditions::PERFECT);
    round_trip(&net.a, &net.b, B, 1).unwrap();
    net.link_a.set(Conditions { largest_packet: 1280, ..Conditions::PERFECT });
    let socket = net.b.run(|| UdpSocket::bind((B, 9))).unwrap();
    socket.set_read_timeout(Some(2000 * MS)).unwrap();
    let sender = net.a.run(|| UdpSocket::bind((A, 0))).unwrap();
    for payload in [1281 - 28, 1280 - 28] {
        sender.send_to(&vec![0; payload], (B, 9)).unwrap();
    }
    assert_eq!(socket.recv(&mut [0; 2000]).unwrap(), 1280 - 28);
}

fn the_host_sees_its_carrier_go_and_come_in_order() {
    let net = Network::new(Conditions::PERFECT);
    let recorder = Recorder::start(&net.a).unwrap();
    for _ in 0..3 {
        let before = now();
        net.link_a.replug(&net.elsewhere).unwrap();
        // All was heard of before the call returned, but perhaps not yet read.
        let up = recorder.wait_for_carrier("eth0", before, 2000 * MS).unwrap();
        let down = recorder.carrier_down_at("eth0", before).unwrap();
        assert!(before < down && down < up, "{before} {down} {up}");
    }
}

fn a_moved_host_hears_its_new_neighbours_only() {
    let net = Network::new(Conditions::PERFECT);
    let server = Netns::new("elsewhere").unwrap();
    net.fabric.attach(&server, "eth0", &net.elsewhere).unwrap();
    server.netlink().add_address("eth0", "10.0.0.9/24".parse().unwrap()).unwrap();
    let there: IpAddr = "10.0.0.9".parse().unwrap();
    round_trip(&net.a, &net.b, B, 1).unwrap();
    assert!(round_trip(&net.a, &server, there, 1).is_err());
    net.link_a.replug(&net.elsewhere).unwrap();
    round_trip(&net.a, &server, there, 1).unwrap();
    assert!(round_trip(&net.a, &net.b, B, 1).is_err());
    net.link_a.replug(&net.segment).unwrap();
    round_trip(&net.a, &net.b, B, 1).unwrap();
}

fn packets_in_flight_are_lost_when_the_plug_is_pulled() {
    let net = Network::new(Conditions::PERFECT);
    round_trip(&net.a, &net.b, B, 1).unwrap();
    net.link_a.set(Conditions::delay(300 * MS));
    let socket = net.b.run(|| UdpSocket::bind((B, 9))).unwrap();
    let sender = net.a.run(|| UdpSocket::bind((A, 0))).unwrap();
    sender.send_to(b"early", (B, 9)).unwrap();
    // So that it has left the host, and is on its way for another quarter second.
    std::thread::sleep(50 * MS);
    net.link_a.unplug().unwrap();
    assert!(net.link_a.counters().0.lost >= 1);
    net.link_a.set(Conditions::PERFECT);
    net.link_a.plug(&net.segment).unwrap();
    sender.send_to(b"late", (B, 9)).unwrap();
    let mut buffer = [0; 16];
    socket.set_read_timeout(Some(2000 * MS)).unwrap();
    assert_eq!(socket.recv(&mut buffer).unwrap(), 4, "the early one arrived");
}

fn a_probe_finds_an_outage_where_it_was() {
    let net = Network::new(Conditions::PERFECT);
    round_trip(&net.a, &net.b, B, 1).unwrap();
    let running = Probe::default().start((&net.a, A), (&net.b, B)).unwrap();
    std::thread::sleep(100 * MS);
    // Not unplugged: the kernel would keep packets until it knows its neighbour.
    net.link_a.set(Conditions::PERFECT.with_loss(1.0));
    let cut = now();
    std::thread::sleep(300 * MS);
    let healed = now();
    net.link_a.set(Conditions::PERFECT);
    std::thread::sleep(200 * MS);
    let flows = running.stop(50 * MS).unwrap();
    for flow in [&flows.there, &flows.back] {
        assert!(flow.gap_start <= cut + 5 * MS, "{} {cut}", flow.gap_start);
        assert!(flow.gap_start + flow.longest_gap >= healed, "{:?}", flow.longest_gap);
        // Some were under way at either end of the outage.
        let during = |time| cut < time && time + 5 * MS < healed;
        assert!(!flow.arrivals.iter().any(|arrival| during(arrival.sent)));
        assert!((280..=320).contains(&flow.lost), "of some 300: {}", flow.lost);
        let after = flow.first_arrival(healed).unwrap();
        assert!(after.sent + 5 * MS >= healed, "{after:?} {healed}");
        assert_eq!(flow.lost + flow.received, flow.sent);
        assert_eq!((flow.duplicates, flow.reordered), (0, 0));
    }
}

fn a_download_stalls_while_unplugged_and_ends_intact() {
    let net = Network::new(Conditions::PERFECT);
    let download = Download::of(4 << 20).paced(8 << 20);
    let running = download.start(&net.a, A, &net.b).unwrap();
    running.wait_for(1 << 20, 5000 * MS).unwrap();
    net.link_a.unplug().unwrap();
    let cut = now();
    std::thread::sleep(300 * MS);
    let healed = now();
    net.link_a.plug(&net.segment).unwrap();
    let transfer = running.finish().unwrap();
    assert!(transfer.intact && transfer.bytes == 4 << 20, "{transfer:?}");
    assert!(transfer.stall_start <= cut, "{transfer:?}");
    assert!(transfer.stall_start + transfer.longest_stall >= healed, "{transfer:?}");
}

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Two hosts on one segment, and an empty segment.
struct Network {
    link_a: Link,
    link_b: Link,
    a: Netns,
    b: Netns,
    segment: Segment,
    elsewhere: Segment,
    fabric: Fabric,
}

impl Network {
    fn new(conditions: Conditions) -> Self {
        let fabric = Fabric::new("fabric").unwrap();
        let [segment, elsewhere] = [fabric.segment().unwrap(), fabric.segment().unwrap()];
        let host = |name: &str, address: &str, seed| {
            let host = Netns::new(name).unwrap();
            let link = Link::new(&fabric, &host, "eth0", conditions, seed).unwrap();
            link.plug(&segment).unwrap();
            host.netlink().add_address("eth0", address.parse().unwrap()).unwrap();
            (host, link)
        };
        let (a, link_a) = host("a", "10.0.0.1/24", 1);
        let (b, link_b) = host("b", "10.0.0.2/24", 2);
        Self { link_a, link_b, a, b, segment, elsewhere, fabric }
    }
}
