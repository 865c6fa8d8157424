//! Namespaces, and interfaces, addresses and routes in them.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use ntm_lab::Netns;

ntm_lab::trials![
    sockets_stay_in_the_namespace_they_were_opened_in,
    a_closure_that_panics_does_so_at_the_caller,
    a_name_is_taken_once_and_free_again_after_the_drop,
    the_name_leads_into_the_namespace,
    a_switch_is_set_in_one_namespace_only,
    a_veth_pair_carries_both_families_at_once,
    flushed_addresses_take_no_link_local_one_along,
    a_default_route_is_replaced_and_flushed,
    bridges_join_what_is_plugged_into_them,
    a_missing_interface_is_named,
    many_may_ask_at_once,
];

fn many_may_ask_at_once() {
    let a = Netns::new("a").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    a.netlink().addresses("lo").unwrap();
                    a.netlink().routes().unwrap();
                }
            });
        }
    });
}

fn sockets_stay_in_the_namespace_they_were_opened_in() {
    let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
    let listen = || TcpListener::bind("127.0.0.1:4330").unwrap();
    let _both = (a.run(listen), b.run(listen), listen());
    assert!(a.run(|| TcpListener::bind("127.0.0.1:4330")).is_err(), "the port is taken there");
}

fn a_closure_that_panics_does_so_at_the_caller() {
    let a = Netns::new("a").unwrap();
    let caught = thread::spawn(move || a.run(|| panic!("of the test"))).join();
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "of the test");
}

fn a_name_is_taken_once_and_free_again_after_the_drop() {
    let first = Netns::new("once").unwrap();
    let refusal = Netns::new("once").unwrap_err().to_string();
    assert!(refusal.contains("/run/netns/once"), "{refusal}");
    assert!(fs::exists("/run/netns/once").unwrap(), "a refusal leaves the first alone");
    drop(first);
    assert!(!fs::exists("/run/netns/once").unwrap());
    Netns::new("once").unwrap();
    assert!(Netns::new("../once").is_err());
}

fn the_name_leads_into_the_namespace() {
    let a = Netns::new("a").unwrap();
    a.set_sysctl("net.ipv4.ip_forward", 1).unwrap();
    // Where `ip` is installed, people look around with it.
    let look = Command::new("ip")
        .args(["netns", "exec", "a", "cat", "/proc/sys/net/ipv4/ip_forward"])
        .stderr(Stdio::inherit())
        .output();
    match look {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n"),
        Err(_) => println!("`ip` is not installed: not looked at"),
    }
}

fn a_switch_is_set_in_one_namespace_only() {
    let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
    a.set_sysctl("net.ipv4.ip_forward", 1).unwrap();
    assert_eq!(a.sysctl("net.ipv4.ip_forward").unwrap(), "1");
    assert_eq!(b.sysctl("net.ipv4.ip_forward").unwrap(), "0");
    assert!(a.set_sysctl("net.ipv4.no_such_switch", 1).is_err());
}

fn a_veth_pair_carries_both_families_at_once() {
    let (a, b) = pair();
    for (mine, peer) in [("10.0.0.1", "10.0.0.2:9"), ("[fd00::1]", "[fd00::2]:9")] {
        let server = b.run(|| UdpSocket::bind(peer)).unwrap();
        let client = a.run(|| UdpSocket::bind(format!("{mine}:0"))).unwrap();
        client.send_to(b"hello", peer).unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        assert_eq!(server.recv_from(&mut [0; 16]).unwrap().0, 5);
    }
}

fn flushed_addresses_take_no_link_local_one_along() {
    let (a, _b) = pair();
    let link_local = |netns: &Netns| {
        let all = netns.netlink().addresses("eth0").unwrap();
        let (local, other): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.link_local);
        (local.len(), other.iter().map(|a| a.net.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(link_local(&a), (1, vec!["10.0.0.1/24".to_owned(), "fd00::1/64".to_owned()]));
    a.netlink().flush_addresses("eth0").unwrap();
    assert_eq!(link_local(&a), (1, vec![]));
}

fn a_default_route_is_replaced_and_flushed() {
    let (a, _b) = pair();
    let defaults = || {
        let routes = a.netlink().routes().unwrap();
        routes
            .iter()
            .filter(|r| r.is_default())
            .map(|r| r.via.unwrap().to_string())
            .collect::<Vec<_>>()
    };
    for via in ["10.0.0.2", "fd00::2", "10.0.0.3", "fd00::3"] {
        a.netlink().add_default_route(via.parse().unwrap(), "eth0", 100).unwrap();
    }
    assert_eq!(defaults(), ["10.0.0.3", "fd00::3"]);
    a.netlink().flush_routes("eth0").unwrap();
    assert!(defaults().is_empty());
    let on_link = a.netlink().routes().unwrap();
    assert!(on_link.iter().any(|r| r.to.to_string() == "10.0.0.0/24"), "{on_link:?}");
}

fn bridges_join_what_is_plugged_into_them() {
    let middle = Netns::new("middle").unwrap();
    middle.netlink().add_bridge("br0").unwrap();
    let ends = ["10.0.0.1/24", "10.0.0.2/24"].map(|address| {
        let end = Netns::new(address.split('/').next().unwrap()).unwrap();
        let port = format!("p{}", end.name());
        middle.netlink().add_veth(&port, "eth0", &end).unwrap();
        middle.netlink().set_bridge(&port, Some("br0")).unwrap();
        middle.netlink().set_up(&port).unwrap();
        end.netlink().set_up("eth0").unwrap();
        end.netlink().add_address("eth0", address.parse().unwrap()).unwrap();
        end
    });
    let server = ends[1].run(|| TcpListener::bind("10.0.0.2:9")).unwrap();
    ends[0].run(|| std::net::TcpStream::connect("10.0.0.2:9")).unwrap();
    server.accept().unwrap();
}

fn a_missing_interface_is_named() {
    let a = Netns::new("a").unwrap();
    let refusal = a.netlink().set_up("eth7").unwrap_err().to_string();
    assert!(refusal.contains("eth7"), "{refusal}");
}

/// Two namespaces with an `eth0` each and a wire between.
fn pair() -> (Netns, Netns) {
    let (a, b) = (Netns::new("a").unwrap(), Netns::new("b").unwrap());
    a.netlink().add_veth("eth0", "eth0", &b).unwrap();
    for (netns, address) in
        [(&a, "10.0.0.1/24"), (&a, "fd00::1/64"), (&b, "10.0.0.2/24"), (&b, "fd00::2/64")]
    {
        netns.netlink().set_up("eth0").unwrap();
        netns.netlink().add_address("eth0", address.parse().unwrap()).unwrap();
    }
    (a, b)
}
