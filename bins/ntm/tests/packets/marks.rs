//! Congestion marks (RFC 6040) and classes of service (RFC 2983) on the way.

use std::fs;
use std::io::{IoSliceMut, Write as _};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use ntm_lab::scenario::until;
use ntm_lab::{Netns, Tools};
use serde_json::Value;

use crate::stage::{End, PATIENCE, Plan, Stage};
use crate::traffic::{download, sockets};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = Tools::find("nft").is_none();
    let tests: [(&str, fn()); 4] = [
        ("congestion_is_signalled_across_the_tunnel", signalled),
        ("who_cannot_see_congestion_loses_packets", dropped),
        ("congestion_reaches_tcp", reaches_tcp),
        ("the_class_of_service_is_shown_if_wanted", classes),
    ];
    let trial = |(name, test): (&str, fn())| {
        let trial = Trial::test(format!("marks::{name}"), move || {
            test();
            Ok(())
        });
        let why = if missing { "nft is not installed" } else { "" };
        trial.with_ignored_flag(missing).with_kind(why)
    };
    tests.into_iter().map(trial).collect()
}

const NOT_ECT: u8 = 0b00;
const ECT_1: u8 = 0b01;
const ECT_0: u8 = 0b10;
const CE: u8 = 0b11;
/// RFC 3246.
const EXPEDITED: u8 = 46 << 2;
const DATAGRAMS: usize = 20;

fn signalled() {
    let stage = Plan::default().build();
    let router = Router(stage.lab.core());
    let marks = [(NOT_ECT, "not_ect"), (ECT_1, "ect_1"), (ECT_0, "ect_0"), (CE, "ce")];
    for (mark, name) in marks {
        router.count("");
        assert_eq!(stage.marks(mark, DATAGRAMS), [mark; DATAGRAMS]);
        // The outer header shows what is inside.
        for (_, other) in marks {
            assert_eq!(router.saw(other), other == name, "{other} outside, {name} inside");
        }
    }
    router.count("ip ecn set ce");
    for mark in [ECT_1, ECT_0, CE] {
        assert_eq!(stage.marks(mark, DATAGRAMS), [CE; DATAGRAMS]);
    }
    stage.is_well();
}

fn dropped() {
    let stage = Plan::default().build();
    let router = Router(stage.lab.core());
    router.count("ip ecn set ce");
    let (sender, receiver) = sockets(&stage.mn, &stage.cn);
    send(&sender, NOT_ECT, DATAGRAMS);
    until("all are counted", PATIENCE, || {
        Ok((stage.cn.dropped("congested") == DATAGRAMS as u64).then_some(()))
    })
    .unwrap();
    assert!(router.saw("not_ect"));
    // What comes after them has nothing before it.
    send(&sender, ECT_0, 1);
    assert_eq!(receive(&receiver, 1), [CE]);
}

/// Some capsules of a fast flow are marked: its sender hears of it, and loses
/// nothing.
fn reaches_tcp() {
    let with_ecn: fn(&Netns) = |machine| machine.set_sysctl("net.ipv4.tcp_ecn", 1).unwrap();
    let stage = Plan { prepare: Some(with_ecn), ..Plan::default() }.build();
    let router = Router(stage.lab.core());
    router.count("ip ecn ect0 numgen inc mod 16 == 0 ip ecn set ce");
    download(&stage.cn, &stage.mn, 8 << 20);
    assert!(router.saw("ect_0"));
    assert!(delivered_with_congestion(&stage.cn) > 0);
    stage.is_well();
}

fn classes() {
    for (sections, shown) in [("", false), ("[tunnel]\ndscp = \"copy\"\n", true)] {
        let stage = Plan { mn: sections, ..Plan::default() }.build();
        let router = Router(stage.lab.core());
        router.count("");
        // What is inside is nobody's to change.
        assert_eq!(stage.marks(EXPEDITED | ECT_0, DATAGRAMS), [EXPEDITED | ECT_0; DATAGRAMS]);
        let seen = ["expedited", "some_class", "ect_0"].map(|counter| router.saw(counter));
        assert_eq!(seen, [shown, shown, true]);
    }
}

impl Stage {
    /// What arrives at CN as the second byte of the IP header of each datagram
    /// that MN sends with this one.
    fn marks(&self, byte: u8, datagrams: usize) -> Vec<u8> {
        let (sender, receiver) = sockets(&self.mn, &self.cn);
        send(&sender, byte, datagrams);
        receive(&receiver, datagrams)
    }
}

fn send(sender: &UdpSocket, byte: u8, datagrams: usize) {
    setsockopt(sender, sockopt::Ipv4Tos, &i32::from(byte)).unwrap();
    for _ in 0..datagrams {
        sender.send(&[0; 1200]).unwrap();
    }
}

fn receive(receiver: &UdpSocket, datagrams: usize) -> Vec<u8> {
    let mut space = cmsg_space!(u8);
    let mut next = || {
        let mut buffer = [0; 1500];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let fd = receiver.as_raw_fd();
        let got = recvmsg::<()>(fd, &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
        let byte = got.cmsgs().unwrap().find_map(|said| {
            if let ControlMessageOwned::Ipv4Tos(byte) = said { Some(byte) } else { None }
        });
        byte.unwrap()
    };
    (0..datagrams).map(|_| next()).collect()
}

/// How often the senders of TCP in a machine heard that packets arrived with
/// congestion marked (`TCPDeliveredCE`).
fn delivered_with_congestion(end: &End) -> u64 {
    let text = end.netns().run(|| fs::read_to_string("/proc/thread-self/net/netstat").unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|name| name == "TCPDeliveredCE").unwrap();
    values.split(' ').nth(place).unwrap().parse().unwrap()
}

/// The router between the ends, which looks at capsules from MN and CN that carry
/// what tests send.
struct Router<'a>(&'a Netns);

impl Router<'_> {
    /// Counts their marks as they come, and then does this to them.
    fn count(&self, then: &str) {
        let capsule = "udp dport 4330 udp length > 1000";
        let rules = [
            ("not_ect", "ip ecn not-ect"),
            ("ect_1", "ip ecn ect1"),
            ("ect_0", "ip ecn ect0"),
            ("ce", "ip ecn ce"),
            ("expedited", "ip dscp ef"),
            ("some_class", "ip dscp != 0"),
        ];
        let counters: String =
            rules.iter().map(|(name, _)| format!("counter {name} {{}}\n")).collect();
        let counting: String = rules
            .iter()
            .map(|(name, of)| format!("{capsule} {of} counter name {name}\n"))
            .collect();
        let then = if then.is_empty() { String::new() } else { format!("{capsule} {then}\n") };
        self.nft(
            &["-f", "-"],
            &format!(
                "table ip marks {{}}\ndelete table ip marks\ntable ip marks {{\n{counters}\
             chain passing {{ type filter hook forward priority 0;\n{counting}{then}}}\n}}\n"
            ),
        );
    }

    /// Whether something was counted; runs of capsules may pass as one.
    fn saw(&self, counter: &str) -> bool {
        let said = self.nft(&["-j", "list", "counter", "ip", "marks", counter], "");
        let said: Value = serde_json::from_str(&said).unwrap();
        said["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|it| it["counter"]["packets"].as_u64())
            .is_some_and(|packets| packets > 0)
    }

    fn nft(&self, arguments: &[&str], script: &str) -> String {
        let mut command = Command::new(Tools::find("nft").unwrap());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut nft = self.0.spawn(&mut command).unwrap();
        nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = nft.wait_with_output().unwrap();
        assert!(output.status.success(), "nft refuses {script}");
        String::from_utf8(output.stdout).unwrap()
    }
}
