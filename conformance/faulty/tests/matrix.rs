//! Every fault is found by the promise that it breaks, and nothing is wrong with the
//! same wrapper around a good plugin.
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

    use libtest_mimic::{Arguments, Failed, Trial};
    use ntm_conformance::Kind;
    use ntm_faulty::matrix::{Libraries, control, many};
    use ntm_faulty::{FAULTS, Mistake};
    use ntm_lab::sandbox;

    /// The kinds whose faults are tried in libraries, too.
    const IN_LIBRARIES: [&str; 2] = ["transport", "vip"];

    /// What makes the library of a kind.
    fn package(kind: &str) -> String {
        format!("ntm-faulty-{kind}-dyn")
    }

    pub(super) fn main() -> ExitCode {
        let mut arguments = Arguments::from_args();
        // They share a machine, and some count what the process has open.
        arguments.test_threads = Some(1);
        if !sandbox::is_inside() && !arguments.list {
            for kind in IN_LIBRARIES {
                ntm_built::shared_object(&package(kind));
            }
        }
        sandbox::enter();
        let trials = vec![
            Trial::test("every_fault_is_found_by_the_promise_that_it_breaks", found),
            Trial::test("each_kind_has_faults_and_there_are_enough", enough),
            Trial::test("without_a_mistake_nothing_is_found", nothing),
        ];
        libtest_mimic::run(&arguments, trials).exit_code()
    }

    fn found() -> Result<(), Failed> {
        // What they panic with is told where it is missing.
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let library = ntm_built::library(&package(IN_LIBRARIES[0]));
        let rows = many(FAULTS, &Libraries::of(library.parent().unwrap()), false);
        std::panic::set_hook(loud);
        let rows = rows?;
        let across = rows.iter().filter(|row| row.via != "linked").count();
        let crossing = FAULTS.iter().filter(|fault| fault.crosses).count();
        assert!(across == crossing && across > 0, "{across} of {crossing} in libraries");
        assert_eq!(rows.len(), FAULTS.len() + across);
        let missed: Vec<_> = rows
            .iter()
            .filter(|row| !row.is_caught())
            .map(|row| format!("{} ({}): {}", row.fault.name, row.via, row.fault.breaks))
            .collect();
        if missed.is_empty() { Ok(()) } else { Err(missed.join("\n").into()) }
    }

    fn enough() -> Result<(), Failed> {
        assert!(FAULTS.len() >= 30);
        for good in Mistake::NONE {
            let kind: Kind = good.kind();
            let count = FAULTS.iter().filter(|fault| fault.mistake.kind() == kind).count();
            assert!(count > 0, "no fault is one of a {kind}");
        }
        Ok(())
    }

    fn nothing() -> Result<(), Failed> {
        for good in Mistake::NONE {
            let found = control(good)?;
            assert!(found.is_empty(), "{}: {found:?}", good.kind());
        }
        Ok(())
    }
}
