//! Small worlds, explored to the end.

use ntm_model::worlds::small;

/// Explores the small worlds of one kind.
fn explored(kind: &str) {
    let mut states = 0;
    let worlds = small().into_iter().filter(|world| world.name.starts_with(&format!("{kind}, ")));
    let is_of_kind = |name: &str| {
        name[kind.len()..].starts_with(", fast") || name[kind.len()..].starts_with(", seed")
    };
    for world in worlds.filter(|world| is_of_kind(&world.name)) {
        let found = world.explore(2);
        if let Some((property, schedule)) = found.broken.first() {
            panic!("{}: not {property}\n{}", world.name, schedule.join("\n"));
        }
        states += found.states;
    }
    assert!(states > 1000, "{states} states are no world");
}

#[test]
fn a_direct_tunnel() {
    explored("direct");
}

#[test]
fn a_direct_tunnel_whose_ends_move_again_at_once() {
    explored("direct, in a breath");
}

#[test]
fn a_relayed_tunnel_whose_ends_move_again_at_once() {
    explored("relayed, in a breath");
}

#[test]
fn a_direct_tunnel_in_use() {
    explored("direct, talking");
}

#[test]
fn a_direct_tunnel_with_a_relay_at_hand() {
    explored("direct, a relay at hand");
}

#[test]
fn a_relayed_tunnel() {
    explored("relayed");
}

#[test]
fn two_that_call_each_other_at_once() {
    explored("glare");
}
