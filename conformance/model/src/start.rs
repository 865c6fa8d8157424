use std::time::Duration;

use ntm_core::address::{Candidate, TransportKind};
use ntm_core::client::CoordinatorAddress;
use ntm_core::coordinator::{Clocks, Coordinator, CoordinatorConfig, Member, RelayQuota};
use ntm_core::crypto::{Identity, Suites};
use ntm_core::machine::{Node, TransportFacts};
use ntm_core::plugin::MemberRole;
use ntm_core::relay::{Relay, RelayConfig};
use ntm_core::terminal::{Terminal, TerminalCommand, TerminalConfig};
use ntm_core::wire::{PORT, Target};
use ntm_core::{Rng, Time};

use crate::host::{Host, Machine, TERMINALS, Who, socket};
use crate::replay::Replay;
use crate::scenario::{Scenario, Start};
use crate::world::World;

/// A world in which everybody is registered, the pair has its tunnel if it
/// shall have one, and nothing is under way.
pub(crate) fn steady(scenario: &Scenario) -> World {
    let now = Time::ZERO + Duration::from_secs(100);
    let mut world = World::new(now, hosts(scenario, now));
    let everybody = [Who::Dc, Who::Rs, Who::Mn, Who::Cn];
    for who in everybody {
        world.with(scenario, who, |_, _, _| {});
    }
    for who in everybody {
        if who != Who::Rs || scenario.relay {
            world.with(scenario, who, |host, now, _| host.look(now));
        }
    }
    run(&mut world, scenario, Duration::from_millis(200));
    if scenario.start == Start::Tunnel {
        let cn = Target::Name(Who::Cn.name().parse().expect("a name"));
        world.with(scenario, Who::Mn, |host, now, _| {
            host.terminal_mut().handle_command(now, TerminalCommand::Connect(cn));
        });
        run(&mut world, scenario, Duration::from_millis(300));
        let every = Duration::from_millis(20);
        world.talk = Some((world.now, every));
        run(&mut world, scenario, Duration::from_millis(290));
        assert!(world.agree(), "the start is a tunnel that works");
        world.talk = None;
        run(&mut world, scenario, Duration::from_millis(100));
    }
    while world.arriving().is_some() {
        world.step(scenario);
    }
    world.begin(scenario);
    world
}

fn run(world: &mut World, scenario: &Scenario, span: Duration) {
    let end = world.now + span;
    while world.next_at() <= end {
        world.step(scenario);
    }
    world.now = end;
}

fn hosts(scenario: &Scenario, now: Time) -> [Host; 4] {
    let mut rng = Rng::from_seed([7; 32]);
    let udp = TransportFacts { kind: TransportKind::UDP, port: PORT, ipv4: true, ipv6: true };
    let nodes = [Who::Mn, Who::Cn, Who::Dc, Who::Rs].map(|who| Node {
        identity: Identity::generate(&mut rng),
        name: who.name().parse().expect("a name"),
        unix_at_zero: 1_700_000_000,
        transports: vec![udp],
    });
    let member = |who: Who, role: MemberRole| {
        let node = &nodes[who as usize];
        Member { name: node.name.clone(), key: node.identity.public(), roles: role.into() }
    };
    let public = socket(Who::Dc.ip(0));
    let config = CoordinatorConfig {
        public: vec![Candidate::udp(public)],
        members: vec![
            member(Who::Mn, MemberRole::Terminal),
            member(Who::Cn, MemberRole::Terminal),
            member(Who::Rs, MemberRole::Relay),
        ],
        quota: RelayQuota::default(),
        clocks: Clocks::default(),
    };
    let coordinators = vec![CoordinatorAddress {
        key: nodes[Who::Dc as usize].identity.public(),
        addresses: vec![Candidate::udp(public)],
    }];
    let dc = Coordinator::new(now, nodes[Who::Dc as usize].clone(), config, rng.split());
    let relay = RelayConfig { allow_private: false, coordinators: coordinators.clone() };
    let rs = Relay::new(now, nodes[Who::Rs as usize].clone(), relay, rng.split());
    let [mn, cn] = TERMINALS.map(|who| {
        let config = TerminalConfig {
            mode: scenario.mode,
            suites: Suites::BASIC,
            mtu: 1400,
            coordinators: coordinators.clone(),
        };
        let node = nodes[who as usize].clone();
        let terminal = Terminal::new(now, node, config, rng.split());
        Host::new(who, Machine::Terminal(terminal, Replay::default()))
    });
    let dc = Host::new(Who::Dc, Machine::Coordinator(dc));
    let rs = Host::new(Who::Rs, Machine::Relay(rs, Replay::default()));
    [mn, cn, dc, rs]
}
