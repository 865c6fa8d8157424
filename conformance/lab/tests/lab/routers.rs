//! Routers that translate: the kernel's and the emulator's pass the same tests.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ntm_lab::nat::{Backend, Side};
use ntm_lab::traffic::{Download, round_trip};
use ntm_lab::{Fabric, Family, Nat, Netns, Router, Tools};

ntm_lab::trials![
    the_backend_is_the_kernel_where_nft_is_and_else_the_emulator,
    a_cone_keeps_the_port_for_every_destination,
    a_symmetric_router_shows_each_destination_another_port,
    only_who_was_written_to_may_answer,
    unsolicited_packets_get_no_answer_and_take_no_port_away,
    two_hosts_with_the_same_port_reach_the_same_server,
    a_router_that_forgets_lets_answers_in_only_after_new_questions,
    a_mapping_dies_of_silence,
    errors_cross_in_both_directions,
    echoes_cross,
    tcp_crosses_intact,
    dropped_packets_are_those_that_match,
    a_router_without_translation_shows_inner_addresses,
];

const MS: Duration = Duration::from_millis(1);

fn the_backend_is_the_kernel_where_nft_is_and_else_the_emulator() {
    let net = Network::new(Nat::Cone, &Tools::none());
    assert_eq!(net.router.backend(), Some(Backend::Emulator));
    drop(net);
    if Tools::detect().nft.is_some() {
        let net = Network::new(Nat::Cone, &Tools::detect());
        assert_eq!(net.router.backend(), Some(Backend::Kernel));
    }
}

fn a_cone_keeps_the_port_for_every_destination() {
    each(Nat::Cone, |net, family| {
        let host = net.socket(&net.hosts[0], family, 4330);
        for server in 0..2 {
            let seen = net.question(&host, &net.server(server, family, 53));
            assert_eq!(seen, SocketAddr::new(net.outer(family), 4330));
        }
    });
}

fn a_symmetric_router_shows_each_destination_another_port() {
    each(Nat::Symmetric, |net, family| {
        let host = net.socket(&net.hosts[0], family, 4330);
        let seen = [0, 1].map(|server| net.question(&host, &net.server(server, family, 53)));
        assert!(seen.iter().all(|seen| seen.ip() == net.outer(family)), "{seen:?}");
        assert_ne!(seen[0].port(), seen[1].port());
        let again = net.question(&host, &net.server(0, family, 53));
        assert_eq!(again, seen[0], "a mapping stays");
    });
}

fn only_who_was_written_to_may_answer() {
    each(Nat::Cone, |net, family| {
        let host = net.socket(&net.hosts[0], family, 4330);
        let asked = net.server(0, family, 53);
        let seen = net.question(&host, &asked);
        for stranger in [net.server(1, family, 53), net.server(0, family, 54)] {
            stranger.send_to(b"stranger", seen).unwrap();
        }
        asked.send_to(b"answer", seen).unwrap();
        assert_eq!(heard(&host), Some("answer".to_owned()));
        assert_eq!(heard_soon(&host), None);
    });
}

fn unsolicited_packets_get_no_answer_and_take_no_port_away() {
    each(Nat::Cone, |net, family| {
        let server = net.server(0, family, 53);
        let outer = SocketAddr::new(net.outer(family), 4330);
        server.connect(outer).unwrap();
        server.send(b"anybody there?").unwrap();
        // An ICMP error would show as "connection refused".
        let error = soon(&server, |server| server.recv(&mut [0; 16])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        let host = net.socket(&net.hosts[0], family, 4330);
        drop(server);
        assert_eq!(net.question(&host, &net.server(0, family, 53)), outer);
    });
}

fn two_hosts_with_the_same_port_reach_the_same_server() {
    each(Nat::Cone, |net, family| {
        let server = net.server(0, family, 53);
        let hosts = [0, 1].map(|host| net.socket(&net.hosts[host], family, 4330));
        let seen = hosts.each_ref().map(|host| net.question(host, &server));
        assert_ne!(seen[0], seen[1]);
        for (host, seen) in hosts.iter().zip(seen) {
            let answer = seen.to_string();
            server.send_to(answer.as_bytes(), seen).unwrap();
            assert_eq!(heard(host), Some(answer));
        }
    });
}

fn a_router_that_forgets_lets_answers_in_only_after_new_questions() {
    each(Nat::Symmetric, |net, family| {
        let host = net.socket(&net.hosts[0], family, 4330);
        let server = net.server(0, family, 53);
        let seen = net.question(&host, &server);
        net.router.forget().unwrap();
        server.send_to(b"late", seen).unwrap();
        assert_eq!(heard_soon(&host), None);
        let anew = net.question(&host, &server);
        server.send_to(b"answer", anew).unwrap();
        assert_eq!(heard(&host), Some("answer".to_owned()));
    });
}

fn a_mapping_dies_of_silence() {
    each(Nat::Cone, |net, family| {
        net.router.set_udp_timeout(1000 * MS).unwrap();
        let host = net.socket(&net.hosts[0], family, 4330);
        let server = net.server(0, family, 53);
        let seen = net.question(&host, &server);
        std::thread::sleep(1200 * MS);
        server.send_to(b"late", seen).unwrap();
        assert_eq!(heard_soon(&host), None);
    });
}

fn errors_cross_in_both_directions() {
    each(Nat::Symmetric, |net, family| {
        let host = net.socket(&net.hosts[0], family, 4330);
        let server = net.server(0, family, 53);
        let seen = net.question(&host, &server);
        // To the host: nobody listens at the server.
        let closed = SocketAddr::new(server.local_addr().unwrap().ip(), 54);
        let asker = net.socket(&net.hosts[0], family, 0);
        asker.connect(closed).unwrap();
        asker.send(b"hello").unwrap();
        assert_eq!(asker.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // To the server: the host has gone, its mapping has not.
        drop(host);
        server.connect(seen).unwrap();
        server.send(b"hello").unwrap();
        assert_eq!(server.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

fn echoes_cross() {
    use socket2::{Domain, Protocol, Socket, Type};
    each(Nat::Cone, |net, family| {
        let server = net.server(0, family, 53).local_addr().unwrap().ip();
        let (domain, protocol, request) = match server {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
        };
        let host = &net.hosts[0];
        host.set_sysctl("net.ipv4.ping_group_range", "0 0").unwrap();
        let socket = host.run(|| Socket::new(domain, Type::DGRAM, Some(protocol))).unwrap();
        socket.set_read_timeout(Some(2000 * MS)).unwrap();
        let mut message = vec![request, 0, 0, 0, 0, 0, 0, 1];
        message.extend(b"are you there?");
        socket.send_to(&message, &SocketAddr::new(server, 0).into()).unwrap();
        let mut answer = [std::mem::MaybeUninit::uninit(); 64];
        assert_eq!(socket.recv(&mut answer).unwrap(), message.len());
    });
}

fn tcp_crosses_intact() {
    each(Nat::Symmetric, |net, family| {
        let address = net.server(0, family, 53).local_addr().unwrap().ip();
        let transfer = Download::of(16 << 20).run(&net.servers, address, &net.hosts[0]).unwrap();
        assert!(transfer.intact, "{transfer:?}");
    });
}

fn dropped_packets_are_those_that_match() {
    let tools = Tools::detect();
    let net = Network::new(Nat::Cone, &tools);
    if tools.nft.is_none() {
        let refusal = net.router.drop_matching("udp dport 53").unwrap_err().to_string();
        assert!(refusal.contains("install nftables"), "{refusal}");
        return;
    }
    for family in Family::BOTH {
        let host = net.socket(&net.hosts[0], family, 4330);
        let [dropped, passing] = [53, 54].map(|port| net.server(0, family, port));
        net.router.drop_matching("udp dport 53").unwrap();
        host.send_to(b"hello", dropped.local_addr().unwrap()).unwrap();
        net.question(&host, &passing);
        assert_eq!(heard_soon(&dropped), None);
        net.router.drop_nothing().unwrap();
        net.question(&host, &dropped);
    }
    assert!(net.router.drop_matching("no such expression").is_err());
}

fn a_router_without_translation_shows_inner_addresses() {
    let net = Network::with(None, &Tools::none());
    for family in Family::BOTH {
        let host = net.socket(&net.hosts[0], family, 4330);
        let seen = net.question(&host, &net.server(0, family, 53));
        assert_eq!(seen, host.local_addr().unwrap());
        round_trip(
            &net.hosts[0],
            &net.servers,
            net.server(1, family, 0).local_addr().unwrap().ip(),
            1,
        )
        .unwrap();
    }
}

/// Runs a test for both backends, as far as they are here, and both families.
fn each(nat: Nat, test: impl Fn(&Network, Family)) {
    for tools in [Tools::none(), Tools::detect()] {
        let net = Network::new(nat, &tools);
        println!("{}", net.router.backend().unwrap());
        for family in Family::BOTH {
            test(&net, family);
        }
    }
}

/// Two hosts behind a router, and outside a machine with two addresses a family.
struct Network {
    router: Router,
    hosts: [Netns; 2],
    servers: Netns,
}

impl Network {
    fn new(nat: Nat, tools: &Tools) -> Self {
        Self::with(Some(nat), tools)
    }

    fn with(nat: Option<Nat>, tools: &Tools) -> Self {
        let fabric = Fabric::new("fabric").unwrap();
        let nets = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect();
        let lan = Side {
            segment: fabric.segment().unwrap(),
            addresses: nets(&["192.168.1.1/24", "fd00:1::1/64"]),
            gateways: Vec::new(),
        };
        let wan = Side {
            segment: fabric.segment().unwrap(),
            addresses: nets(&["203.0.113.1/24", "2001:db8::1/64"]),
            gateways: Vec::new(),
        };
        let router = Router::new(&fabric, "router", &lan, &wan, nat, tools).unwrap();
        let machine = |name: &str, side: &Side, addresses: &[&str], via: [&str; 2]| {
            let machine = Netns::new(name).unwrap();
            fabric.attach(&machine, "eth0", &side.segment).unwrap();
            for address in addresses {
                machine.netlink().add_address("eth0", address.parse().unwrap()).unwrap();
            }
            for via in via {
                machine.netlink().add_default_route(via.parse().unwrap(), "eth0", 1).unwrap();
            }
            machine
        };
        let inner = ["192.168.1.1", "fd00:1::1"];
        let hosts = [
            machine("host1", &lan, &["192.168.1.2/24", "fd00:1::2/64"], inner),
            machine("host2", &lan, &["192.168.1.3/24", "fd00:1::3/64"], inner),
        ];
        let addresses = ["203.0.113.8/24", "203.0.113.9/24", "2001:db8::8/64", "2001:db8::9/64"];
        let outer = ["203.0.113.1", "2001:db8::1"];
        let servers = machine("servers", &wan, &addresses, outer);
        Self { router, hosts, servers }
    }

    fn outer(&self, family: Family) -> IpAddr {
        self.router.outer_address(family).unwrap()
    }

    /// A socket at one of the two servers' addresses.
    fn server(&self, number: usize, family: Family, port: u16) -> UdpSocket {
        let address: IpAddr = match family {
            Family::V4 => [203, 0, 113, 8 + number as u8].into(),
            Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 8 + number as u16].into(),
        };
        bind(&self.servers, SocketAddr::new(address, port))
    }

    /// A socket of a host, on its inner address.
    fn socket(&self, host: &Netns, family: Family, port: u16) -> UdpSocket {
        let addresses = host.netlink().addresses("eth0").unwrap();
        let is = |address: &IpAddr| Family::from(*address) == family;
        let usable = addresses.iter().filter(|address| !address.link_local);
        let address = usable.map(|address| address.net.addr()).find(is).unwrap();
        bind(host, SocketAddr::new(address, port))
    }

    /// Sends from a host to a server, and returns from where it seems to come.
    fn question(&self, from: &UdpSocket, to: &UdpSocket) -> SocketAddr {
        from.send_to(b"question", to.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 64];
        let (length, seen) = to.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        seen
    }
}

fn bind(netns: &Netns, at: SocketAddr) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(5000 * MS)).unwrap();
    socket
}

/// What arrives next.
fn heard(socket: &UdpSocket) -> Option<String> {
    let mut buffer = [0; 64];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// What arrives within the time that nothing is given to arrive.
fn heard_soon(socket: &UdpSocket) -> Option<String> {
    soon(socket, heard)
}

fn soon<T>(socket: &UdpSocket, act: impl FnOnce(&UdpSocket) -> T) -> T {
    socket.set_read_timeout(Some(100 * MS)).unwrap();
    let result = act(socket);
    socket.set_read_timeout(Some(5000 * MS)).unwrap();
    result
}
