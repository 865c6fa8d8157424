//! Plays a course from a file, and tells what everybody says meanwhile:
//! `just replay FILE`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;

use ntm_core::coordinator::{Clocks, RelayQuota};
use ntm_core::plugin::{Plan, PlanRequest};
use ntm_core::terminal::Mode;
use ntm_sim::Setup;
use ntm_sim::explore::{Course, tell};
use ntm_traversal_rs::Rs;

fn decide(request: &PlanRequest) -> Plan {
    Rs::new(Default::default()).expect("the defaults are valid").decide(request)
}

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("which file?");
        return ExitCode::FAILURE;
    };
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let course = text.and_then(|text| Course::from_text(&text));
    let (clocks, quota) = (Clocks::default(), RelayQuota::default());
    let setup = Setup { seed: 0, decide, mode: Mode::Fast, clocks, quota };
    let played =
        course.and_then(|course| tell(setup, &course, Box::new(|line| println!("{line}"))));
    match played {
        Ok(report) => {
            println!("{report:?}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{file}: {what}");
            ExitCode::FAILURE
        }
    }
}
