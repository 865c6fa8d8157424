use std::path::PathBuf;

use clap::Args;
use ntm::Exit;
use ntm_lab::scenario::rows::{self, Case};
use serde_json::{Value, json};

use super::beside::Beside;
use super::{enter, keep_files};
use crate::cli::{Failure, output};

/// The decision table, with a move in each of its rows.
///
/// Rows 1 to 5, for IPv4 and IPv6, with MN, CN or both moving, in fast and in
/// seed mode, and each row turning into each other one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ntm lab rows --list
  ntm lab rows --jobs 2
  ntm lab rows --only row4 --only row1-to-row5 --json

Exit code 1 if a download did not arrive whole, the Path ID did not stay the same
or the path was not the one that the decision table asks for.")]
pub(in crate::cli) struct Rows {
    /// Only cases whose names begin like this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only show the names.
    #[arg(long)]
    list: bool,
    /// How many cases run at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Keep the nodes' configurations and logs here, in a folder a case.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

impl Rows {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let chosen = |case: &Case| {
            let name = case.to_string();
            self.only.is_empty() || self.only.iter().any(|begin| name.starts_with(begin))
        };
        let cases: Vec<_> = Case::all().into_iter().filter(chosen).collect();
        if cases.is_empty() {
            let message = "no case has such a name; `ntm lab rows --list` shows them";
            return Err(Failure::new(Exit::Usage, message));
        }
        if self.list {
            cases.iter().for_each(|case| output::say(case.to_string()));
            return Ok(());
        }
        let outcomes = match cases.as_slice() {
            [case] => vec![self.run_here(*case)?],
            several => self.run_beside(several),
        };
        let failed = outcomes.iter().filter(|outcome| outcome["passed"] != true).count();
        if self.json {
            output::say(format!("{:#}", json!(outcomes)));
        } else {
            outcomes.iter().for_each(show);
            output::say(format!("{} of {} passed", outcomes.len() - failed, outcomes.len()));
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::new(Exit::Failed, format!("{failed} did not pass; see above"))),
        }
    }

    fn run_here(&self, case: Case) -> Result<Value, Failure> {
        let (program, folder) = enter()?;
        let outcome = rows::run(&program, &folder, case);
        if let Some(into) = &self.files {
            keep_files(&folder, &into.join(case.to_string()))?;
        }
        Ok(json!(outcome?))
    }

    /// Runs each case in a process of its own, some at once.
    fn run_beside(&self, cases: &[Case]) -> Vec<Value> {
        let names: Vec<_> = cases.iter().map(Case::to_string).collect();
        let beside =
            Beside { arguments: vec!["rows"], files: self.files.as_deref(), jobs: self.jobs };
        let mut outcomes = vec![Value::Null; cases.len()];
        beside.run(&names, |at, outcome| {
            outcomes[at] = match outcome {
                Ok(mut outcomes) => outcomes[0].take(),
                Err(broken) => {
                    json!({ "case": names[at], "passed": false, "wrong": [broken.why] })
                }
            };
            Some(outcomes[at]["passed"] == true)
        });
        outcomes
    }
}

fn show(outcome: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let verdict = if outcome["passed"] == true { "passed" } else { "FAILED" };
    output::say(format!(
        "{verdict}  {:<20} {} → {}, longest stall {:.0} ms, Path ID {}",
        text(&outcome["case"]),
        text(&outcome["way"][0]),
        text(&outcome["way"][1]),
        outcome["longest_stall_ms"].as_f64().unwrap_or(f64::NAN),
        text(&outcome["path_id"][0]),
    ));
    for wrong in outcome["wrong"].as_array().into_iter().flatten() {
        output::say(format!("        {}", text(wrong)));
    }
}
