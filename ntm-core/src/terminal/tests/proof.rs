//! What proves that a peer receives at an address: somebody in between catches
//! genuine datagrams, and is quicker with them from an address of his choice.

use super::*;
use crate::wire::TunnelResponse;

/// Where he has them come from.
const ELSEWHERE: u8 = 66;

/// What the table was told last: where to, and whether that is proved.
fn pointing(world: &World) -> Option<(SocketAddr, bool)> {
    let to = world.events.iter().rev().find_map(|event| match event {
        TerminalEvent::Table(TableEvent::Point { to, .. }) => Some(*to),
        _ => None,
    });
    to.flatten().map(|to| (to.leg.remote, matches!(to.proof, crate::tunnel::Proof::Proved)))
}

fn never_proved_elsewhere(world: &World) -> bool {
    !world.events.iter().any(|event| match event {
        TerminalEvent::Table(TableEvent::Point { to: Some(to), .. }) => {
            to.leg.remote == addr(ELSEWHERE) && to.proof == crate::tunnel::Proof::Proved
        }
        _ => false,
    })
}

/// The terminal begins a tunnel; the peer's session and its answer.
fn begun(world: &mut World, cn: &Peer) -> (Session, Vec<u8>) {
    let direction = RouteDirection { begin: true, ..world.direction(cn) };
    let sent = world.directed(direction);
    let (_, first) = sent.iter().find(|(to, _)| *to == cn.addr).expect("it begins");
    let first = Handshake1::parse(first).unwrap();
    let prologue = world.tunnel_prologue(&cn.info, false);
    let seed = world.rng.bytes();
    let responder = Responder::read(&cn.identity, &prologue, seed, &first.noise).unwrap();
    let hello = TunnelHello::parse(&responder.payload).unwrap();
    let (slot, suite) = (3, hello.suites.best(Suites::ALL));
    let (noise, keys) =
        responder.answer(&TunnelAnswer { epoch: cn.epoch, slot, suite }.emit()).unwrap();
    let terms = Terms { initiator: false, slot, peer_slot: hello.slot, suite };
    let session = Session::new(world.now, &keys, terms);
    let second = Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Higher, noise };
    (session, second.emit())
}

#[test]
fn the_answer_to_a_first_message_does_not_prove_where_it_comes_from() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let (mut session, second) = begun(&mut world, &cn);
    let sent = world.arrives(addr(ELSEWHERE), &second);
    assert_eq!(pointing(&world), Some((addr(ELSEWHERE), false)), "little is sent there");
    assert!(world.peer_hears(&cn, &mut session, &sent).is_empty());
    // The peer itself is heard, and answers what it is asked.
    let sent = world.says(&cn, &mut session, &Control::KeepAlive);
    world.proves(&cn, &mut session, &sent);
    let sent = world.waits(Duration::from_secs(3));
    world.proves(&cn, &mut session, &sent);
    assert!(never_proved_elsewhere(&world));
}

#[test]
fn the_answer_of_who_was_asked_is_followed_by_a_proof() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let (mut session, second) = begun(&mut world, &cn);
    let sent = world.arrives(cn.addr, &second);
    assert_eq!(pointing(&world), Some((cn.addr, false)));
    world.proves(&cn, &mut session, &sent);
    assert_eq!(pointing(&world), Some((cn.addr, true)));
}

#[test]
fn the_first_datagram_of_a_session_does_not_prove_where_it_comes_from() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let direction = world.direction(&cn);
    world.directed(direction);
    let (initiator, first) = world.first_message(&cn);
    let sent = world.arrives(cn.addr, &first);
    let mut session = world.answered(&cn, &initiator, &sent).unwrap();
    let datagram = session.seal(world.path(&cn), Side::Higher, cn.epoch, &Control::KeepAlive);
    world.arrives(addr(ELSEWHERE), &datagram);
    assert_eq!(pointing(&world), Some((addr(ELSEWHERE), false)));
    world.waits(Duration::from_secs(3));
    assert!(never_proved_elsewhere(&world));
    assert_ne!(world.way(&cn), Some(addr(ELSEWHERE)), "given up, as nobody answers there");
}

#[test]
fn the_answer_after_a_move_proves_the_address_that_was_asked() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    world.terminal.recover(world.now, world.path(&cn));
    let sent = world.waits(Duration::ZERO);
    let echo = world.peer_hears(&cn, &mut session, &sent).into_iter().find_map(|said| match said {
        Control::TunnelRequest(request) => Some(request.challenge),
        _ => None,
    });
    let response = TunnelResponse { epoch: cn.epoch, echo: echo.unwrap(), challenge: None };
    let control = Control::TunnelResponse(response);
    let datagram = session.seal(world.path(&cn), Side::Higher, cn.epoch, &control);
    world.arrives(addr(ELSEWHERE), &datagram);
    let rebuilt = Phase::Rebuilt(world.path(&cn), Winner::Update);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, TerminalEvent::Phase { phase, .. } if *phase == rebuilt))
    );
    assert_eq!(world.way(&cn), Some(cn.addr));
    assert!(never_proved_elsewhere(&world));
}

#[test]
fn an_answer_that_a_move_has_overtaken_brings_no_packets_back() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let path = world.path(&cn);
    world.terminal.handle_command(world.now, TerminalCommand::Ping(path));
    let sent = world.drain();
    let asked = world.peer_hears(&cn, &mut session, &sent);
    let [Control::Challenge { token, .. }] = asked[..] else { panic!("{asked:?}") };
    let answer = Control::ChallengeResponse { epoch: cn.epoch, token };
    let overtaken = session.seal(path, Side::Higher, cn.epoch, &answer);
    let moved = Peer { addr: addr(ELSEWHERE), epoch: cn.epoch.next(), ..cn.clone() };
    let sent =
        world.says(&moved, &mut session, &Control::Challenge { epoch: moved.epoch, token: [1; 8] });
    assert_eq!(world.way(&cn), Some(moved.addr));
    world.arrives(cn.addr, &overtaken);
    assert_eq!(world.way(&cn), Some(moved.addr), "it is not there any more");
    world.proves(&moved, &mut session, &sent);
    assert_eq!(pointing(&world), Some((moved.addr, true)));
}

#[test]
fn what_exceeds_the_limit_goes_by_the_old_way_only_if_that_is_proved() {
    let mut world = World::new();
    let mut cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let mut fallback_after_moving_to = |last| {
        cn = Peer { addr: addr(last), epoch: cn.epoch.next(), ..cn.clone() };
        let news = Control::Challenge { epoch: cn.epoch, token: [1; 8] };
        world.says(&cn, &mut session, &news);
        assert_eq!(pointing(&world), Some((addr(last), false)));
        world.events.iter().find_map(|event| match event {
            TerminalEvent::Table(TableEvent::Point { to: Some(to), .. }) => {
                (to.leg.remote == cn.addr).then_some(to.fallback)
            }
            _ => None,
        })
    };
    let fallback = fallback_after_moving_to(ELSEWHERE).flatten();
    assert_eq!(fallback.map(|leg| leg.remote), Some(addr(20)));
    assert_eq!(fallback_after_moving_to(67), Some(None), "nobody has answered elsewhere");
}

#[test]
fn what_was_asked_before_a_move_proves_nothing_after_it() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let (path, leg) = (world.path(&cn), Leg::to(TransportId(0), cn.addr));
    world.terminal.with_tunnel(world.now, &path, |tunnel, cx| {
        tunnel.probe(cx, &leg, remote::Why::Proof);
    });
    let sent = world.drain();
    world.terminal.act_on_move(world.now, Cause::DeadPath, false);
    world.drain();
    world.proves(&cn, &mut session, &sent);
    let remote = world.terminal.tunnels[&path].remotes.get(&leg).cloned().unwrap();
    assert!(!remote.is_current(cn.epoch, world.terminal.epoch));
}
