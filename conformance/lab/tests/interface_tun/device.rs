use std::env;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use ntm_core::plugin::{
    Addr, Fault, Interface as _, InterfaceSettings, Lane, PluginError, RxSlot, TxPacket,
};
use ntm_interface_tun::{Config, SuperPackets, Tun};
use ntm_lab::Netns;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::common::{
    EVERY, LIMIT, NOW, configure, device, finish, in_a_namespace, readable, settings,
};

ntm_lab::trials![
    a_packet_into_the_range_comes_out_and_its_answer_reaches_the_sender,
    packets_come_out_in_order_until_there_are_none,
    a_burst_waits_for_a_worker_that_is_away,
    a_lane_of_an_interface_that_is_down_refuses_and_recovers,
    queues_together_get_every_flow,
    the_interface_gets_what_was_asked_for_and_nothing_else,
    configuring_again_replaces_the_settings,
    settings_that_fail_leave_the_old_ones,
    without_ipv6_the_node_goes_on_with_ipv4_and_says_so,
    closing_removes_the_interface_and_ends_its_lanes,
    the_end_of_the_process_removes_the_interface,
    a_name_in_use_is_refused,
    a_missing_device_node_is_named_with_a_remedy,
    a_missing_permission_is_named_with_a_remedy,
];

// Packets.

fn a_packet_into_the_range_comes_out_and_its_answer_reaches_the_sender() {
    in_a_namespace("both_ways", |_| {
        for offload in EVERY {
            let tun = device(offload, 1, &settings("198.18.0.5", "fd18::5"));
            let lane = tun.lanes().remove(0);
            for (own, peer) in [("198.18.0.5", "198.18.77.9:4000"), ("fd18::5", "[fd18::99]:4000")]
            {
                let peer: SocketAddr = peer.parse().unwrap();
                let socket = UdpSocket::bind((own, 0)).unwrap();
                socket.send_to(b"question", peer).unwrap();
                let mut packet = next_udp(&*lane);
                assert_eq!(ends(&packet), (socket.local_addr().unwrap(), peer));
                assert!(packet.ends_with(b"question"));
                turn_round(&mut packet);
                assert_eq!(lane.try_send(&[TxPacket::new(&packet, Addr::NONE)]).unwrap(), 1);
                assert_eq!(receive(&socket), (b"question".to_vec(), peer));
            }
        }
    });
}

fn packets_come_out_in_order_until_there_are_none() {
    in_a_namespace("order", |_| {
        for offload in EVERY {
            let tun = device(offload, 1, &settings("198.18.0.5", ""));
            let lane = tun.lanes().remove(0);
            assert!(never_blocks(&*lane) && !readable(&*lane, NOW));
            let socket = UdpSocket::bind("198.18.0.5:0").unwrap();
            for number in 0..100_u8 {
                socket.send_to(&[number], "198.18.0.9:9").unwrap();
            }
            let mut buffers = vec![vec![0; 2048]; 64];
            let mut numbers = Vec::new();
            while readable(&*lane, NOW) {
                let mut slots: Vec<_> = buffers.iter_mut().map(|it| RxSlot::new(it)).collect();
                let filled = lane.try_recv(&mut slots).unwrap();
                assert!(slots[..filled].iter().all(|slot| slot.segment == 0));
                numbers.extend(slots[..filled].iter().map(|slot| *slot.filled().last().unwrap()));
            }
            assert_eq!(numbers, Vec::from_iter(0..100));
            let nothing = lane.try_recv(&mut [RxSlot::new(&mut buffers[0])]);
            assert_eq!(nothing.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        }
    });
}

fn a_burst_waits_for_a_worker_that_is_away() {
    in_a_namespace("burst", |_| {
        let tun = device(SuperPackets::None, 1, &settings("198.18.0.5", ""));
        let lane = tun.lanes().remove(0);
        // What one socket may have under way would not fill a queue.
        for number in 0..40_u8 {
            let socket = UdpSocket::bind("198.18.0.5:0").unwrap();
            for _ in 0..100 {
                socket.send_to(&[number], "198.18.0.9:9").unwrap();
            }
        }
        let mut buffer = [0; 2048];
        let mut waited = 0;
        while readable(&*lane, NOW) {
            waited += lane.try_recv(&mut [RxSlot::new(&mut buffer)]).unwrap();
        }
        assert_eq!(waited, 4_000);
    });
}

fn a_lane_of_an_interface_that_is_down_refuses_and_recovers() {
    in_a_namespace("down", |_| {
        for offload in EVERY {
            let tun = Tun::open(Config { offload, ..Config::default() }, 1).unwrap();
            let lane = tun.lanes().remove(0);
            assert!(lane.try_send(&[TxPacket::new(&[0x45; 40], Addr::NONE)]).is_err());
            configure(&tun, &settings("198.18.0.5", "")).unwrap();
            // What is no IP packet is refused, what comes behind it is not.
            let nonsense = [0xff; 40];
            let socket = UdpSocket::bind("198.18.0.5:0").unwrap();
            socket.send_to(b"good", "198.18.0.9:9").unwrap();
            let mut good = next_udp(&*lane);
            turn_round(&mut good);
            let packets = [&good[..], &nonsense, &good].map(|it| TxPacket::new(it, Addr::NONE));
            assert_eq!(lane.try_send(&packets).unwrap(), 1);
            assert!(lane.try_send(&packets[1..]).is_err());
            assert_eq!(lane.try_send(&packets[2..]).unwrap(), 1);
            assert_eq!((receive(&socket).0, receive(&socket).0), (b"good".into(), b"good".into()));
        }
    });
}

fn queues_together_get_every_flow() {
    in_a_namespace("queues", |_| {
        for offload in EVERY {
            let tun = device(offload, 2, &settings("198.18.0.5", ""));
            assert!(tun.facts().contains(&("queues".into(), "2".into())));
            for port in 1..=64 {
                let socket = UdpSocket::bind("198.18.0.5:0").unwrap();
                socket.send_to(b"", ("198.18.0.9", port)).unwrap();
            }
            let mut ports = Vec::new();
            for lane in tun.lanes() {
                assert!(never_blocks(&*lane));
                let before = ports.len();
                while readable(&*lane, NOW) {
                    ports.push(ends(&next_udp(&*lane)).1.port());
                }
                assert!(ports.len() > before, "a queue got none of 64 flows");
            }
            ports.sort_unstable();
            assert_eq!(ports, Vec::from_iter(1..=64));
        }
    });
}

// Settings.

fn the_interface_gets_what_was_asked_for_and_nothing_else() {
    in_a_namespace("settings", |ns| {
        let tun = configured(&settings("198.18.0.5", "fd18::5"));
        assert_eq!(tun.name(), "ntm0");
        let shown = ns.netlink().interface("ntm0").unwrap();
        assert_eq!((shown.index, shown.mtu, shown.up), (tun.ifindex(), 1400, true));
        assert_eq!(addresses(ns), ["198.18.0.5/16", "fd18::5/64"]);
        assert!(ns.netlink().addresses("ntm0").unwrap().iter().all(|it| it.usable));
        assert_eq!(routes(ns, tun.ifindex()), ["198.18.0.0/16", "fd18::/64"]);
    });
}

fn configuring_again_replaces_the_settings() {
    in_a_namespace("again", |ns| {
        let tun = configured(&settings("198.18.0.5", "fd18::5"));
        let other = InterfaceSettings {
            ranges: vec!["198.18.0.0/15".parse().unwrap(), "fd19::/48".parse().unwrap()],
            mtu: 1300,
            ..settings("198.18.0.6", "")
        };
        configure(&tun, &other).unwrap();
        assert_eq!(addresses(ns), ["198.18.0.6/15"]);
        assert_eq!(routes(ns, tun.ifindex()), ["198.18.0.0/15", "fd19::/48"]);
        assert_eq!(ns.netlink().interface("ntm0").unwrap().mtu, 1300);
        // The same address in a wider range, and back.
        configure(&tun, &settings("198.18.0.6", "fd18::5")).unwrap();
        assert_eq!(addresses(ns), ["198.18.0.6/16", "fd18::5/64"]);
        let wider = InterfaceSettings {
            ranges: vec!["198.18.0.0/15".parse().unwrap(), "fd18::/48".parse().unwrap()],
            ..settings("198.18.0.6", "fd18::5")
        };
        configure(&tun, &wider).unwrap();
        assert_eq!(addresses(ns), ["198.18.0.6/15", "fd18::5/48"]);
        assert_eq!(routes(ns, tun.ifindex()), ["198.18.0.0/15", "fd18::/48"]);
    });
}

fn settings_that_fail_leave_the_old_ones() {
    in_a_namespace("failing", |ns| {
        let old = settings("198.18.0.5", "");
        let tun = configured(&old);
        let broken = InterfaceSettings { mtu: 20, ..settings("198.18.0.6", "") };
        let error = configure(&tun, &broken).unwrap_err();
        assert!(error.message.contains("MTU of 20 on ntm0"), "{error}");
        assert_eq!(addresses(ns), ["198.18.0.5/16"]);
        assert_eq!(ns.netlink().interface("ntm0").unwrap().mtu, 1400);
        let small = InterfaceSettings { mtu: 1000, ..settings("198.18.0.5", "fd18::5") };
        assert_eq!(configure(&tun, &small).unwrap_err().fault, Fault::Config);
        assert_eq!(addresses(ns), ["198.18.0.5/16"]);
    });
}

fn without_ipv6_the_node_goes_on_with_ipv4_and_says_so() {
    in_a_namespace("no_ipv6", |ns| {
        ns.set_sysctl("net.ipv6.conf.default.disable_ipv6", 1).unwrap();
        let tun = configured(&settings("198.18.0.5", "fd18::5"));
        assert_eq!(addresses(ns), ["198.18.0.5/16"]);
        let fact = tun.facts().into_iter().find(|(key, _)| key == "ipv6").unwrap().1;
        assert!(fact.contains("disable_ipv6"), "{fact}");
        let error = configure(&tun, &settings("", "fd18::5")).unwrap_err();
        assert_eq!(error.fault, Fault::Unsupported);
        assert!(error.remedy.contains("disable_ipv6"), "{error}");
        assert_eq!(addresses(ns), ["198.18.0.5/16"], "the old settings stay");
    });
}

// Beginning and end.

fn closing_removes_the_interface_and_ends_its_lanes() {
    in_a_namespace("close", |ns| {
        for lanes in [1, 2] {
            let tun = open("ntm0", lanes).unwrap();
            configure(&tun, &settings("198.18.0.5", "fd18::5")).unwrap();
            let lane = tun.lanes().remove(0);
            thread::scope(|scope| {
                let worker = scope.spawn(|| wait_for_the_end(&*lane));
                finish(tun.close());
                worker.join().unwrap();
            });
            assert!(ns.netlink().interface("ntm0").is_err());
            assert!(lane.try_send(&[TxPacket::new(&[0x45; 40], Addr::NONE)]).is_err());
            assert!(configure(&tun, &settings("198.18.0.5", "")).is_err());
            finish(tun.close());
        }
        drop(open("ntm0", 1).unwrap());
        assert!(ns.netlink().interface("ntm0").is_err(), "dropping removes it as well");
    });
}

fn the_end_of_the_process_removes_the_interface() {
    in_a_namespace("killed", |ns| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(HOLDER, "").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = ns.spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "configured\n");
        assert_eq!(addresses(ns), ["198.18.0.5/16"]);
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(ns.netlink().interface("ntm0").is_err());
    });
}

fn a_name_in_use_is_refused() {
    in_a_namespace("busy", |_| {
        let _first = open("ntm0", 1).unwrap();
        for name in ["ntm0", "lo"] {
            for lanes in [1, 2] {
                let error = open(name, lanes).err().unwrap();
                assert_eq!((error.fault, error.key.as_deref()), (Fault::Busy, Some("name")));
                assert!(error.message.contains(name) && !error.remedy.is_empty(), "{error}");
            }
        }
    });
}

fn a_missing_device_node_is_named_with_a_remedy() {
    in_a_namespace("missing", |_| {
        // A view of the files for this thread alone.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("none"), "/dev/net", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        for lanes in [1, 2] {
            let error = open("ntm0", lanes).err().unwrap();
            assert_eq!(error.fault, Fault::Missing);
            assert!(error.message.contains("/dev/net/tun"), "{error}");
            assert!(error.remedy.contains("modprobe tun"), "{error}");
        }
    });
}

fn a_missing_permission_is_named_with_a_remedy() {
    in_a_namespace("forbidden", |ns| {
        let ours = open("ntm0", 1).unwrap();
        // Of this thread alone, and it ends with the test.
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        for lanes in [1, 2] {
            let error = open("ntm1", lanes).err().unwrap();
            assert_eq!(error.fault, Fault::Permission);
            assert!(error.remedy.contains("CAP_NET_ADMIN"), "{error}");
        }
        let error = configure(&ours, &settings("198.18.0.5", "")).unwrap_err();
        assert_eq!(error.fault, Fault::Permission);
        assert!(error.remedy.contains("CAP_NET_ADMIN"), "{error}");
        assert!(!ns.netlink().interface("ntm0").unwrap().up);
    });
}

/// Set where this program is only to hold an interface until it is killed.
pub(crate) const HOLDER: &str = "NTM_TUN_HOLDER";

pub(crate) fn hold() -> ExitCode {
    let _tun = configured(&settings("198.18.0.5", ""));
    std::io::stdout().write_all(b"configured\n").unwrap();
    // Its other end stays open until somebody ends us.
    let _ = std::io::stdin().read_line(&mut String::new());
    ExitCode::FAILURE
}

// Helpers.

fn open(name: &str, lanes: usize) -> Result<Tun, PluginError> {
    Tun::open(Config { name: Some(name.to_owned()), offload: SuperPackets::Full }, lanes)
}

fn configured(settings: &InterfaceSettings) -> Tun {
    device(SuperPackets::Full, 1, settings)
}

fn addresses(ns: &Netns) -> Vec<String> {
    let found = ns.netlink().addresses("ntm0").unwrap();
    let mut texts: Vec<_> = found.iter().map(|address| address.net.to_string()).collect();
    texts.sort();
    texts
}

/// Where the interface leads. The kernel's multicast route is not in the
/// main table.
fn routes(ns: &Netns, ifindex: u32) -> Vec<String> {
    let found = ns.netlink().routes().unwrap();
    let ours = found.iter().filter(|route| route.index == ifindex);
    let mut texts: Vec<_> = ours.map(|route| route.to.to_string()).collect();
    texts.sort();
    texts
}

fn never_blocks(lane: &dyn Lane) -> bool {
    fcntl_getfl(lane.fd()).unwrap().contains(OFlags::NONBLOCK)
}

/// The next UDP packet: the kernel also announces multicast groups.
fn next_udp(lane: &dyn Lane) -> Vec<u8> {
    let mut buffer = [0; 2048];
    loop {
        assert!(readable(lane, LIMIT), "no packet came out");
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(lane.try_recv(std::slice::from_mut(&mut slot)).unwrap(), 1);
        let packet = slot.filled();
        let protocol = if packet[0] >> 4 == 4 { packet[9] } else { packet[6] };
        if protocol == 17 {
            return packet.to_vec();
        }
    }
}

/// Sleeps and reads until the lane answers with an error for good.
fn wait_for_the_end(lane: &dyn Lane) {
    let mut buffer = [0; 2048];
    loop {
        assert!(readable(lane, LIMIT), "the worker slept on");
        match lane.try_recv(&mut [RxSlot::new(&mut buffer)]) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => {}
        }
    }
}

/// Source and destination of a UDP packet.
fn ends(packet: &[u8]) -> (SocketAddr, SocketAddr) {
    let (ip, size) = layout(packet);
    let port = ip + 2 * size;
    let address = |at: usize| -> IpAddr {
        let bytes = &packet[at..at + size];
        match <[u8; 4]>::try_from(bytes) {
            Ok(v4) => v4.into(),
            Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
        }
    };
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let source = SocketAddr::new(address(ip), number(port));
    (source, SocketAddr::new(address(ip + size), number(port + 2)))
}

/// Makes a UDP packet its own answer. The checksums stay right: they do not
/// depend on the order of what they sum up.
fn turn_round(packet: &mut [u8]) {
    let (ip, size) = layout(packet);
    let (source, destination) = packet[ip..ip + 2 * size].split_at_mut(size);
    source.swap_with_slice(destination);
    let ports = ip + 2 * size;
    packet[ports..ports + 4].rotate_left(2);
}

/// Where the addresses begin and how long each is; the ports follow them.
fn layout(packet: &[u8]) -> (usize, usize) {
    if packet[0] >> 4 == 4 { (12, 4) } else { (8, 16) }
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..len].to_vec(), from)
}
