//! `ntm lab` as a user calls it: each row of the decision table is a test, and so
//! is the paper's measurement.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial, run};

    let mut arguments = Arguments::from_args();
    // Each is four machines and more; their timers want to be heard.
    arguments.test_threads.get_or_insert(2);
    let listed = linux::ntm(&["rows", "--list"]);
    let names = String::from_utf8(listed.stdout).unwrap();
    let rows = names.lines().map(|name| {
        let name = name.to_owned();
        Trial::test(name.clone(), move || linux::row(&name))
    });
    let paper = ["fast", "seed"]
        .map(|mode| Trial::test(format!("paper_{mode}"), move || linux::paper(mode)));
    let bare = Trial::test("paper_without_tools", linux::paper_without_tools);
    let trials = rows.chain(paper).chain([bare]).collect::<Vec<_>>();
    // 5 rows × 2 families × 3 movers × 2 modes, and 5 × 4 changes of row.
    assert_eq!(trials.len(), 60 + 20 + 3);
    run(&arguments, trials).exit_code()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::process::{Command, Output, Stdio};

    use libtest_mimic::Failed;
    use serde_json::Value;

    pub(crate) fn ntm(arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ntm"));
        command.arg("lab").args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn json(arguments: &[&str]) -> Result<Value, Failed> {
        read(&ntm(arguments))
    }

    fn read(output: &Output) -> Result<Value, Failed> {
        let said = String::from_utf8_lossy(&output.stderr);
        let value: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("no JSON ({error}); it said: {said}"))?;
        if !output.status.success() {
            return Err(format!("{}: {said}{value:#}", output.status).into());
        }
        Ok(value)
    }

    /// The same Path ID and virtual addresses before and after, the way that the
    /// row asks for, a download with the right checksum, and no complaint in any
    /// log: all judged by the command.
    pub(crate) fn row(name: &str) -> Result<(), Failed> {
        let outcomes = json(&["rows", "--json", "--only", name])?;
        let outcome = &outcomes[0];
        assert_eq!(outcome["case"], name);
        assert_eq!(outcome["passed"], true);
        assert_eq!(outcome["checksum_ok"], true);
        assert_eq!(outcome["path_id"][0], outcome["path_id"][1]);
        assert_eq!(outcome["path_id"][0].as_str().unwrap().len(), 32);
        let way = |row: char| if row == '4' { "relay" } else { "direct" };
        let rows: Vec<_> = name.split("row").skip(1).filter_map(|s| s.chars().next()).collect();
        assert_eq!(outcome["way"][0], way(rows[0]));
        assert_eq!(outcome["way"][1], way(*rows.last().unwrap()));
        Ok(())
    }

    /// With nobody else's programs the lab does it all itself, and says so.
    pub(crate) fn paper_without_tools() -> Result<(), Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ntm"));
        command.args(["lab", "paper", "--json", "--moves", "1", "--size", "16", "--rtt", "4"]);
        let output = command.env("NTM_LAB_TOOLS", "none").stdin(Stdio::null()).output()?;
        let report = read(&output)?;
        assert_eq!((&report["addresses"], &report["nat"]), (&"static".into(), &"emulator".into()));
        assert_eq!(report["rtt_ms"], 4.0);
        assert_eq!(report["bytes"], 16 << 20);
        assert_eq!(report["checksum_ok"], true);
        assert_eq!(report["path_id_before"], report["path_id_after"]);
        Ok(())
    }

    pub(crate) fn paper(mode: &str) -> Result<(), Failed> {
        let plot =
            std::env::temp_dir().join(format!("ntm-paper-{mode}-{}.svg", std::process::id()));
        let _of_an_earlier_run = std::fs::remove_file(&plot);
        let report = json(&[
            "paper",
            "--json",
            "--moves",
            "1",
            "--mode",
            mode,
            "--plot",
            plot.to_str().unwrap(),
        ])?;
        assert_eq!(report["checksum_ok"], true);
        assert_eq!(report["path_id_before"], report["path_id_after"]);
        assert_eq!(report["path_id_before"].as_str().unwrap().len(), 32);
        for phase in ["detected", "registered", "directed", "rebuilt", "first_packet"] {
            let micros = &report["phases_us"][phase];
            assert!(micros.is_u64() || micros.is_f64(), "{phase}: {micros}");
        }
        for direction in ["down", "up"] {
            assert!(report["outage_ms"][direction].as_f64().unwrap() > 0.0);
            assert!(report["lost"][direction].as_u64().unwrap() > 0);
        }
        let picture = std::fs::read_to_string(&plot)?;
        std::fs::remove_file(&plot)?;
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        Ok(())
    }
}
