//! A peer with a tunnel of its own that lies.

use super::*;
use crate::wire::TunnelRequest;

fn moves(peer: &mut Peer, last: u8, candidates: Vec<Candidate>) -> Control {
    peer.addr = addr(last);
    peer.epoch = peer.epoch.next();
    let (epoch, challenge) = (peer.epoch, [1; 8]);
    Control::TunnelRequest(TunnelRequest { epoch, challenge, old_gone: false, candidates })
}

#[test]
fn a_peer_moves_itself_alone_and_says_nothing_for_another() {
    let mut world = World::new();
    let (mut liar, cn) = (world.peer("liar.example", 66), world.peer("cn.example", 20));
    let mut session = world.connected(&liar);
    world.connected(&cn);
    let before = world.terminal.tunnels[&world.path(&cn)].clone();
    let update = moves(&mut liar, 67, Vec::new());
    // In its own session, but for the other's path.
    let forged = session.seal(world.path(&cn), Side::Higher, liar.epoch, &update);
    assert!(world.arrives(liar.addr, &forged).is_empty());
    world.says(&liar, &mut session, &update);
    assert_eq!(world.way(&liar), Some(liar.addr));
    world.says(&liar, &mut session, &Control::Close);
    assert_eq!(world.terminal.tunnels[&world.path(&cn)], before);
    assert_eq!(world.way(&liar), None);
}

#[test]
fn a_peer_cannot_send_us_to_private_or_special_addresses() {
    let mut world = World::new();
    let mut liar = world.peer("liar.example", 66);
    let mut session = world.connected(&liar);
    let inside = ["127.0.0.1:53", "10.0.0.1:80", "192.168.1.1:80", "224.0.0.1:1", "[fd00::1]:53"];
    let candidates = inside.iter().map(|text| Candidate::udp(text.parse().unwrap())).collect();
    let update = moves(&mut liar, 67, candidates);
    let mut sent = world.says(&liar, &mut session, &update);
    // Something makes us tell the peer where we are by every way we know.
    world.terminal.recover(world.now, world.path(&liar));
    sent.extend(world.waits(Duration::from_secs(30)));
    assert!(to(&sent, liar.addr) > 0);
    let outside = [DC, liar.addr, addr(66)];
    assert!(sent.iter().all(|(to, _)| outside.contains(to)), "{sent:?}");
}

#[test]
fn a_peer_that_is_everywhere_fills_nothing() {
    let mut world = World::new();
    let mut liar = world.peer("liar.example", 66);
    let mut session = world.connected(&liar);
    for number in 0..3000_u32 {
        let update = moves(&mut liar, 67, Vec::new());
        let [.., a, b] = number.to_be_bytes();
        liar.addr.set_ip([198, 51, a, b].into());
        world.says(&liar, &mut session, &update);
    }
    assert_eq!(world.way(&liar), Some(liar.addr));
    let size = format!("{:?}", world.terminal).len();
    assert!(world.terminal.asked_routes.len() < 600, "{}", world.terminal.asked_routes.len());
    for number in 3000..6000_u32 {
        let update = moves(&mut liar, 67, Vec::new());
        let [.., a, b] = number.to_be_bytes();
        liar.addr.set_ip([198, 51, a, b].into());
        world.says(&liar, &mut session, &update);
    }
    let after = format!("{:?}", world.terminal).len();
    assert!(after < size + 200_000, "{size} bytes, then {after}");
}

#[test]
fn an_older_epoch_moves_nothing() {
    let mut world = World::new();
    let mut liar = world.peer("cn.example", 20);
    let mut session = world.connected(&liar);
    let old = liar.epoch;
    let update = moves(&mut liar, 21, Vec::new());
    world.says(&liar, &mut session, &update);
    let new = liar.addr;
    assert_eq!(world.way(&liar), Some(new));
    liar.addr = addr(66);
    let late =
        TunnelRequest { epoch: old, challenge: [1; 8], old_gone: false, candidates: Vec::new() };
    assert!(world.says(&liar, &mut session, &Control::TunnelRequest(late)).is_empty());
    assert_eq!(world.way(&liar), Some(new));
}
