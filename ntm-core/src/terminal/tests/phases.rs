//! Moves are told step by step, ours and a peer's.

use super::*;
use crate::wire::TunnelResponse;

/// The steps of the peer's moves, in their order.
fn peers_steps(world: &World) -> Vec<(Epoch, PeerPhase)> {
    let steps = world.events.iter().filter_map(|event| match event {
        TerminalEvent::PeerPhase { epoch, phase, .. } => Some((*epoch, *phase)),
        _ => None,
    });
    steps.collect()
}

fn way_to(addr: SocketAddr) -> Way {
    Way { leg: Leg::to(TransportId(0), addr), relayed: false }
}

#[test]
fn a_peers_move_is_told_from_the_first_news_to_the_proof() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    assert_eq!(peers_steps(&world), [], "it has not moved yet");

    let moved = Peer { addr: addr(21), epoch: cn.epoch.next(), ..cn.clone() };
    // The coordinator is quicker than the peer's own word.
    let direction = world.direction(&moved);
    world.directed(direction);
    let word = Control::Challenge { epoch: moved.epoch, token: [9; 8] };
    let sent = world.says(&moved, &mut session, &word);
    world.proves(&moved, &mut session, &sent);

    let (by, from, to) = (Notice::Word, Some(way_to(cn.addr)), way_to(moved.addr));
    let expected = [PeerPhase::Directed, PeerPhase::Noticed { by, from, to }, PeerPhase::Proved];
    assert_eq!(peers_steps(&world), expected.map(|phase| (moved.epoch, phase)));
}

#[test]
fn a_place_that_proves_nothing_is_told_to_be_given_up() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let moved = Peer { addr: addr(21), epoch: cn.epoch.next(), ..cn.clone() };
    let word = Control::Challenge { epoch: moved.epoch, token: [9; 8] };
    world.says(&moved, &mut session, &word);
    world.waits(Duration::from_secs(10));
    let last = peers_steps(&world).last().copied();
    assert_eq!(last, Some((moved.epoch, PeerPhase::Reverted)));
}

#[test]
fn what_made_our_path_work_again_is_told() {
    for directed in [false, true] {
        let mut world = World::new();
        let cn = world.peer("cn.example", 20);
        let mut session = world.connected(&cn);
        let path = world.path(&cn);
        world.terminal.recover(world.now, path);
        let mut sent = world.drain();
        // Only the coordinator knows that the peer is elsewhere by now.
        let there = if directed { Peer { addr: addr(21), ..cn.clone() } } else { cn.clone() };
        if directed {
            let own_epoch = world.terminal.epoch;
            let direction = RouteDirection { own_epoch, ..world.direction(&there) };
            sent = world.directed(direction);
        }
        let asked = world.peer_hears(&there, &mut session, &sent);
        let echo = asked.into_iter().find_map(|said| match said {
            Control::TunnelRequest(request) => Some(request.challenge),
            _ => None,
        });
        let response = TunnelResponse { epoch: cn.epoch, echo: echo.unwrap(), challenge: None };
        world.says(&there, &mut session, &Control::TunnelResponse(response));
        let steps = world.events.iter().filter_map(|event| match event {
            TerminalEvent::Phase { phase, .. } => Some(*phase),
            _ => None,
        });
        let steps: Vec<_> = steps.filter(|step| !matches!(step, Phase::Registered)).collect();
        let winner = if directed { Winner::Direction } else { Winner::Update };
        let first = steps.iter().position(|step| *step == Phase::Told(path)).unwrap();
        assert_eq!(steps.last(), Some(&Phase::Rebuilt(path, winner)), "{steps:?}");
        assert_eq!(steps[first - 1], Phase::Detected(Cause::DeadPath));
    }
}
