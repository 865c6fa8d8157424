use std::time::Duration;

use ntm_conformance::{Check, Kind, Report, Tried};

use super::say;

/// Every promise on a line; with what is needed for it to be tried.
pub(super) fn list(checks: &[&Check], kind: Option<Kind>) {
    let of_kind = |check: &&&Check| kind.is_none_or(|kind| check.requirement.kinds.contains(&kind));
    for check in checks.iter().filter(of_kind) {
        let needs = if check.needs.is_empty() {
            String::new()
        } else {
            format!(" (claim: {})", check.needs.join(", "))
        };
        say(format!("{:<7} {}{needs}", check.id(), check.requirement.title));
    }
}

/// What became of each promise of a plugin.
pub(super) fn report(report: &Report) {
    say(format!("{} ({}, {})", report.name, report.kind, report.origin));
    for it in &report.tried {
        let Tried { requirement, outcome, took } = it;
        let line = format!(
            "  {:<7} {:<11} {:>8}  {}",
            requirement.id,
            outcome.word(),
            span(*took),
            requirement.title
        );
        say(line);
        let remark = outcome.remark();
        if !remark.is_empty() {
            say(format!("{:<30}  {remark}", ""));
        }
        if it.failed() {
            say(format!("{:<30}  see {}", "", requirement.section));
        }
    }
    say("");
}

fn span(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}
