//! What is too large for the tunnel, and what only seems so.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use ntm_lab::Netns;
use ntm_lab::scenario::until;

use crate::stage::{End, PATIENCE, Plan, Stage};
use crate::traffic::{download, sockets};

ntm_lab::trials![
    fragments_arrive_whole,
    fragments_that_a_path_does_not_take_are_cut_again,
    a_connection_knows_how_much_fits,
    an_interface_is_as_large_as_asked_for,
    senders_hear_of_what_is_too_large,
    a_network_with_small_packets_is_crossed,
];

/// Without more of the sender: the interface's own limit.
const FITS: u32 = 1400;

fn fragments_arrive_whole() {
    exchange_fragments(&Plan::default().build());
}

fn fragments_that_a_path_does_not_take_are_cut_again() {
    let small: fn(&Netns) = |machine| machine.netlink().set_mtu("eth0", 1360).unwrap();
    let stage = Plan { prepare: Some(small), ..Plan::default() }.build();
    assert_eq!(stage.mn.tunnel()["limit"], 1360 - 72);
    exchange_fragments(&stage);
}

/// Datagrams that the kernel cuts to fit the virtual interface.
fn exchange_fragments(stage: &Stage) {
    for (from, to) in [(&stage.mn, &stage.cn), (&stage.cn, &stage.mn)] {
        let (sender, receiver) = sockets(from, to);
        for round in 0..10 {
            let data: Vec<u8> = (0..5000).map(|at| (at % 239 + round) as u8).collect();
            sender.send(&data).unwrap();
            let mut buffer = [0; 6000];
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], data);
        }
    }
    stage.is_well();
}

fn a_connection_knows_how_much_fits() {
    fits(&Plan::default().build(), FITS);
}

fn an_interface_is_as_large_as_asked_for() {
    let stage = Plan { mn: "[interface]\nmtu = 1300\n", ..Plan::default() }.build();
    fits(&stage, 1300);
    assert_eq!(stage.mn.tunnel()["limit"], 1300);
    assert_eq!(stage.cn.tunnel()["limit"], FITS);
}

/// Connections between both ends take packets of this size.
fn fits(stage: &Stage, bytes: u32) {
    let [mn, cn] = stage.ends();
    let listener = cn.netns().run(|| TcpListener::bind(SocketAddr::new(cn.vip(), 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let client = mn.netns().run(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap());
    let (server, _) = listener.accept().unwrap();
    for end in [&client, &server] {
        let segment = getsockopt(end, sockopt::TcpMaxSeg).unwrap();
        // Headers of IPv4 and TCP, options of TCP.
        assert!((bytes - 40 - 40..=bytes - 40).contains(&segment), "{segment}");
    }
}

/// Somebody has made the interface larger than the tunnel.
fn senders_hear_of_what_is_too_large() {
    let stage = Plan::default().build();
    for end in stage.ends() {
        end.netns().netlink().set_mtu("ntm0", 1500).unwrap();
    }
    download(&stage.cn, &stage.mn, 2 << 20);
    assert!(unreachable(&stage.cn) > 0, "TCP begins with what fits its own link");
    let (sender, receiver) = sockets(&stage.mn, &stage.cn);
    // Linux forbids fragments of what fits its own link, until it knows better.
    let data: Vec<u8> = (0..1472_u32).map(|at| at as u8).collect();
    assert_eq!(unreachable(&stage.mn), 0);
    sender.send(&data).unwrap();
    until("it is answered", PATIENCE, || Ok((unreachable(&stage.mn) > 0).then_some(()))).unwrap();
    assert_eq!(sender.send(&data).unwrap_err().raw_os_error(), Some(Errno::EMSGSIZE as i32));
    sender.send(&[1]).unwrap();
    sender.send(&data).unwrap();
    let mut buffer = [0; 1500];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 1, "the large one did not arrive");
    let length = receiver.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], data, "now in fragments");
    stage.is_well();
}

/// The interface gives more than the real network takes with a tunnel's overhead.
fn a_network_with_small_packets_is_crossed() {
    let small: fn(&Netns) = |machine| machine.netlink().set_mtu("eth0", 1360).unwrap();
    let stage = Plan { prepare: Some(small), ..Plan::default() }.build();
    download(&stage.cn, &stage.mn, 2 << 20);
    download(&stage.mn, &stage.cn, 2 << 20);
    stage.is_well();
}

/// How many ICMP messages of that kind a machine has got.
fn unreachable(end: &End) -> u64 {
    let text = end.netns().run(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "InDestUnreachs").unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}
