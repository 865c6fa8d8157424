//! The transport plugin `udp` between two machines that share two links: what
//! loopback cannot show.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
#[allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod linux {
    use std::io::Write as _;
    use std::net::{IpAddr, SocketAddr};
    use std::process::{Command, ExitCode, Stdio};

    use libtest_mimic::{Arguments, Trial};
    use ntm_core::plugin::{RxSlot, Transport as _, TxPacket};
    use ntm_lab::{Netns, sandbox};
    use ntm_transport_udp::{Config, Udp};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    macro_rules! trials {
        ($($test:ident),* $(,)?) => {
            vec![$(Trial::test(stringify!($test), || {
                $test();
                Ok(())
            })),*]
        };
    }

    pub(super) fn main() -> ExitCode {
        sandbox::enter();
        let trials = trials![
            a_pinned_interface_is_the_one_it_leaves_by,
            a_socket_for_the_whole_machine_moves_with_the_addresses,
            what_does_not_fit_the_link_is_named_and_gso_stays,
            an_address_without_a_route_is_named,
            a_datagram_that_the_firewall_stops_is_named,
        ];
        libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
    }

    fn a_pinned_interface_is_the_one_it_leaves_by() {
        let net = Net::new("pin");
        // A neighbour is asked for on one link and answers there alone.
        for link in ["left", "right"] {
            net.there.netlink().add_address(link, "fd01::50/64".parse().unwrap()).unwrap();
        }
        for (host, own) in [("10.0.0.12", "10.0.0.2"), ("fd01::50", "fd01::2")] {
            for (link, source) in [("left", None), ("right", None), ("right", Some(own))] {
                let to = net.peer_at(host);
                let mut packet = TxPacket::run(b"aab", 2, to.into());
                packet.ifindex = net.here.netlink().index(link).unwrap();
                packet.ecn = 2;
                if let Some(source) = source {
                    packet.local = source.parse::<IpAddr>().unwrap().into();
                }
                net.send(&[packet]).unwrap();
                let arrived = net.receive(2);
                let expected = net.there.netlink().index(link).unwrap();
                assert!(arrived.iter().all(|got| got.ifindex == expected), "by {link} to {host}");
                assert!(arrived.iter().all(|got| got.ecn == 2));
                if let Some(source) = source {
                    assert_eq!(arrived[0].from.ip().to_string(), source);
                }
            }
        }
    }

    fn a_socket_for_the_whole_machine_moves_with_the_addresses() {
        let net = Net::new("move");
        let netlink = net.here.netlink();
        let to = net.peer_at("10.0.0.11");
        net.send(&[TxPacket::new(b"before", to.into())]).unwrap();
        assert_eq!(net.receive(1)[0].from.ip().to_string(), "10.0.0.1");
        netlink.flush_addresses("left").unwrap();
        netlink.add_address("left", "10.0.0.77/24".parse().unwrap()).unwrap();
        netlink.set_down("right").unwrap();
        let mut packet = TxPacket::new(b"after", to.into());
        net.send(&[packet]).unwrap();
        assert_eq!(net.receive(1)[0].from.ip().to_string(), "10.0.0.77");
        // A pin to what is gone costs a second try, not the datagram.
        packet.local = "10.0.0.1".parse::<IpAddr>().unwrap().into();
        net.send(&[packet]).unwrap();
        assert_eq!(net.receive(1)[0].from.ip().to_string(), "10.0.0.77");
    }

    fn what_does_not_fit_the_link_is_named_and_gso_stays() {
        let net = Net::new("large");
        let facts = net.sender.facts();
        let data = [7; 4_000];
        for (host, fits) in [("10.0.0.11", 1_472), ("fd01::11", 1_452)] {
            let to = net.peer_at(host).into();
            let errno = |packet| Errno::from_io_error(&net.send(&[packet]).unwrap_err());
            let single = TxPacket::new(&data[..usize::from(fits) + 1], to);
            assert_eq!(errno(single), Some(Errno::MSGSIZE), "nothing is fragmented");
            assert_eq!(errno(TxPacket::run(&data, fits + 1, to)), Some(Errno::MSGSIZE));
            net.send(&[TxPacket::run(&data, fits, to)]).unwrap();
            let lengths: Vec<_> = net.receive(3).iter().map(|got| got.len).collect();
            let fits = usize::from(fits);
            assert_eq!(lengths, [fits, fits, 4_000 - 2 * fits]);
        }
        assert_eq!(net.sender.facts(), facts);
    }

    fn an_address_without_a_route_is_named() {
        let net = Net::new("no_route");
        let good = TxPacket::run(b"aab", 2, net.peer_at("10.0.0.11").into());
        for to in ["192.0.2.1:9", "[2001:db8::1]:9"] {
            let to: SocketAddr = to.parse().unwrap();
            let mut batch = [good; 9];
            batch[4] = TxPacket::run(b"lost", 2, to.into());
            assert_eq!(net.send(&batch).unwrap(), 4);
            let error = net.send(&batch[4..]).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::NETUNREACH));
            assert_eq!(net.send(&batch[5..]).unwrap(), 4);
            net.receive(8 * 2);
        }
    }

    fn a_datagram_that_the_firewall_stops_is_named() {
        let net = Net::new("firewall");
        let rules = "table inet t { chain c { type filter hook output priority 0;\n\
            udp dport 4331 drop;\n}\n}\n";
        net.configure("nft", &["-f", "-"], rules);
        let mut stopped = net.peer_at("10.0.0.11");
        stopped.set_port(4331);
        let open = TxPacket::new(b"open", net.peer_at("10.0.0.11").into());
        let stopped = TxPacket::run(b"aab", 2, stopped.into());
        assert_eq!(net.send(&[open, stopped, open]).unwrap(), 1);
        let error = net.send(&[stopped, open]).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::PERM));
        net.send(&[open]).unwrap();
        assert_eq!(net.receive(2).len(), 2);
    }

    /// Two machines on two links, `left` and `right`, which carry the same
    /// subnets: an address alone does not say by which link it is reached.
    struct Net {
        here: Netns,
        there: Netns,
        sender: Udp,
        receiver: Udp,
    }

    /// A received datagram.
    struct Got {
        len: usize,
        from: SocketAddr,
        ifindex: u32,
        ecn: u8,
    }

    impl Net {
        fn new(name: &str) -> Self {
            let here = Netns::new(&format!("{name}-here")).unwrap();
            let there = Netns::new(&format!("{name}-there")).unwrap();
            for (number, link) in [(1, "left"), (2, "right")] {
                here.netlink().add_veth(link, link, &there).unwrap();
                for (netlink, host) in [(here.netlink(), number), (there.netlink(), 10 + number)] {
                    netlink.set_up(link).unwrap();
                    let v4 = format!("10.0.0.{host}/24").parse().unwrap();
                    let v6 = format!("fd01::{host}/64").parse().unwrap();
                    netlink.add_address(link, v4).unwrap();
                    netlink.add_address(link, v6).unwrap();
                }
            }
            let open = |ns: &Netns| ns.run(|| Udp::open(Config::default(), 1).unwrap());
            Self { sender: open(&here), receiver: open(&there), here, there }
        }

        fn peer_at(&self, host: &str) -> SocketAddr {
            SocketAddr::new(host.parse().unwrap(), self.receiver.local_addrs()[0].port())
        }

        fn send(&self, packets: &[TxPacket<'_>]) -> std::io::Result<usize> {
            self.sender.lanes()[0].try_send(packets)
        }

        /// Waits for this many datagrams.
        fn receive(&self, count: usize) -> Vec<Got> {
            let lane = self.receiver.lanes().remove(0);
            let mut buffer = vec![0; 65_535];
            let mut all = Vec::new();
            while all.len() < count {
                let fd = lane.fd();
                let mut polled = [PollFd::new(&fd, PollFlags::IN)];
                poll(&mut polled, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap();
                assert!(!polled[0].revents().is_empty(), "{} of {count} arrived", all.len());
                let mut slot = RxSlot::new(&mut buffer);
                lane.try_recv(std::slice::from_mut(&mut slot)).unwrap();
                let from = slot.remote.socket().unwrap();
                let (ifindex, ecn) = (slot.ifindex, slot.ecn);
                all.extend(slot.segments().map(|it| Got { len: it.len(), from, ifindex, ecn }));
            }
            assert_eq!(all.len(), count);
            all
        }

        /// Runs a program of the system here, with this input.
        fn configure(&self, program: &str, arguments: &[&str], input: &str) {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::piped());
            let mut child = self.here.spawn(&mut command).unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{program} refused {input}");
        }
    }
}
