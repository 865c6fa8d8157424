//! A coordinator over the wire: this project's own keeps all that is tried, one that
//! does wrong does not.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use ntm_conformance::wire::{self, CHECKS, Member, Node};
use ntm_conformance::{Outcome, Report};
use ntm_core::address::{Candidate, Leg, TransportId, TransportKind};
use ntm_core::coordinator::{self, Clocks, Coordinator, CoordinatorConfig, RelayQuota};
use ntm_core::crypto::Identity;
use ntm_core::machine::{self, Effect, Outcome as Answer, TransportFacts};
use ntm_core::plugin::memory::{Direct, Sequential};
use ntm_core::plugin::{MemberRole, Vip as _};
use ntm_core::wire::Envelope;
use ntm_core::{Rng, Time};

/// A thread that serves until this is dropped.
struct Serving {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    fn new(mut serve: impl FnMut() + Send + 'static) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let over = ended.clone();
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                serve();
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _it_panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn loopback() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

/// A coordinator on loopback, and how it is spoken to.
fn coordinator() -> (Serving, Node) {
    let mut rng = Rng::from_seed([3; 32]);
    let [own, member, other] = [(); 3].map(|()| Identity::generate(&mut rng));
    let named = |name: &str, identity| Member { name: name.parse().unwrap(), identity };
    let (socket, address) = loopback();
    let (member, other) = (named("a.example", member), named("b.example", other));
    let node =
        Node { address, key: own.public(), member: member.clone(), other: Some(other.clone()) };

    let udp =
        TransportFacts { kind: TransportKind::UDP, port: address.port(), ipv4: true, ipv6: false };
    let unix_at_zero = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let facts = machine::Node {
        identity: own,
        name: "dc.example".parse().unwrap(),
        unix_at_zero,
        transports: vec![udp],
    };
    let known = |member: Member| coordinator::Member {
        name: member.name,
        key: member.identity.public(),
        roles: MemberRole::Terminal.into(),
    };
    let config = CoordinatorConfig {
        public: vec![Candidate::udp(address)],
        members: [member, other].map(known).into(),
        quota: RelayQuota::default(),
        clocks: Clocks::default(),
    };
    let mut machine = Coordinator::new(Time::ZERO, facts, config, rng);
    let (vips, begin) = (Sequential::default(), Instant::now());
    let mut buffer = vec![0; 65_536];
    let serving = Serving::new(move || {
        let now = || Time::ZERO + begin.elapsed();
        while let Some((id, effect)) = machine.poll_effect() {
            let answer = match effect {
                Effect::Load => Answer::Loaded(Ok((Vec::new(), vips.ranges()))),
                Effect::Lease { .. } => Answer::Leased(vips.take()),
                Effect::Plan(request) => Answer::Planned(Ok(Direct::decide(&request))),
                Effect::Store(_) | Effect::Release(_) | Effect::Routes(_) => Answer::Stored(Ok(())),
            };
            machine.handle_outcome(now(), id, answer);
        }
        while machine.poll_event().is_some() {}
        let mut datagram = Vec::new();
        while let Some(leg) = machine.poll_transmit(&mut datagram) {
            let _ = socket.send_to(&datagram, leg.remote);
        }
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            machine.handle_datagram(now(), &Leg::to(TransportId(0), from), &buffer[..length]);
        }
        if machine.poll_timeout().is_some_and(|(at, _)| at <= now()) {
            machine.handle_timeout(now());
        }
    });
    (serving, node)
}

/// What a node does wrong.
#[derive(Clone, Copy)]
enum Wrong {
    /// It says something to who sends no message.
    Talks,
    /// It says everything so often.
    Repeats(usize),
    /// It answers all signalling, whether it opens or not.
    Answers,
}

/// A node that is wrong, made of a good one with something in front.
fn in_front_of(good: SocketAddr, wrong: Wrong) -> (Serving, SocketAddr) {
    let (front, address) = loopback();
    front.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut ends: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    let mut buffer = vec![0; 65_536];
    let serving = Serving::new(move || {
        if let Ok((length, from)) = front.recv_from(&mut buffer) {
            let datagram = &buffer[..length];
            let end = ends.entry(from).or_insert_with(|| {
                let (end, _) = loopback();
                end.connect(good).unwrap();
                end.set_nonblocking(true).unwrap();
                end
            });
            let _ = end.send(datagram);
            let talks = match wrong {
                Wrong::Talks => Envelope::parse(datagram).is_err(),
                Wrong::Answers => length > 28 && datagram[0] == 0x98,
                Wrong::Repeats(_) => false,
            };
            if talks {
                let _ = front.send_to(b"what?", from);
            }
        }
        let times = if let Wrong::Repeats(times) = wrong { times } else { 1 };
        for (to, end) in &ends {
            while let Ok(length) = end.recv(&mut buffer) {
                for _ in 0..times {
                    let _ = front.send_to(&buffer[..length], to);
                }
            }
        }
    });
    (serving, address)
}

fn failed(report: &Report) -> BTreeSet<&'static str> {
    report.failed().map(|it| it.requirement.id).collect()
}

#[test]
fn the_projects_own_coordinator_keeps_all() {
    let (_serving, node) = coordinator();
    // Twice: what a run leaves behind does not spoil the next.
    for _ in 0..2 {
        let report = wire::run(&node, CHECKS, |_| {});
        for it in &report.tried {
            let Outcome::Passed(_) = it.outcome else {
                panic!("{}: {}", it.requirement.id, it.outcome.remark());
            };
        }
        assert_eq!(report.tried.len(), CHECKS.len());
    }
}

#[test]
fn one_member_is_enough_for_all_but_one() {
    let (_serving, node) = coordinator();
    let report = wire::run(&Node { other: None, ..node }, CHECKS, |_| {});
    let tried = |it: &&ntm_conformance::Tried| !matches!(it.outcome, Outcome::Passed(_));
    let left: Vec<_> = report.tried.iter().filter(tried).map(|it| it.requirement.id).collect();
    assert_eq!(left, ["WIRE-8"]);
    assert!(report.passed());
}

#[test]
fn nodes_that_do_wrong_are_found() {
    for (wrong, by) in [
        (Wrong::Talks, &["WIRE-1"][..]),
        (Wrong::Repeats(2), &["WIRE-6"]),
        (Wrong::Repeats(12), &["WIRE-6", "WIRE-9"]),
        (Wrong::Answers, &["WIRE-1", "WIRE-6"]),
    ] {
        let (_serving, node) = coordinator();
        let (_front, address) = in_front_of(node.address, wrong);
        let wanted: Vec<_> =
            CHECKS.iter().filter(|it| by.contains(&it.requirement.id)).copied().collect();
        let report = wire::run(&Node { address, ..node }, &wanted, |_| {});
        assert_eq!(failed(&report), by.iter().copied().collect(), "{:#}", report.to_json());
    }
}

#[test]
fn another_key_than_the_nodes_own_gets_no_session() {
    let (_serving, node) = coordinator();
    let key = node.member.identity.public();
    let report = wire::run(&Node { key, ..node }, &CHECKS[1..2], |_| {});
    assert_eq!(failed(&report), BTreeSet::from(["WIRE-2"]));
}

#[test]
fn the_program_says_what_came_out() {
    let (_serving, node) = coordinator();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("a.key");
    let private = node.member.identity.private().expose();
    std::fs::write(&key, base64::engine::general_purpose::STANDARD.encode(private)).unwrap();
    let json = folder.path().join("out.json");
    let output = Command::new(ntm_built::beside("ntm-conformance"))
        .args(["--wire", &node.address.to_string(), "--key", &node.key.to_string()])
        .args(["--as", &format!("a.example={}", key.display()), "--only", "WIRE-2"])
        .args(["--json", json.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    assert!(text.lines().any(|line| line.starts_with("  WIRE-2  passed")), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(json["plugins"][0]["kind"], "coordinator");
}
