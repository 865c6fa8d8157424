//! Explores what may happen to a pair for as long as it is told, from seeds that no
//! test tries, and writes what fails as a file with as few steps as will do:
//! `just soak`.
//!
//! `cargo run --release -p ntm-sim --example soak -- SECONDS FOLDER [FIRST SEED]`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ntm_core::coordinator::{Clocks, RelayQuota};
use ntm_core::plugin::{Plan, PlanRequest};
use ntm_core::terminal::Mode;
use ntm_sim::Setup;
use ntm_sim::explore::{Course, run, shorten};
use ntm_traversal_rs::Rs;

/// Where the tests end.
const FIRST: u64 = 1_000;

fn decide(request: &PlanRequest) -> Plan {
    Rs::new(Default::default()).expect("the defaults are valid").decide(request)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let folder = arguments.next().unwrap_or_else(|| "target/soak".into());
    let first = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(FIRST);
    let (clocks, quota) = (Clocks::default(), RelayQuota::default());
    let setup = Setup { seed: 0, decide, mode: Mode::Fast, clocks, quota };
    let shows = std::io::stderr().is_terminal();
    let began = Instant::now();
    let (mut slowest, mut most, mut failed, mut steps) = (Duration::ZERO, 0, 0, 0);
    let mut seed = first;
    while began.elapsed() < Duration::from_secs(seconds) {
        let course = Course::of(seed);
        steps += course.steps.len();
        match run(setup, &course) {
            Ok(report) => {
                slowest = slowest.max(report.converged);
                most = most.max(report.signalled);
            }
            Err(what) => {
                failed += 1;
                let shortest = shorten(&course, |course| run(setup, course).is_err());
                let why = run(setup, &shortest).err().unwrap_or(what);
                let file = Path::new(&folder).join(format!("seed-{seed}.jsonl"));
                let text = format!("# {why}\n{}", shortest.to_text());
                let kept =
                    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, &text));
                if let Err(error) = kept {
                    eprintln!("{}: {error}", file.display());
                    return ExitCode::FAILURE;
                }
                println!("{}: {why}", file.display());
            }
        }
        seed += 1;
        if shows {
            eprint!(
                "\r{} seeds, {failed} failed, {:.0} s ",
                seed - first,
                began.elapsed().as_secs_f64()
            );
        }
    }
    if shows {
        eprintln!();
    }
    println!(
        "seeds {first} to {}: {steps} steps, {failed} failed; converged within {slowest:?}, at most \
         {most} signalling datagrams of an end in a step",
        seed - 1
    );
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
