//! A peer that is not there.

use super::*;

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
