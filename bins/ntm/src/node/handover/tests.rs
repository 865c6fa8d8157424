use ntm_core::address::{Leg, TransportId, Vips};
use ntm_core::id::Side;
use ntm_core::tunnel::TableEvent;
use ntm_core::{Rng, crypto};

use super::*;

const PATH: PathId = PathId::from_bytes([7; 16]);

fn at(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

fn way(last: u8, relayed: bool) -> Way {
    Way { leg: Leg::to(TransportId(0), ([203, 0, 113, last], 4330).into()), relayed }
}

fn local(last: u8) -> Cause {
    Cause::Local { source: [192, 0, 2, last].into() }
}

/// A table with one tunnel that has keys.
fn table() -> Table {
    let mut table = Table::new(&mut Rng::from_seed([1; 32]));
    let vips = |last| Vips { v4: Some([198, 18, 0, last].into()), v6: None };
    let open = TableEvent::Open { path: PATH, side: Side::Lower, own: vips(1), peer: vips(2) };
    table.apply(at(0), &open);
    let install = TableEvent::Install {
        path: PATH,
        direction: ntm_core::tunnel::Direction::Send,
        slot: 1,
        suite: crypto::Suite::ChaCha20Poly1305,
        key: crypto::Secret::new([2; 32]),
    };
    table.apply(at(0), &install);
    table
}

fn held(count: u64) -> Stats {
    Stats { held: count, ..Stats::default() }
}

#[test]
fn our_move_is_told_with_both_ends_of_it_and_who_won() {
    let (mut handovers, table) = (Handovers::default(), table());
    handovers.note_source(Some([192, 0, 2, 1].into()));
    handovers.note_way(PATH, "cn.example".parse().unwrap(), way(5, true));
    handovers.note_event(at(10));
    handovers.note_source(None);
    handovers.note_source(Some([192, 0, 2, 9].into()));
    let epoch = Epoch(4);
    let mut note = |phase, ms| handovers.note(epoch, phase, at(ms), &table, held(3));
    note(Phase::Detected(local(9)), 11);
    note(Phase::Told(PATH), 11);
    handovers.note_sent(at(12));
    let mut note = |phase, ms| handovers.note(epoch, phase, at(ms), &table, held(3));
    note(Phase::Registered, 22);
    note(Phase::Directed(PATH), 23);
    note(Phase::Rebuilt(PATH, Winner::Direction), 32);
    handovers.note_way(PATH, "cn.example".parse().unwrap(), way(6, false));
    table.get(&PATH).unwrap().count_received(at(33), 1, 100);
    handovers.look(at(40), &table, held(8));
    handovers.look(at(11) + AFTERMATH, &table, held(99));

    let report = serde_json::to_value(handovers.report(1)).unwrap();
    let moved = &report[0];
    assert_eq!((&moved["cause"], &moved["epoch"]), (&"local".into(), &4.into()));
    assert_eq!(
        (&moved["old_source"], &moved["source"]),
        (&"192.0.2.1".into(), &"192.0.2.9".into())
    );
    assert_eq!(
        (&moved["detected_ns"], &moved["sent_ns"]),
        (&10_000_000.into(), &12_000_000.into())
    );
    assert_eq!(moved["phases_us"], serde_json::json!({ "detected": 2000, "registered": 10_000 }));
    assert_eq!(moved["packets"], serde_json::json!({ "held": 5, "dropped": 0 }));
    let tunnel = &moved["tunnels"][0];
    assert_eq!(tunnel["peer"], "cn.example");
    assert_eq!(tunnel["old"], serde_json::json!({ "kind": "relay", "remote": "203.0.113.5:4330" }));
    assert_eq!(
        tunnel["new"],
        serde_json::json!({ "kind": "direct", "remote": "203.0.113.6:4330" })
    );
    let steps = ["directed", "rebuilt", "first_packet"].map(|step| tunnel[step].as_u64());
    assert_eq!(steps, [Some(11_000), Some(20_000), Some(21_000)]);
    assert_eq!(tunnel["won"], "direction");
}

#[test]
fn a_peers_move_is_remembered_beside_ours() {
    let (mut handovers, table) = (Handovers::default(), table());
    handovers.note(Epoch(4), Phase::Detected(local(9)), at(10), &table, held(0));
    // Both move at once; the coordinator is quicker than the peer's own word.
    let mut peer = |phase, ms| {
        handovers.note_peer((PATH, Epoch(90)), phase, at(ms), &table, held(0));
    };
    peer(PeerPhase::Directed, 30);
    let noticed = |by| PeerPhase::Noticed { by, from: Some(way(5, false)), to: way(6, false) };
    peer(noticed(Notice::Word), 31);
    peer(PeerPhase::Proved, 51);
    peer(noticed(Notice::Rebinding), 99);
    table.get(&PATH).unwrap().count_received(at(100), 1, 100);
    handovers.look(at(101), &table, held(0));

    let report = serde_json::to_value(handovers.report(9)).unwrap();
    let causes: Vec<_> = (0..3).map(|nth| report[nth]["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["local", "peer", "rebinding"]);
    let steps = &report[1]["tunnels"][0];
    assert_eq!((&steps["directed"], &steps["told"]), (&0.into(), &1000.into()));
    assert_eq!((&steps["rebuilt"], &steps["won"]), (&21_000.into(), &"direction".into()));
    assert_eq!(steps["first_packet"], serde_json::Value::Null, "it came after the next move");
    assert_eq!(report[2]["tunnels"][0]["first_packet"], 1000);
    assert_eq!(report[0]["tunnels"][0]["first_packet"], 90_000, "ours has it as well");
}

#[test]
fn no_more_than_so_many_are_remembered() {
    let (mut handovers, table) = (Handovers::default(), table());
    for nth in 0..MOST as u64 + 5 {
        handovers.note(Epoch(nth), Phase::Detected(Cause::DeadPath), at(nth), &table, held(0));
    }
    let report = handovers.report(usize::MAX);
    assert_eq!(report.len(), MOST);
    assert_eq!(report[0].epoch, Epoch(5));
    assert_eq!(handovers.report(2)[0].epoch, Epoch(MOST as u64 + 3));
}
