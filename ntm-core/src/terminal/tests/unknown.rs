//! Notices that a session is unknown: from a peer and a coordinator that have
//! restarted, and from others.

use super::*;

fn notice(id: [u8; 16], datagram: &[u8]) -> Vec<u8> {
    let seal = *datagram.last_chunk().unwrap();
    UnknownSession { id, side: Side::Higher, seal }.emit()
}

fn kinds(sent: &Sent, to: SocketAddr) -> Vec<Kind> {
    let there = sent.iter().filter(|(remote, _)| *remote == to);
    there.map(|(_, datagram)| Kind::of(datagram).unwrap()).collect()
}

#[test]
fn a_peer_that_has_forgotten_us_is_asked_and_then_met_anew() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let session = world.connected(&cn);
    world.waits(Duration::from_secs(1));
    let path = world.path(&cn);
    // To a capsule, whose seal we do not know any more.
    let sent = world.arrives(cn.addr, &notice(*path.as_bytes(), &[7; 100]));
    assert_eq!((kinds(&sent, cn.addr), sent.len()), (vec![Kind::Control], 1));
    let asked = sent[0].1.clone();
    assert!(world.arrives(cn.addr, &notice(*path.as_bytes(), &[8; 100])).is_empty(), "once");
    let sent = world.arrives(cn.addr, &notice(*path.as_bytes(), &asked));
    assert_eq!(kinds(&sent, cn.addr), [Kind::Handshake1]);
    assert_eq!(kinds(&sent, DC), [Kind::Signalling], "a Direction Request");
    assert!(world.arrives(cn.addr, &notice(*path.as_bytes(), &asked)).is_empty(), "once");
    // It is no more than a hint: the session lives.
    let mut session = session;
    let challenge = Control::Challenge { epoch: cn.epoch, token: [1; 8] };
    assert_eq!(kinds(&world.says(&cn, &mut session, &challenge), cn.addr), [Kind::Control]);
    assert_eq!(world.way(&cn), Some(cn.addr));
}

#[test]
fn a_notice_from_elsewhere_or_of_another_path_is_nothing() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    world.waits(Duration::from_secs(1));
    let path = *world.path(&cn).as_bytes();
    assert!(world.arrives(addr(66), &notice(path, &[7; 100])).is_empty());
    assert!(world.arrives(cn.addr, &notice([9; 16], &[7; 100])).is_empty());
}

#[test]
fn a_coordinator_that_has_forgotten_us_is_registered_with_anew() {
    let mut world = World::new();
    let session = world.terminal.session.unwrap().0;
    assert!(world.arrives(DC, &notice(session, &[7; 100])).is_empty(), "anybody's word");
    world
        .terminal
        .handle_command(world.now, TerminalCommand::Connect(Target::Vip([198, 18, 0, 77].into())));
    let sent = world.drain();
    let sent = world.arrives(DC, &notice(session, &sent[0].1));
    assert!(kinds(&sent, DC).contains(&Kind::Handshake1));
}
