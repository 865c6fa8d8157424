//! NTMobile as pure state: a computer keeps its conversations while it moves.
//!
//! Applications talk to virtual addresses that never change; the packets travel
//! in an encrypted tunnel between the real addresses of the moment. This crate
//! holds what the roles of that protocol think, and nothing that they touch: no
//! socket, no clock, no runtime, no randomness but the seed it is given, no
//! unsafe code. Programs put it on a network (`ntm`), tests on a simulated one
//! (`ntm-sim`).
//!
//! # Words
//!
//! | word | meaning |
//! | --- | --- |
//! | terminal (NTM terminal) | a computer that may move |
//! | MN, CN | of two terminals the one that begins or moves, and the other |
//! | DC | Direction Coordinator: knows where terminals are and tells two of them how to reach each other |
//! | RS | Relay Server: carries the packets of two terminals that cannot reach each other |
//! | RIP, VIP | the real address of the moment, the virtual address that stays |
//! | Path ID | names the communication of two virtual addresses; stays through every move |
//! | Registration Request, Response | "I am here", "I see you there, and your virtual addresses are these" |
//! | Direction Request, Route Direction, Relay Direction, Ack | "how do I reach that node?", "build this path", the same for a relay, "understood" |
//! | Tunnel Request, Response | between the two ends: the first handshake, and after a move "I am here now" |
//! | capsule | an application's packet, sealed |
//! | path, tunnel | one pair of real addresses, perhaps through an RS; what a Path ID names, with a set of paths |
//! | epoch | counts the moves of one node |
//! | begin | who sends the first tunnel packet: the end behind a NAT |
//!
//! # Map, in the order to read it
//!
//! | module | what |
//! | --- | --- |
//! | [`id`], [`address`] | names of things; virtual and real addresses, ways between them |
//! | [`wire`] | every message: layout, writer, reader |
//! | [`crypto`] | keys, handshakes (Noise IK), sealing |
//! | [`machine`] | what the three role machines have in common, and how to drive them |
//! | [`client`] | a node's end of the session with its coordinator |
//! | [`terminal`], [`coordinator`], [`relay`] | the role machines |
//! | [`tunnel`] | the tunnel table, and what becomes of each packet |
//! | [`packet`] | the packets of applications: addresses, ECN, "too big", super-packets |
//! | [`plugin`] | the six traits behind which the rest of the world lies, each with an implementation in memory |
//!
//! # Driving a machine
//!
//! One input, which carries the time; then every output until there is none; then
//! wait for the next deadline or the next input ([`machine`]). Here two
//! terminals and their coordinator are driven by hand, on a network that
//! delivers everything at once:
//!
//! ```
//! use ntm_core::address::{Candidate, Leg, TransportId, TransportKind};
//! use ntm_core::client::CoordinatorAddress;
//! use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
//! use ntm_core::crypto::{Identity, Suites};
//! use ntm_core::machine::{Effect, Node, Outcome, TransportFacts};
//! use ntm_core::plugin::memory::{Direct, Sequential};
//! use ntm_core::plugin::{LocalAddress, LocalInterface, MemberRole, Route, Snapshot, Vip as _};
//! use ntm_core::terminal::{Mode, Terminal, TerminalCommand, TerminalConfig, TunnelState};
//! use ntm_core::wire::{PORT, Target};
//! use ntm_core::{Rng, Time};
//! use std::net::{IpAddr, SocketAddr};
//!
//! let now = Time::ZERO;
//! let ips: [IpAddr; 3] = [[203, 0, 113, 1], [203, 0, 113, 2], [203, 0, 113, 3]].map(IpAddr::from);
//! let mut rng = Rng::from_seed([7; 32]);
//! let udp = TransportFacts { kind: TransportKind::UDP, port: PORT, ipv4: true, ipv6: true };
//! let nodes = ["dc.example", "mn.example", "cn.example"].map(|name| Node {
//!     identity: Identity::generate(&mut rng),
//!     name: name.parse().unwrap(),
//!     unix_at_zero: 1_700_000_000,
//!     transports: vec![udp],
//! });
//!
//! let member = |node: &Node| Member {
//!     name: node.name.clone(),
//!     key: node.identity.public(),
//!     roles: MemberRole::Terminal.into(),
//! };
//! let config = CoordinatorConfig {
//!     public: vec![Candidate::udp(SocketAddr::new(ips[0], PORT))],
//!     members: nodes[1..].iter().map(member).collect(),
//!     quota: RelayQuota::default(),
//!     clocks: Clocks::default(),
//! };
//! let mut dc = Coordinator::new(now, nodes[0].clone(), config, rng.split());
//!
//! let config = TerminalConfig {
//!     mode: Mode::Fast,
//!     suites: Suites::BASIC,
//!     mtu: 1400,
//!     coordinators: vec![CoordinatorAddress {
//!         key: nodes[0].identity.public(),
//!         addresses: vec![Candidate::udp(SocketAddr::new(ips[0], PORT))],
//!     }],
//! };
//! let mut terminals = [1, 2]
//!     .map(|at: usize| Terminal::new(now, nodes[at].clone(), config.clone(), rng.split()));
//!
//! // What the plugins of a coordinator and of a terminal answer.
//! let vips = Sequential::default();
//! let ask_dc = |effect: Effect| match effect {
//!     Effect::Load => Outcome::Loaded(Ok((Vec::new(), vips.ranges()))),
//!     Effect::Lease { .. } => Outcome::Leased(vips.take()),
//!     Effect::Plan(request) => Outcome::Planned(Ok(Direct::decide(&request))),
//!     _ => Outcome::Stored(Ok(())),
//! };
//! let route = |own| Some(Route { source: own, ifindex: 2, mtu: 1500 });
//! let ask_terminal = |own: IpAddr, effect: Effect| match effect {
//!     Effect::Load => Outcome::Loaded(Ok((Vec::new(), Vec::new()))),
//!     Effect::Routes(to) => Outcome::Routed(to.into_iter().map(|ip| (ip, route(own))).collect()),
//!     _ => Outcome::Stored(Ok(())),
//! };
//!
//! // Takes every output and delivers it, until all are quiet. What is passed
//! // over here are the events: those of the tunnel table go to a `Table`.
//! let mut run = |terminals: &mut [Terminal; 2]| loop {
//!     let mut post = Vec::new();
//!     let mut datagram = Vec::new();
//!     while dc.poll_event().is_some() {}
//!     while let Some((id, effect)) = dc.poll_effect() {
//!         dc.handle_outcome(now, id, ask_dc(effect));
//!     }
//!     while let Some(leg) = dc.poll_transmit(&mut datagram) {
//!         post.push((ips[0], leg.remote.ip(), datagram.clone()));
//!     }
//!     for (terminal, own) in terminals.iter_mut().zip(&ips[1..]) {
//!         while terminal.poll_event().is_some() {}
//!         while let Some((id, effect)) = terminal.poll_effect() {
//!             terminal.handle_outcome(now, id, ask_terminal(*own, effect));
//!         }
//!         while let Some(leg) = terminal.poll_transmit(&mut datagram) {
//!             post.push((*own, leg.remote.ip(), datagram.clone()));
//!         }
//!     }
//!     if post.is_empty() {
//!         break;
//!     }
//!     for (from, to, datagram) in post {
//!         let leg = Leg::to(TransportId(0), SocketAddr::new(from, PORT));
//!         match ips.iter().position(|ip| *ip == to) {
//!             Some(0) => dc.handle_datagram(now, &leg, &datagram),
//!             Some(at) => terminals[at - 1].handle_datagram(now, &leg, &datagram),
//!             None => {}
//!         }
//!     }
//! };
//!
//! // Each learns its address, registers, and is given its virtual ones.
//! run(&mut terminals);
//! for (terminal, own) in terminals.iter_mut().zip(&ips[1..]) {
//!     let address = LocalAddress { ip: *own, prefix: 24, usable: true, preferred: true };
//!     let eth0 = LocalInterface {
//!         index: 2,
//!         name: "eth0".into(),
//!         running: true,
//!         generation: 0,
//!         loopback: false,
//!         addresses: vec![address],
//!     };
//!     let routes: Vec<_> =
//!         terminal.destinations().into_iter().map(|ip| (ip, route(*own))).collect();
//!     terminal.handle_addresses(now, Snapshot { interfaces: vec![eth0] }, &routes);
//! }
//! run(&mut terminals);
//!
//! // MN asks for CN; the coordinator directs both; they build the tunnel.
//! let cn = Target::Name(nodes[2].name.clone());
//! terminals[0].handle_command(now, TerminalCommand::Connect(cn));
//! run(&mut terminals);
//! let [mn, cn] = terminals.map(|terminal| terminal.status(now).tunnels.remove(0));
//! assert_eq!(mn.path, cn.path, "both ends know it by the same Path ID");
//! assert_eq!((mn.state, cn.state), (TunnelState::Live, TunnelState::Live));
//! assert_eq!(mn.way.unwrap().leg.remote.ip(), ips[2]);
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::wildcard_enum_match_arm,
        clippy::unwrap_in_result,
        reason = "each test looks at what it is about"
    )
)]

pub mod address;
pub mod client;
pub mod coordinator;
pub mod crypto;
pub mod id;
pub mod machine;
mod outlook;
pub mod packet;
pub mod plugin;
pub mod preference;
pub mod relay;
mod rng;
mod surroundings;
pub mod terminal;
mod time;
pub mod tunnel;
pub mod wire;

pub use rng::Rng;
pub use time::Time;
