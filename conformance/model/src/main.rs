//! Explores the worlds that take minutes, or those whose names contain a word:
//! `cargo run --release -p ntm-model -- relayed`. Leaves with 1 if it finds a
//! schedule that breaks a property, and tells it.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what it finds is for people")]

use std::process::ExitCode;
use std::time::Instant;

use ntm_model::worlds::{large, small};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_small = words.iter().any(|word| word == "small");
    let worlds = if is_small { small() } else { large() };
    let wanted =
        |name: &str| words.iter().all(|word| word == "small" || name.contains(word.as_str()));
    let mut holds = true;
    println!("| world | states | longest schedule | time |");
    println!("| --- | ---: | ---: | ---: |");
    for world in worlds.into_iter().filter(|world| wanted(&world.name)) {
        let began = Instant::now();
        let explored = world.explore(2);
        println!(
            "| {} | {} | {} steps | {:.1} s |",
            world.name,
            explored.states,
            explored.longest,
            began.elapsed().as_secs_f32()
        );
        for (property, schedule) in explored.broken {
            holds = false;
            println!("\nBroken: {property}\n{}\n", schedule.join("\n"));
        }
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
