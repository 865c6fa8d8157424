//! Members that lie: what the coordinator does for the wrong one.

use super::*;
use crate::wire::{DirectionRequest, RelayDirection, RouteDirection, Target};

fn asks(target: Target, path: Option<PathId>) -> SignalBody {
    SignalBody::DirectionRequest(DirectionRequest { target, path })
}

/// Three terminals: the liar and an honest pair.
fn three(world: &mut World) -> [Peer; 3] {
    [
        world.terminal("liar.example", 66),
        world.terminal("mn.example", 10),
        world.terminal("cn.example", 20),
    ]
}

fn directions(signals: &[Signal]) -> Vec<(RequestId, RouteDirection)> {
    let direction = |signal: &Signal| match &signal.body {
        SignalBody::RouteDirection(direction) => Some((signal.request, direction.clone())),
        _ => None,
    };
    signals.iter().filter_map(direction).collect()
}

#[test]
fn a_direction_for_a_wrong_path_id_is_refused_and_nobody_hears_of_it() {
    let mut world = World::new();
    let [mut liar, mn, cn] = three(&mut world);
    let (to_cn, of_others) = (world.vip_of(&cn), world.path(&mn, &cn));
    let own = world.path(&liar, &cn);
    for wrong in [of_others, world.path(&liar, &mn), PathId::from_bytes([7; 16])] {
        for target in [Target::Vip(to_cn), Target::Name(cn.name.clone())] {
            let sent = world.says(&mut liar, asks(target, Some(wrong)));
            assert_eq!(liar.is_refused(&sent), Some(Refusal::WrongPath));
        }
    }
    let sent = world.says(&mut liar, asks(Target::Vip(to_cn), Some(own)));
    assert_eq!(liar.is_refused(&sent[..0]), None);
    assert!(sent.iter().any(|(to, _)| *to == cn.addr), "the right one is directed");
}

#[test]
fn a_path_between_others_is_not_directed_for_who_names_it_in_a_registration() {
    let mut world = World::new();
    let [mut liar, mn, cn] = three(&mut world);
    let path = world.path(&mn, &cn);
    for peer in [world.vip_of(&mn), world.vip_of(&cn), world.vip_of(&liar)] {
        liar.epoch = liar.epoch.next();
        let body = liar.registration(vec![PathRef { path, peer }]);
        let sent = world.says(&mut liar, body);
        assert!(sent.iter().all(|(to, _)| *to == liar.addr), "neither end hears of it");
        assert!(directions(&liar.hears(&sent)).is_empty());
    }
}

#[test]
fn only_the_node_that_was_told_can_acknowledge() {
    let mut world = World::new();
    let [mut liar, mut mn, mut cn] = three(&mut world);
    let sent = world.says(&mut mn, asks(Target::Name(cn.name.clone()), None));
    let told = directions(&cn.hears(&sent));
    let [(id, _)] = told.as_slice() else { panic!("CN is told first: {told:?}") };
    let forged = liar.seals_as(*id, SignalBody::Ack);
    assert!(world.arrives(liar.addr, &forged).is_empty(), "MN would be told too early");
    let early = mn.seals_as(*id, SignalBody::Ack);
    assert!(world.arrives(mn.addr, &early).is_empty(), "nor by MN itself");
    let genuine = cn.seals_as(*id, SignalBody::Ack);
    let sent = world.arrives(cn.addr, &genuine);
    assert_eq!(directions(&mn.hears(&sent)).len(), 1);
}

#[test]
fn a_node_cannot_speak_as_the_coordinator() {
    let mut world = World::new();
    let [mut liar, mn, cn] = three(&mut world);
    let before = world.coordinator.status();
    let key = mn.identity.public();
    let relay = RelayDirection { path: world.path(&mn, &cn), serial: u64::MAX, revoke: true };
    let bodies = [
        SignalBody::Revocation { key },
        SignalBody::RelayDirection(relay),
        SignalBody::Refusal(Refusal::NotMember),
        SignalBody::KeepAliveAck { observed: Candidate::udp(mn.addr) },
    ];
    for body in bodies {
        assert!(world.says(&mut liar, body).is_empty());
    }
    assert_eq!(before, world.coordinator.status());
}

#[test]
fn a_node_moves_and_takes_leave_for_itself_alone() {
    let mut world = World::new();
    let [mut liar, mn, cn] = three(&mut world);
    let present = |world: &World, peer: &Peer| {
        let status = world.coordinator.status();
        let member = status.members.into_iter().find(|m| m.record.name == peer.name).unwrap();
        (member.record.vips, member.present)
    };
    let before = [&mn, &cn].map(|peer| present(&world, peer));
    let mut claims = liar.registration(Vec::new());
    if let SignalBody::RegistrationRequest(request) = &mut claims {
        request.epoch = Epoch(u64::MAX);
        request.claimed = vec![Candidate::udp(mn.addr), Candidate::udp(cn.addr)];
        request.token = Some([1; 8]);
    }
    world.says(&mut liar, claims);
    world.says(&mut liar, SignalBody::Goodbye);
    assert_eq!(before, [&mn, &cn].map(|peer| present(&world, peer)));
    assert!(present(&world, &liar).1.is_empty());
}

#[test]
fn a_key_is_a_member_s_under_its_name_and_in_its_role_only() {
    let mut world = World::new();
    let mut liar = world.terminal("liar.example", 66);
    let mn = world.terminal("mn.example", 10);
    let refused = |world: &mut World, liar: &Peer| {
        let (initiator, first) = world.first_message(liar);
        let sent = world.arrives(liar.addr, &first);
        world.answer(liar, &initiator, &sent).err()
    };
    liar.role = MemberRole::Relay;
    assert_eq!(refused(&mut world, &liar), Some(Refusal::NotMember));
    liar.role = MemberRole::Terminal;
    liar.name = mn.name.clone();
    assert_eq!(refused(&mut world, &liar), Some(Refusal::WrongName));
    liar.identity = Identity::generate(&mut world.rng);
    assert_eq!(refused(&mut world, &liar), Some(Refusal::NotMember));
}

#[test]
fn a_removed_member_s_session_and_addresses_end_and_its_peers_are_told() {
    let mut world = World::new();
    let [mut liar, mut mn, _] = three(&mut world);
    let mut relay = world.registered("rs.example", MemberRole::Relay, 5);
    let (vips, path) = (world.vips_of(&liar), world.path(&liar, &mn));
    world.sent.clear();
    world.coordinator.remove_member(world.now, &liar.name).unwrap();
    world.drain();
    let sent = std::mem::take(&mut world.sent);
    let key = liar.identity.public();
    let said = |signals: Vec<Signal>| signals.into_iter().map(|signal| signal.body);
    assert!(said(mn.hears(&sent)).any(|body| body == SignalBody::Revocation { key }));
    let revoked = |body| match body {
        SignalBody::RelayDirection(direction) => direction.revoke && direction.path == path,
        _ => false,
    };
    assert!(said(relay.hears(&sent)).any(revoked));
    let asking = asks(Target::Name(mn.name.clone()), None);
    for body in [asking, liar.registration(Vec::new()), SignalBody::KeepAlive { token: None }] {
        assert!(is_unknown(&world.says(&mut liar, body)), "its session is over");
    }
    assert_eq!(world.coordinator.sessions.len(), 3, "the others' are all that is kept");
    let (initiator, first) = world.first_message(&liar);
    let sent = world.arrives(liar.addr, &first);
    assert_eq!(world.answer(&liar, &initiator, &sent).err(), Some(Refusal::NotMember));
    let target = Target::Vip(vips.iter().next().unwrap());
    let sent = world.says(&mut mn, asks(target, None));
    assert_eq!(mn.is_refused(&sent), Some(Refusal::Unknown), "its address leads nowhere");
}

/// Nothing is said but, perhaps, that the session is unknown.
fn is_unknown(sent: &[(SocketAddr, Vec<u8>)]) -> bool {
    sent.iter().all(|(_, datagram)| Kind::of(datagram) == Ok(Kind::UnknownSession))
}

#[test]
fn a_role_that_is_taken_away_ends_at_once() {
    let mut world = World::new();
    let mut both = world.registered("both.example", MemberRole::Relay, 5);
    let [mut liar, mn, _] = three(&mut world);
    let offered = |world: &mut World, liar: &mut Peer| {
        let sent = world.says(liar, asks(Target::Name(mn.name.clone()), None));
        let to_mn: usize = sent.iter().filter(|(to, _)| *to == mn.addr).count();
        assert_eq!(to_mn, 1);
        sent.iter().any(|(to, _)| *to == both.addr)
    };
    assert!(offered(&mut world, &mut liar));
    let roles = MemberRole::Terminal.into();
    let (name, key) = (both.name.clone(), both.identity.public());
    world.coordinator.add_member(world.now, Member { name, key, roles }).unwrap();
    world.drain();
    assert!(!offered(&mut world, &mut liar), "it relays no more");
    assert!(is_unknown(&world.says(&mut both, SignalBody::KeepAlive { token: None })));
}

#[test]
fn a_new_key_for_a_name_ends_the_old_one_s_session() {
    let mut world = World::new();
    let [mut old, _, _] = three(&mut world);
    let vips = world.vips_of(&old);
    let mut new = world.member("liar.example", MemberRole::Terminal, 67);
    assert!(is_unknown(&world.says(&mut old, SignalBody::KeepAlive { token: None })));
    world.opens_session(&mut new);
    assert_eq!(world.registers(&mut new, Vec::new()).vips, vips, "the name keeps its addresses");
}

#[test]
fn addresses_of_a_former_member_rest_for_a_day_whatever_restarts() {
    let mut world = World::new();
    let mn = world.terminal("mn.example", 10);
    let vips = world.vips_of(&mn);
    world.coordinator.remove_member(world.now, &mn.name).unwrap();
    world.drain();
    let day = Clocks::default().quarantine;
    world.waits(day - Duration::from_secs(1));
    assert_eq!(world.released, [], "not a second too early");
    let quarantine = world.stored.iter().find_map(|write| match write {
        Write::Put(record @ Record::Quarantine { .. }) => Some(record.clone()),
        _ => None,
    });
    world.waits(Duration::from_secs(2));
    assert_eq!(world.released, [vips]);

    let salt = Record::Domain { salt: [3; 32] };
    let mut restarted = World::restored(vec![salt, quarantine.unwrap()]);
    let mut newcomer = restarted.member("new.example", MemberRole::Terminal, 11);
    restarted.opens_session(&mut newcomer);
    // The allocator has forgotten: it hands the same ones out first.
    let body = newcomer.registration(Vec::new());
    let sent = restarted.says(&mut newcomer, body);
    assert_eq!(newcomer.is_refused(&sent), Some(Refusal::Failure));
    restarted.waits(day + Duration::from_secs(1));
    assert_eq!(restarted.released, [vips]);
}

#[test]
fn a_registration_ends_with_its_lifetime() {
    let mut world = World::new();
    let [mut liar, mn, _] = three(&mut world);
    world.waits(Clocks::default().lifetime - Duration::from_secs(1));
    liar.epoch = liar.epoch.next();
    world.registers(&mut liar, Vec::new());
    world.waits(Duration::from_secs(1));
    let sent = world.says(&mut liar, asks(Target::Name(mn.name.clone()), None));
    assert_eq!(liar.is_refused(&sent), Some(Refusal::Absent));
}

/// Asks for these in turn, each of which acknowledges if told to, until the coordinator
/// has enough of it; how often it was asked before.
fn asked_until_busy(
    world: &mut World,
    asker: &mut Peer,
    others: &mut [Peer],
    acknowledge: bool,
) -> usize {
    for asked in 0..4096 {
        let other = asked % others.len();
        let sent = world.says(asker, asks(Target::Name(others[other].name.clone()), None));
        if let Some([Signal { body: SignalBody::Refusal(refusal), .. }]) =
            asker.hears(&sent).first_chunk()
        {
            assert_eq!(*refusal, Refusal::Busy);
            return asked;
        }
        for (id, _) in directions(&others[other].hears(&sent)).into_iter().filter(|_| acknowledge) {
            let ack = others[other].seals_as(id, SignalBody::Ack);
            world.arrives(others[other].addr, &ack);
        }
    }
    panic!("there is no limit");
}

#[test]
fn one_member_has_few_directions_under_way_and_for_one_other_but_many_in_all() {
    for (count, acknowledge, limit) in [(1, true, 64), (100, false, 64), (100, true, 1024)] {
        let mut world = World::new();
        let mut liar = world.terminal("liar.example", 166);
        let mut others: Vec<_> =
            (0..count).map(|n| world.terminal(&format!("n{n}.example"), n)).collect();
        let asked = asked_until_busy(&mut world, &mut liar, &mut others, acknowledge);
        assert_eq!(asked, limit, "{count} others that acknowledge: {acknowledge}");
        // What is remembered is forgotten, and then there is room again.
        world.waits(Duration::from_secs(11));
        let asked = asked_until_busy(&mut world, &mut liar, &mut others, acknowledge);
        assert!(asked > 0);
    }
}

#[test]
fn who_asks_for_a_silent_node_hears_that_it_is_away_while_it_still_asks() {
    let mut world = World::new();
    let [_, mut mn, cn] = three(&mut world);
    let sent = world.says(&mut mn, asks(Target::Name(cn.name.clone()), None));
    assert!(mn.hears(&sent).is_empty());
    let sent = world.waits(Duration::from_secs(10));
    let heard: Vec<_> = mn.hears(&sent).into_iter().map(|signal| signal.body).collect();
    assert_eq!(heard, [SignalBody::Refusal(Refusal::Absent)]);
}

#[test]
fn the_same_request_again_is_the_same_request() {
    let mut world = World::new();
    let [_, mut mn, cn] = three(&mut world);
    let request = RequestId::of_node(77);
    let ask = |mn: &mut Peer| mn.seals_as(request, asks(Target::Name(cn.name.clone()), None));
    let first = ask(&mut mn);
    assert_eq!(world.arrives(mn.addr, &first).len(), 1, "CN is told");
    assert!(world.arrives(mn.addr, &first).is_empty(), "replayed");
    let again = ask(&mut mn);
    assert!(world.arrives(mn.addr, &again).is_empty(), "CN is being told already");
}
