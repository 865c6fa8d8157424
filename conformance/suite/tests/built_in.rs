//! Every built-in plugin keeps every promise, linked and as a shared object.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::process::ExitCode;
    use std::time::Duration;

    use libtest_mimic::{Arguments, Failed, Trial};
    use ntm_conformance::{BUILT_IN, Check, Kind, Outcome, Runner, Subject, contract};
    use ntm_lab::sandbox;

    pub(super) fn main() -> ExitCode {
        ntm_conformance::commit_if_called();
        let mut arguments = Arguments::from_args();
        // Some checks count what the process has open.
        arguments.test_threads = Some(1);
        let wanted = |linked: &str| {
            let filter = arguments.filter.as_deref();
            filter.is_none_or(|filter| linked.contains(filter))
        };
        let shared: Vec<_> = BUILT_IN
            .iter()
            .filter(|(kind, name, _)| wanted(&format!("{kind}_{name}_as_a_shared_object")))
            .map(|(kind, name, _)| format!("ntm-{kind}-{name}-dyn"))
            .collect();
        if !sandbox::is_inside() && !arguments.list && !shared.is_empty() {
            for package in &shared {
                ntm_built::shared_object(package);
            }
        }
        sandbox::enter();
        let trials = BUILT_IN.iter().flat_map(|(kind, name, claims)| {
            let (kind, name, claims) = (*kind, *name, *claims);
            let linked = move || keeps(Subject::built_in(name, Some(kind), None).unwrap());
            let shared = move || {
                let claims_file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(claims_file.path(), claims).unwrap();
                let library = ntm_built::library(&format!("ntm-{kind}-{name}-dyn"));
                let subjects = Subject::library(&library, Some(kind), Some(claims_file.path()));
                keeps(subjects.unwrap().remove(0))
            };
            [
                Trial::test(format!("{kind}_{name}_linked"), linked),
                Trial::test(format!("{kind}_{name}_as_a_shared_object"), shared),
            ]
        });
        libtest_mimic::run(&arguments, trials.collect()).exit_code()
    }

    /// What is claimed is tried, and kept.
    fn keeps(subject: Subject) -> Result<(), Failed> {
        let kind: Kind = subject.kind();
        let checks: Vec<Check> = contract::of(kind).filter(|check| !check.lab).copied().collect();
        let runner = Runner { repeat: Duration::from_secs(1), ..Runner::default() };
        let report = runner.run(subject, &checks, |_| {});
        let good =
            |outcome: &Outcome| matches!(outcome, Outcome::Passed(_) | Outcome::NotClaimed(_));
        let bad: Vec<_> = report
            .tried
            .iter()
            .filter(|it| !good(&it.outcome))
            .map(|it| format!("{}: {}", it.requirement.id, it.outcome.remark()))
            .collect();
        if bad.is_empty() { Ok(()) } else { Err(bad.join("\n").into()) }
    }
}
