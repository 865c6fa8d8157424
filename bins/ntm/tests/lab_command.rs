//! `ntm lab` as a user calls it: each row of the decision table is a test, and so
//! are some cells of the grid and the paper's measurement.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Failed, Trial, run};

    let mut arguments = Arguments::from_args();
    // Each is four machines and more; their timers want to be heard.
    arguments.test_threads.get_or_insert(2);
    let trials_of = |arguments: &[&str], test: fn(&str) -> Result<(), Failed>| {
        let names = String::from_utf8(linux::ntm(arguments).stdout).unwrap();
        let trial = |name: &str| {
            let name = name.to_owned();
            Trial::test(name.clone(), move || test(&name))
        };
        names.lines().map(trial).collect::<Vec<_>>()
    };
    let rows = trials_of(&["rows", "--list"], linux::row);
    let cells = trials_of(&["grid", "--quick", "--list"], linux::cell);
    let paper = ["fast", "seed"]
        .map(|mode| Trial::test(format!("paper_{mode}"), move || linux::paper(mode)));
    let bare = Trial::test("paper_without_tools", linux::paper_without_tools);
    let outfits = [
        Trial::test("paper_over_quic", linux::paper_over_quic),
        Trial::test("paper_with_udp_blocked", linux::paper_with_udp_blocked)
            .with_ignored_flag(ntm_lab::Tools::detect().nft.is_none()),
        Trial::test("paper_by_libraries", linux::paper_by_libraries),
        Trial::test("a_cell_over_quic", linux::cell_over_quic),
        Trial::test("a_cell_by_libraries", linux::cell_by_libraries),
    ];
    let resumed = Trial::test("a_killed_grid_is_gone_on_with", linux::killed_grid);
    // 5 rows × 2 families × 3 movers × 2 modes, and 5 × 4 changes of row.
    assert_eq!((rows.len(), cells.len()), (60 + 20, 9));
    let trials =
        rows.into_iter().chain(cells).chain(paper).chain(outfits).chain([bare, resumed]).collect();
    run(&arguments, trials).exit_code()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};
    use std::time::Duration;

    use libtest_mimic::Failed;
    use ntm_built::{copied, shared_object};
    use ntm_lab::scenario::until;
    use serde_json::Value;

    /// For something that must happen by itself.
    const LIMIT: Duration = Duration::from_secs(60);

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

    /// The command judges each cell; what it publishes of one says so too.
    pub(crate) fn cell(name: &str) -> Result<(), Failed> {
        cell_of(&["--only", name]).map(drop)
    }

    fn cell_of(arguments: &[&str]) -> Result<Value, Failed> {
        let report = json(&[&["grid", "--json"], arguments].concat())?;
        let name = arguments[1];
        let [cell] = report["cells"].as_array().unwrap().as_slice() else {
            return Err(format!("not one cell: {report:#}").into());
        };
        assert_eq!(cell["id"], name);
        for yes in ["passed", "path_id_kept", "checksum_ok"] {
            assert_eq!(cell[yes], true, "{yes}");
        }
        assert!(cell["outage_ms"].as_f64().unwrap() > 0.0);
        assert!(cell["lost"].as_u64().unwrap() > 0);
        assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &0.into()));
        Ok(report)
    }

    /// What was done before the kill counts, what was under way is gone, and the rest
    /// is done when the command is given again.
    pub(crate) fn killed_grid() -> Result<(), Failed> {
        let folder = tempfile::tempdir()?;
        let (journal, files) = (folder.path().join("cells"), folder.path().join("files"));
        let plot = folder.path().join("plot.svg");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ntm"));
        command.args(["lab", "grid", "--only", "v4-v4-mn-none", "--only", "v6-v6-mn-none"]);
        command.args(["--jobs", "1", "--json", "--resume"]).arg(&journal);
        command.arg("--files").arg(&files).arg("--plot").arg(&plot).stdin(Stdio::null());
        let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let lines = || fs::read_to_string(&journal).unwrap_or_default().lines().count();
        until("a line with a cell", LIMIT, || Ok((lines() >= 2).then_some(())))?;
        first.kill()?;
        first.wait()?;
        until("no process of that run", LIMIT, || Ok((!is_named(&files)).then_some(())))?;
        let before = fs::read_to_string(&journal)?;
        assert_eq!(before.lines().count(), 2, "the second one was under way");
        fs::OpenOptions::new().append(true).open(&journal)?.write_all(b"{\"id\":\"v6")?;
        let report = read(&command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?)?;
        assert_eq!(report["passed"], 2);
        let after = fs::read_to_string(&journal)?;
        assert!(after.starts_with(&before) && after.lines().count() == 3, "{after}");
        let logs = files.join("v6-v6-mn-none");
        assert!(["mn.log", "cn.log", "dc.log", "rs.log"].iter().all(|it| logs.join(it).exists()));
        assert_eq!(fs::read_to_string(&plot)?.matches("<circle").count(), 2);
        Ok(())
    }

    /// Whether the command line of any process has this path.
    fn is_named(path: &Path) -> bool {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        let path = path.to_str().unwrap();
        lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(path))
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

    pub(crate) fn paper_over_quic() -> Result<(), Failed> {
        let report = paper_of(&["--transport", "quic"])?;
        assert_eq!(report["transports"], serde_json::json!(["quic"]));
        Ok(())
    }

    pub(crate) fn paper_with_udp_blocked() -> Result<(), Failed> {
        let report = paper_of(&["--transport", "udp,quic", "--block-udp"])?;
        assert_eq!(report["udp_blocked"], true);
        let useless = ntm(&["paper", "--moves", "1", "--block-udp"]);
        assert_eq!(useless.status.code(), Some(2));
        Ok(())
    }

    pub(crate) fn paper_by_libraries() -> Result<(), Failed> {
        let folder = libraries()?;
        let report = paper_of(&["--libraries", folder.path().to_str().unwrap()])?;
        assert_eq!(report["libraries"], true);
        Ok(())
    }

    fn paper_of(arguments: &[&str]) -> Result<Value, Failed> {
        let report = json(&[&["paper", "--json", "--moves", "1"], arguments].concat())?;
        assert_eq!(report["checksum_ok"], true);
        assert_eq!(report["path_id_before"], report["path_id_after"]);
        Ok(report)
    }

    pub(crate) fn cell_over_quic() -> Result<(), Failed> {
        let report = cell_of(&["--only", "v4-dual-both-cone", "--transport", "quic"])?;
        assert_eq!(report["transports"], serde_json::json!(["quic"]));
        Ok(())
    }

    pub(crate) fn cell_by_libraries() -> Result<(), Failed> {
        let folder = libraries()?;
        let at = folder.path().to_str().unwrap();
        let arguments = ["--only", "dual-v6-mn-none", "--transport", "udp,quic", "--libraries", at];
        assert_eq!(cell_of(&arguments)?["libraries"], true);
        Ok(())
    }

    /// Every plugin that a node of the lab has, as a shared object.
    fn libraries() -> Result<tempfile::TempDir, Failed> {
        let folder = tempfile::tempdir()?;
        let plugins = [
            "transport-udp",
            "transport-quic",
            "watcher-netlink",
            "interface-tun",
            "traversal-rs",
            "vip-pool",
            "registry-redb",
        ];
        for plugin in plugins {
            copied(&shared_object(&format!("ntm-{plugin}-dyn")), folder.path());
        }
        Ok(folder)
    }

    pub(crate) fn paper(mode: &str) -> Result<(), Failed> {
        let plot =
            std::env::temp_dir().join(format!("ntm-paper-{mode}-{}.svg", std::process::id()));
        let _of_an_earlier_run = fs::remove_file(&plot);
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
        let picture = fs::read_to_string(&plot)?;
        fs::remove_file(&plot)?;
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        Ok(())
    }
}
