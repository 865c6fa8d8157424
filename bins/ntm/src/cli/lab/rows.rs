use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Args;
use ntm::Exit;
use ntm_lab::scenario::rows::{self, Case};
use serde_json::{Value, json};

use super::{Progress, enter, keep_files};
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
        let progress = Progress::new();
        let queue: Mutex<VecDeque<_>> = Mutex::new(cases.iter().copied().enumerate().collect());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let done = Mutex::new(vec![Value::Null; cases.len()]);
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some((at, case)) = next() {
                        let outcome = self.run_alone(case);
                        let verdict = if outcome["passed"] == true { "passed" } else { "FAILED" };
                        progress.say(&format!("{} of {}: {case} {verdict}", at + 1, cases.len()));
                        done.lock().unwrap_or_else(PoisonError::into_inner)[at] = outcome;
                    }
                });
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_alone(&self, case: Case) -> Value {
        let name = case.to_string();
        let wrong =
            |what: String| json!({ "case": name, "passed": false, "wrong": [what.trim_end()] });
        let mut command = Command::new("/proc/self/exe");
        command.args(["lab", "rows", "--json", "--only", &name]).stdin(Stdio::null());
        if let Some(files) = &self.files {
            command.arg("--files").arg(files);
        }
        match command.output() {
            Ok(output) => {
                let outcomes: Option<Vec<Value>> = serde_json::from_slice(&output.stdout).ok();
                outcomes
                    .and_then(|mut outcomes| outcomes.pop())
                    .unwrap_or_else(|| wrong(String::from_utf8_lossy(&output.stderr).into_owned()))
            }
            Err(error) => wrong(format!("cannot start: {error}")),
        }
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
