//! First handshake messages: from strangers, recorded, and under way.

use super::*;

/// Unconfirmed and confirmed sessions together.
fn sessions(world: &World) -> usize {
    world.coordinator.sessions.len()
}

/// First messages that a node has sent over the last hours.
fn recorded(world: &mut World, peer: &Peer, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|_| {
            world.waits(Duration::from_secs(1));
            world.first_message(peer).1
        })
        .collect()
}

#[test]
fn a_replayed_first_message_moves_nobody_and_ends_no_session() {
    let mut world = World::new();
    let mut mn = world.terminal("mn.example", 10);
    let old = recorded(&mut world, &mn, 20);
    let before = world.coordinator.status();
    for first in old.iter().cycle().take(200) {
        world.arrives(addr(66), first);
    }
    assert_eq!(before, world.coordinator.status());
    assert!(sessions(&world) <= 1 + 4, "few are kept: {}", sessions(&world));
    let sent = world.says(&mut mn, SignalBody::KeepAlive { token: None });
    assert!(!mn.hears(&sent).is_empty(), "its session is as it was");
    world.waits(Duration::from_secs(1000));
    assert_eq!(sessions(&world), 0, "and what nobody uses goes");
}

#[test]
fn replays_do_not_push_out_a_handshake_under_way() {
    let mut world = World::new();
    let mut mn = world.terminal("mn.example", 10);
    let old = recorded(&mut world, &mn, 20);
    world.waits(Duration::from_secs(1));
    for at in [0, 3, 20] {
        old[..at].iter().for_each(|first| drop(world.arrives(addr(66), first)));
        world.opens_session(&mut mn);
        assert!(mn.session.is_some(), "answered after {at} replays");
        old.iter().rev().for_each(|first| drop(world.arrives(addr(66), first)));
        mn.epoch = mn.epoch.next();
        let response = world.registers(&mut mn, Vec::new());
        assert_eq!(response.epoch_seen, mn.epoch);
        world.waits(Duration::from_secs(1));
    }
}

#[test]
fn the_same_first_message_gets_the_same_answer() {
    let mut world = World::new();
    let mn = world.terminal("mn.example", 10);
    let (_, first) = world.first_message(&mn);
    let answers = [10, 66, 10].map(|from| world.arrives(addr(from), &first).remove(0));
    assert_eq!(answers[0].1, answers[1].1);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(sessions(&world), 2);
}

#[test]
fn of_strangers_nothing_is_kept_and_they_get_less_than_they_sent() {
    let mut world = World::new();
    let mut stranger = world.terminal("mn.example", 10);
    let before = (world.coordinator.status(), sessions(&world));
    let label = "a".repeat(63);
    let longest = [&label[..], &label, &label, &label[..61]].join(".");
    for name in ["a", &label, &longest] {
        stranger.name = name.parse().unwrap();
        stranger.identity = Identity::generate(&mut world.rng);
        let (_, first) = world.first_message(&stranger);
        let sent = world.arrives(stranger.addr, &first);
        assert_eq!(sent.len(), 1, "told that it is none of ours");
        assert!(sent[0].1.len() < first.len());
    }
    assert_eq!(before, (world.coordinator.status(), sessions(&world)));
}

#[test]
fn a_crowd_is_asked_for_cookies_smaller_than_its_questions() {
    let mut world = World::new();
    let mn = world.terminal("mn.example", 10);
    let (_, first) = world.first_message(&mn);
    let mut damaged = first.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for _ in 0..1000 {
        world.arrives(addr(66), &damaged);
    }
    let sent = world.arrives(mn.addr, &first);
    assert_eq!(Kind::of(&sent[0].1), Ok(Kind::Cookie));
    assert!(sent[0].1.len() < first.len());
    assert_eq!(sessions(&world), 1, "nothing was computed");
}

#[test]
fn what_is_not_sealed_with_the_new_keys_confirms_nothing() {
    let mut world = World::new();
    let mut mn = world.terminal("mn.example", 10);
    let before = world.coordinator.members.session_of(station(&mn));
    world.opens_session(&mut mn);
    let genuine = mn.seals(SignalBody::KeepAlive { token: None });
    for at in 20..genuine.len() {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        assert!(world.arrives(addr(66), &forged).is_empty());
    }
    assert_eq!(world.coordinator.members.session_of(station(&mn)), before);
    assert!(!world.arrives(mn.addr, &genuine).is_empty());
    assert_ne!(world.coordinator.members.session_of(station(&mn)), before);
}

fn station(peer: &Peer) -> Station {
    Station { key: peer.identity.public(), role: peer.role }
}
