//! First messages, second messages and cookies that are not what they seem.

use super::*;

#[test]
fn replays_do_not_push_out_a_handshake_under_way() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let recorded: Vec<_> = (0..20)
        .map(|_| {
            world.waits(Duration::from_secs(1));
            world.first_message(&cn).1
        })
        .collect();
    world.waits(Duration::from_secs(1));
    for at in [0, 3, 20] {
        recorded[..at].iter().for_each(|first| drop(world.arrives(addr(66), first)));
        let (initiator, first) = world.first_message(&cn);
        let sent = world.arrives(cn.addr, &first);
        let mut session = world.answered(&cn, &initiator, &sent).unwrap();
        recorded.iter().rev().for_each(|first| drop(world.arrives(addr(66), first)));
        let ping = Control::Challenge { epoch: cn.epoch, token: [8; 8] };
        let sent = world.says(&cn, &mut session, &ping);
        let heard = world.peer_hears(&cn, &mut session, &sent);
        let echo = |control: &Control| matches!(control, Control::ChallengeResponse { token, .. } if *token == [8; 8]);
        assert!(heard.iter().any(echo), "the new session counts");
        assert_eq!(world.way(&cn), Some(cn.addr));
        assert!(world.terminal.tunnels[&world.path(&cn)].half_open.len() <= 4);
        world.waits(Duration::from_secs(1));
    }
}

#[test]
fn only_the_directed_key_is_answered_and_only_for_its_own_path() {
    let mut world = World::new();
    let (cn, mut liar) = (world.peer("cn.example", 20), world.peer("liar.example", 66));
    for peer in [&cn, &liar] {
        let direction = world.direction(peer);
        world.directed(direction);
    }
    let answers = |world: &mut World, peer: &Peer| {
        let (_, first) = world.first_message(peer);
        world.arrives(peer.addr, &first).len()
    };
    assert_eq!(answers(&mut world, &liar), 1);
    // A member's own key, for the path, the name and the address of another.
    liar.info = PeerInfo { key: liar.info.key, ..cn.info.clone() };
    assert_eq!(answers(&mut world, &liar), 0);
    // Its own name, but for another's path.
    liar.info = PeerInfo { name: "liar.example".parse().unwrap(), ..cn.info.clone() };
    assert_eq!(answers(&mut world, &liar), 0);
    let unknown = world.peer("unknown.example", 40);
    assert_eq!(answers(&mut world, &unknown), 0, "nobody has directed it");
    assert_eq!(answers(&mut world, &cn), 1);
}

/// A terminal that begins a tunnel, and its first message.
fn beginning(world: &mut World, cn: &Peer) -> Vec<u8> {
    let direction = RouteDirection { begin: true, ..world.direction(cn) };
    let sent = world.directed(direction);
    sent.into_iter().find(|(to, _)| *to == cn.addr).expect("it begins").1
}

#[test]
fn forged_cookies_neither_reflect_nor_end_an_attempt() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let first = Handshake1::parse(&beginning(&mut world, &cn)).unwrap();
    let cookie = |number: u32| {
        let mut cookie = [7; 16];
        cookie[..4].copy_from_slice(&number.to_be_bytes());
        Cookie { role: RoleTag::Terminal, id: first.id, cookie }.emit()
    };
    for number in 0..100 {
        assert!(world.arrives(addr(66), &cookie(number)).is_empty(), "he was not asked");
    }
    let repeated: usize =
        (0..100).map(|number| to(&world.arrives(cn.addr, &cookie(number)), cn.addr)).sum();
    assert_eq!(repeated, 1, "in the peer's name: once");
    let copies = to(&world.waits(Duration::from_secs(3)), cn.addr);
    assert!(copies >= 3, "the attempt goes on: {copies} copies");
    // The answer to any copy is the answer.
    let second = second(&mut world, &cn, &first);
    world.arrives(cn.addr, &second);
    assert_eq!(world.way(&cn), Some(cn.addr));
}

/// The peer's answer.
fn second(world: &mut World, cn: &Peer, first: &Handshake1) -> Vec<u8> {
    let prologue = world.tunnel_prologue(&cn.info, false);
    let responder =
        Responder::read(&cn.identity, &prologue, world.rng.bytes(), &first.noise).unwrap();
    let answer = TunnelAnswer { epoch: cn.epoch, slot: 3, suite: Suite::ChaCha20Poly1305 };
    let (noise, _) = responder.answer(&answer.emit()).unwrap();
    let (role, side) = (RoleTag::Terminal, Side::Higher);
    Handshake2 { role, id: first.id, side, noise }.emit()
}

#[test]
fn of_two_that_begin_at_once_the_lower_key_s_session_is_sent_in() {
    let mut world = World::new();
    let own = world.terminal.node.identity.public();
    let peers: Vec<_> =
        (20..28).map(|last| world.peer(&format!("cn{last}.example"), last)).collect();
    assert!(peers.iter().any(|cn| cn.info.key < own) && peers.iter().any(|cn| cn.info.key > own));
    for cn in &peers {
        let first = Handshake1::parse(&beginning(&mut world, cn)).unwrap();
        let (initiator, its_first) = world.first_message(cn);
        let sent = world.arrives(cn.addr, &its_first);
        let mut its = world.answered(cn, &initiator, &sent).expect("it is answered all the same");
        let second = second(&mut world, cn, &first);
        world.arrives(cn.addr, &second);
        world.says(cn, &mut its, &Control::KeepAlive);
        let tunnel = &world.terminal.tunnels[&world.path(cn)];
        let used = tunnel.current.as_ref().unwrap();
        assert_eq!(used.initiator, own < cn.info.key);
        assert_eq!(tunnel.older.len(), 1, "the other one is received in");
    }
}

#[test]
fn a_forged_answer_is_none() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let first = Handshake1::parse(&beginning(&mut world, &cn)).unwrap();
    let liar = world.peer("liar.example", 66);
    let prologue = world.tunnel_prologue(&cn.info, false);
    let seed = world.rng.bytes();
    assert!(Responder::read(&liar.identity, &prologue, seed, &first.noise).is_err());
    let mut noise = first.noise.clone();
    for length in [48, 67, 87, first.noise.len()] {
        noise.truncate(length);
        let (role, side) = (RoleTag::Terminal, Side::Higher);
        let forged = Handshake2 { role, id: first.id, side, noise: noise.clone() };
        assert!(world.arrives(cn.addr, &forged.emit()).is_empty());
    }
    assert_eq!(world.way(&cn), None);
}

#[test]
fn whoever_comes_before_its_direction_waits_in_a_bounded_place() {
    let mut world = World::new();
    let size = |world: &World| format!("{:?}", world.terminal.requests).len();
    let before = size(&world);
    let strangers: Vec<_> =
        (20..120).map(|last| world.peer(&format!("cn{last}.example"), last)).collect();
    for peer in &strangers {
        let (_, first) = world.first_message(peer);
        assert!(world.arrives(peer.addr, &first).is_empty());
    }
    assert_eq!(size(&world), before, "nothing was asked for, nothing is kept");
    let target = Target::Name("cn20.example".parse().unwrap());
    world.terminal.handle_command(world.now, TerminalCommand::Connect(target));
    for peer in &strangers {
        let (_, first) = world.first_message(peer);
        world.arrives(peer.addr, &first);
    }
    assert!(size(&world) < before + 4096, "one for the one that is asked for");
}
