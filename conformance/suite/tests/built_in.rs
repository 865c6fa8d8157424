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
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitCode};
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
            build(&shared);
        }
        sandbox::enter();
        let trials = BUILT_IN.iter().flat_map(|(kind, name, claims)| {
            let (kind, name, claims) = (*kind, *name, *claims);
            let linked = move || keeps(Subject::built_in(name, Some(kind), None).unwrap());
            let shared = move || {
                let claims_file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(claims_file.path(), claims).unwrap();
                let library = library(&format!("ntm-{kind}-{name}-dyn"));
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

    /// The folder that cargo builds into.
    fn target() -> PathBuf {
        // target/debug/deps/test
        std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
    }

    fn build(packages: &[String]) {
        // One by one, as other tests do: together they would have other features, and be
        // built anew.
        for package in packages {
            let status = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--offline", "--target-dir"])
                .arg(target())
                .args(["-p", package])
                .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
                .status();
            assert!(status.unwrap().success());
        }
    }

    fn library(package: &str) -> PathBuf {
        let name = format!("lib{}{}", package.replace('-', "_"), std::env::consts::DLL_SUFFIX);
        target().join("debug").join(name)
    }
}
