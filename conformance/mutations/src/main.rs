//! Makes each mutation, or those whose names contain these words, and says which test
//! noticed: `just mutations [WORD …]`. Leaves with 1 if one is not noticed.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ntm_mutations::{Catch, Mutation, Outcome, Workshop, all, root};

/// A test that is to fail by an assertion does so within this, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all are noticed.
fn run(words: &[String]) -> Result<bool, String> {
    let mut mutations = all(&root().join("conformance/mutations"))?;
    mutations.retain(|one| words.is_empty() || words.iter().any(|word| one.name.contains(word)));
    if mutations.is_empty() {
        return Err("there is no such mutation".into());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let workshop = Workshop::new(&root(), &target.join("mutations"), LIMIT);
    let mut holds = are_sound(&workshop, &mutations)?;
    println!("| mutation | what is taken away | invariant | noticed by | it says | s |");
    println!("| --- | --- | --- | --- | --- | ---: |");
    for mutation in &mutations {
        workshop.prepare(Some(mutation)).map_err(|what| format!("{}: {what}", mutation.name))?;
        for catch in &mutation.caught_by {
            eprintln!("{}: {} …", mutation.name, catch.test);
            let began = Instant::now();
            let outcome = workshop.run(catch);
            let said = match &outcome {
                Outcome::Failed(said) if said.contains(&catch.says) => catch.says.clone(),
                Outcome::Failed(said) => missed(&mut holds, &format!("something else: {said}")),
                Outcome::Passed => missed(&mut holds, "nothing: it passes"),
                Outcome::Endless => missed(&mut holds, "nothing: it did not end"),
                Outcome::Broken(what) => missed(&mut holds, what),
            };
            println!(
                "| `{}` | {} | {} | `{}` | {said} | {:.0} |",
                mutation.name,
                mutation.what,
                mutation.invariant,
                catch.shown(),
                began.elapsed().as_secs_f64(),
            );
        }
    }
    Ok(holds)
}

/// What a test has to do without a mutation: pass.
fn are_sound(workshop: &Workshop, mutations: &[Mutation]) -> Result<bool, String> {
    workshop.prepare(None)?;
    let mut tests: Vec<&Catch> = mutations.iter().flat_map(|one| &one.caught_by).collect();
    tests.sort_by_key(|catch| catch.shown());
    tests.dedup_by_key(|catch| catch.shown());
    let mut sound = true;
    for catch in tests {
        eprintln!("without a mutation: {} …", catch.test);
        let outcome = workshop.run(catch);
        if outcome != Outcome::Passed {
            sound = false;
            println!("{}, without a mutation: {outcome:?}\n", catch.shown());
        }
    }
    Ok(sound)
}

fn missed(holds: &mut bool, what: &str) -> String {
    *holds = false;
    let first = what.replace('\n', " ").replace('|', "\\|");
    format!("**not noticed**: {first}")
}
