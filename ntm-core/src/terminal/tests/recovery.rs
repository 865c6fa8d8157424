//! A peer that is not there.

use super::*;
use crate::wire::{TunnelRequest, TunnelResponse};

/// How often the terminal acts as after a move, if its path dies every so often for so
/// long.
fn acts(world: &mut World, path: PathId, every: Duration, span: Duration) -> usize {
    let known = world.events.len();
    let end = world.now + span;
    while world.now < end {
        world.terminal.with_tunnel(world.now, &path, |tunnel, cx| tunnel.recover(cx));
        world.waits(every);
    }
    let is_act = |event: &&TerminalEvent| {
        matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::DeadPath), .. })
    };
    world.events[known..].iter().filter(is_act).count()
}

#[test]
fn it_is_looked_for_less_and_less_often_until_something_comes_from_it() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let path = world.path(&cn);
    let every = Duration::from_millis(1250);
    let first = acts(&mut world, path, every, Duration::from_secs(10));
    assert!((3..=5).contains(&first), "{first} times in 10 s");
    let then = acts(&mut world, path, every, Duration::from_secs(100));
    assert!((5..=8).contains(&then), "{then} times in 100 s");
    let traffic = Traffic { received: 1, ..Traffic::default() };
    world.terminal.handle_traffic(world.now, &path, traffic);
    assert_eq!(acts(&mut world, path, every, every), 1, "at once");
}

/// The last Tunnel Request among these.
fn request(world: &World, cn: &Peer, session: &mut Session, sent: &Sent) -> TunnelRequest {
    let said = world.peer_hears(cn, session, sent).into_iter();
    let mut requests = said.filter_map(|control| match control {
        Control::TunnelRequest(request) => Some(request),
        _ => None,
    });
    requests.next_back().unwrap()
}

#[test]
fn that_the_old_place_is_gone_is_said_until_the_peer_has_answered() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let path = world.path(&cn);
    let routes: Vec<_> =
        world.terminal.destinations().into_iter().map(|ip| (ip, Some(route()))).collect();
    let mut elsewhere = snapshot();
    elsewhere.interfaces[0].generation = 1;
    world.terminal.handle_addresses(world.now, elsewhere, &routes);
    let sent = world.drain();
    assert!(request(&world, &cn, &mut session, &sent).old_gone, "another network");
    // Nobody has answered, and the path is taken for dead.
    world.terminal.recover(world.now, path);
    let sent = world.waits(Duration::ZERO);
    let again = request(&world, &cn, &mut session, &sent);
    assert!(again.old_gone, "the peer may not have heard of it");
    let answer = TunnelResponse { epoch: cn.epoch, echo: again.challenge, challenge: None };
    world.says(&cn, &mut session, &Control::TunnelResponse(answer));
    world.terminal.recover(world.now, path);
    let sent = world.waits(Duration::ZERO);
    assert!(!request(&world, &cn, &mut session, &sent).old_gone);
}
