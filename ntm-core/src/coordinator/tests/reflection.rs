//! What the coordinator sends to an address that has not been proved.

use super::*;

fn bytes_to(sent: &[(SocketAddr, Vec<u8>)], to: SocketAddr) -> usize {
    sent.iter().filter(|(at, _)| *at == to).map(|(_, datagram)| datagram.len()).sum()
}

/// A terminal with tunnels to many others, all of them present, and two relays.
fn busy(world: &mut World) -> (Peer, Vec<Peer>, Vec<PathRef>) {
    for last in [5, 6] {
        world.registered(&format!("rs{last}.example"), MemberRole::Relay, last);
    }
    let mn = world.terminal("mn.example", 10);
    let peers: Vec<_> =
        (20..40).map(|last| world.terminal(&format!("cn{last}.example"), last)).collect();
    let paths = peers
        .iter()
        .map(|peer| PathRef { path: world.path(&mn, peer), peer: world.vip_of(peer) })
        .collect();
    (mn, peers, paths)
}

#[test]
fn a_captured_registration_sent_first_from_elsewhere_gets_three_times_its_size() {
    let mut world = World::new();
    let (mut mn, _, paths) = busy(&mut world);
    let (home, elsewhere) = (mn.addr, addr(66));
    mn.epoch = mn.epoch.next();
    let captured = mn.seals(mn.registration(paths));
    let mut sent = world.arrives(elsewhere, &captured);
    sent.extend(world.waits(Duration::from_secs(60)));
    let reflected = bytes_to(&sent, elsewhere);
    assert!(reflected > 0, "it could have been the node itself");
    assert!(reflected <= 3 * captured.len(), "{reflected} bytes for {}", captured.len());
    let status = world.coordinator.status();
    let member = status.members.iter().find(|member| member.record.name == mn.name).unwrap();
    let (_, at) = &member.present[0];
    assert_eq!((at.location.observed[0].candidate.addr, at.proved), (home, true), "it lapsed");
}

#[test]
fn who_registers_all_the_time_directs_others_now_and_then() {
    let mut world = World::new();
    let (mut mn, peers, paths) = busy(&mut world);
    let mut directed = |world: &mut World, times: usize| -> usize {
        let mut count = 0;
        for _ in 0..times {
            mn.epoch = mn.epoch.next();
            let twice: Vec<_> = paths.iter().chain(&paths[..2]).copied().collect();
            let body = mn.registration(twice);
            let sent = world.says(&mut mn, body);
            let to_peer = |to: &SocketAddr| peers.iter().any(|peer| peer.addr == *to);
            count += sent.iter().filter(|(to, _)| to_peer(to)).count();
        }
        count
    };
    assert_eq!(directed(&mut world, 1), 20, "each once");
    assert_eq!(directed(&mut world, 100), 230);
    world.waits(Duration::from_secs(4));
    assert_eq!(directed(&mut world, 100), 100);
}

#[test]
fn who_has_proved_its_address_is_told_everything_at_once() {
    let mut world = World::new();
    let (mut mn, peers, paths) = busy(&mut world);
    mn.addr = addr(11);
    mn.epoch = mn.epoch.next();
    let count = paths.len();
    let body = mn.registration(paths);
    let sent = world.says(&mut mn, body);
    let heard = mn.hears(&sent);
    let token = heard.iter().find_map(|signal| match &signal.body {
        SignalBody::RegistrationResponse(response) => response.challenge,
        _ => None,
    });
    let sent = world.says(&mut mn, SignalBody::KeepAlive { token });
    let directed = |signal: &&Signal| matches!(signal.body, SignalBody::RouteDirection(_));
    let (before, after) = (heard.iter(), mn.hears(&sent));
    let (before, after) = (before.filter(directed).count(), after.iter().filter(directed).count());
    assert!(before >= 3, "the first ones as soon as it registers: {before}");
    assert_eq!((before + after, peers.len()), (count, count), "and the others at its proof");
}
