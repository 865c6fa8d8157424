//! What a move costs does not depend on how many terminals there are. With 10,000:
//! `just scale`.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use common::setup;
use ntm_core::terminal::Mode;
use ntm_sim::scale::{Cost, Crowd};

fn cost(terminals: usize) -> Cost {
    let cost = Crowd::gather(setup(1, Mode::Fast), terminals).cost(25, |_| ());
    assert_eq!(cost.silent, 0, "every pair still talks: {cost:?}");
    let [before, after] = cost.coordinator_size;
    assert!(after * 100 <= before * 105, "the coordinator has grown: {cost:?}");
    cost
}

#[test]
fn a_move_costs_the_same_among_a_hundred_and_a_thousand() {
    let (few, many) = (cost(100), cost(1000));
    for of in [|c: &Cost| c.of_terminals, |c: &Cost| c.of_coordinator, |c: &Cost| c.of_relays] {
        let (few, many) = (of(&few), of(&many));
        assert!(many.datagrams <= few.datagrams * 1.1 + 0.5, "{few:?}, then {many:?}");
        assert!(many.bytes <= few.bytes * 1.1 + 50.0, "{few:?}, then {many:?}");
    }
    // Every move is told to the coordinator, and every other end of it.
    assert!(many.of_coordinator.datagrams >= 3.0, "{many:?}");
    assert!(many.of_terminals.datagrams <= 80.0, "{many:?}");
}
