//! What a move costs among 100, 1,000 and 10,000 terminals of which one in a
//! hundred moves every second: `just scale`.
//!
//! Prints a table, and writes a plot where told to:
//! `cargo run --release -p ntm-sim --example scale -- FILE.svg [COUNT …]`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ntm_core::coordinator::{Clocks, RelayQuota};
use ntm_core::plugin::{Plan, PlanRequest};
use ntm_core::terminal::Mode;
use ntm_sim::Setup;
use ntm_sim::scale::{Cost, Crowd};
use ntm_traversal_rs::Rs;

const SECONDS: u32 = 25;

fn decide(request: &PlanRequest) -> Plan {
    Rs::new(Default::default()).expect("the defaults are valid").decide(request)
}

fn measure(terminals: usize) -> (Cost, Duration) {
    let shows = std::io::stderr().is_terminal();
    let said = |what: &str| {
        if shows {
            eprint!("\r{terminals} terminals: {what}…          ");
        }
    };
    said("gathering");
    let began = Instant::now();
    let setup = Setup {
        seed: 1,
        decide,
        mode: Mode::Fast,
        clocks: Clocks::default(),
        quota: RelayQuota::default(),
    };
    let mut crowd = Crowd::gather(setup, terminals);
    let gathered = crowd.coordinator_time() / terminals.max(1) as u32;
    let cost = crowd.cost(SECONDS, said);
    if shows {
        eprintln!("\r{terminals} terminals: {:.1} s          ", began.elapsed().as_secs_f64());
    }
    (cost, gathered)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let mut counts: Vec<usize> = arguments.filter_map(|count| count.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![100, 1_000, 10_000];
    }
    println!(
        "{:>9} {:>6} | {:>21} | {:>21} | {:>21} | {:>11} {:>11} {:>11} {:>6}",
        "terminals",
        "moves",
        "terminals, a move",
        "coordinator, a move",
        "relays, a move",
        "µs a move",
        "µs a start",
        "bytes each",
        "silent"
    );
    let mut costs = Vec::new();
    for count in counts {
        let (cost, start) = measure(count);
        let both = |per: ntm_sim::scale::PerMove| {
            format!("{:>6.2} dgrams {:>6.0} B", per.datagrams, per.bytes)
        };
        println!(
            "{:>9} {:>6} | {:>21} | {:>21} | {:>21} | {:>11.1} {:>11.1} {:>11} {:>6}",
            cost.terminals,
            cost.moves,
            both(cost.of_terminals),
            both(cost.of_coordinator),
            both(cost.of_relays),
            cost.coordinator_time.as_secs_f64() * 1e6,
            start.as_secs_f64() * 1e6,
            cost.coordinator_size[1],
            cost.silent,
        );
        costs.push(cost);
    }
    if let Some(file) = file
        && let Err(error) = std::fs::write(&file, ntm_sim::scale::plot(&costs))
    {
        eprintln!("{file}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
