//! The measurement runs from end to end and answers in the form that is
//! documented. How fast anything is, is not asserted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::process::{Command, Output};

use ntm_built::{copied, program, shared_object};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ntm-bench")).args(arguments).output().unwrap()
}

#[test]
fn a_quick_run_measures_everything_of_no_tunnel_and_of_ntm() {
    let folder = tempfile::tempdir().unwrap();
    for package in ["ntm-transport-udp-dyn", "ntm-interface-tun-dyn"] {
        copied(&shared_object(package), folder.path());
    }
    let (json, plot) = (folder.path().join("figures.json"), folder.path().join("figures.svg"));
    let program = program("ntm");
    let output = bench(&[
        "throughput",
        "--quick",
        "--only",
        "none,ntm,ntm-quic,ntm-libraries",
        "--ntm",
        program.to_str().unwrap(),
        "--libraries",
        folder.path().to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
        "--plot",
        plot.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    if told.contains("iperf3 is not here") {
        // All of the TCP figures are iperf3's.
        return;
    }
    assert!(output.status.success(), "{said}{told}");
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["schema"], 1);
    let tunnels = report["tunnels"].as_array().unwrap();
    assert_eq!(tunnels.len(), 4);
    for tunnel in tunnels {
        let name = tunnel["name"].as_str().unwrap();
        assert_eq!(tunnel["measured"], true, "{name}: {}", tunnel["why_not"]);
        let metrics = tunnel["metrics"].as_object().unwrap();
        for (key, figures) in metrics {
            let value = figures["median"].as_f64().unwrap();
            let may_be_none = key.ends_with("retransmits");
            assert!(value > 0.0 || may_be_none && value == 0.0, "{name} {key}: {figures}");
            assert_eq!(figures["values"].as_array().unwrap().len(), 1);
        }
        // Without a tunnel no process has costs.
        assert_eq!(metrics.len(), if name == "none" { 18 } else { 20 });
    }
    assert!(report["ratios"]["ntm"]["none"]["tcp1_there"].as_f64().unwrap() > 0.0);
    for table in ["TCP", "UDP", "Round trips", "Cost", "ntm divided by the others"] {
        assert!(told.contains(table), "{told}");
    }
    // A bar of each tunnel in each panel.
    let plot = std::fs::read_to_string(plot).unwrap();
    assert_eq!(plot.matches("<rect x=").count(), 4 * 6);
}

#[test]
fn a_relay_is_measured_that_has_other_paths_besides() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("figures.json");
    let program = program("ntm");
    let files = [program.to_str().unwrap(), json.to_str().unwrap()];
    let only = ["--path", "relayed", "--only", "ntm-paths", "--paths", "40"];
    let output = bench(
        &[&["throughput", "--quick", "--ntm", files[0], "--json", files[1]], &only[..]].concat(),
    );
    let told = String::from_utf8_lossy(&output.stdout);
    if told.contains("iperf3 is not here") {
        return;
    }
    // It fails unless the relay says that it has so many, and all are there to the end.
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!((&report["path"], &report["paths"]), (&"relayed".into(), &40.into()));
    let tunnel = &report["tunnels"][0];
    assert_eq!(tunnel["measured"], true, "{}", tunnel["why_not"]);
    assert!(tunnel["metrics"]["tcp1_there"]["median"].as_f64().unwrap() > 0.0, "{tunnel}");
}

#[test]
fn a_transfer_survives_moves() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("moves.json");
    let program = program("ntm");
    let (program, file) = (program.to_str().unwrap(), json.to_str().unwrap());
    let output =
        bench(&["moves", "--gib", "0.2", "--every", "0.2", "--ntm", program, "--json", file]);
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{told}");
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["intact"], true);
    assert_eq!(report["bytes"], 214_748_364);
    assert!(!report["moves_s"].as_array().unwrap().is_empty(), "{told}");
    assert!(report["memory_kib"]["left"][0].as_u64().unwrap() > 0);
}

#[test]
fn moves_are_measured_at_both_ends_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (json, plot) = (folder.path().join("handover.json"), folder.path().join("handover.svg"));
    let program = program("ntm");
    let output = bench(&[
        "handover",
        "--only",
        "ntm",
        "--variant",
        "plain,listening,both",
        "--rtt",
        "5",
        "--moves",
        "2",
        "--ntm",
        program.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
        "--plot",
        plot.to_str().unwrap(),
    ]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["schema"], 1);
    let rows = report["rows"].as_array().unwrap();
    let variants: Vec<_> = rows.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    assert_eq!(variants, ["plain", "listening", "both"]);
    for row in rows {
        assert_eq!((&row["cut"], &row["why_not"]), (&false.into(), &Value::Null), "{row}");
        let moves = row["moves"].as_array().unwrap();
        assert_eq!(moves.len(), 2, "{row}");
        for moved in moves {
            assert!(moved["mover_silence_ms"].as_f64().unwrap() > 0.0, "{row}");
            // An end to which nothing is sent has no silence.
            assert_eq!(moved["peer_silence_ms"].is_null(), row["variant"] == "listening", "{row}");
            assert!(moved["acted_ms"].is_f64(), "the node tells of it too: {row}");
            if row["variant"] == "plain" {
                assert!(moved["repointed_ms"].is_f64() && moved["rebuilt_ms"].is_f64(), "{row}");
            }
        }
    }
    assert!(!report["aims"].as_array().unwrap().is_empty());
    assert!(told.contains("both ends move at once"), "{told}");
    let plot = std::fs::read_to_string(plot).unwrap();
    assert_eq!(plot.matches("<circle").count(), 2 * 3);
}

#[test]
fn stages_are_measured_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("stages.json");
    let output = bench(&["stages", "--quick", "--json", json.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let measured: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(measured["schema"], 1);
    for (name, nanos) in measured["nanoseconds"].as_object().unwrap() {
        assert!(nanos.as_f64().unwrap() > 0.0, "{name}");
        assert!(measured["ratios"][name].as_f64().unwrap() > 0.0, "{name}");
    }
    // Nobody would notice when a stage without a baseline gets slower. A quick run has
    // fewer stages than the baseline.
    let baseline: Value = serde_json::from_str(include_str!("../stages.json")).unwrap();
    for name in measured["ratios"].as_object().unwrap().keys() {
        assert!(baseline["ratios"][name].is_number(), "{name} has no baseline");
    }
    assert_eq!(measured["reference"], baseline["reference"]);
    for name in ["aes-seal-1400", "outbound-run", "inbound-run", "coalesce", "tunnels-run-1"] {
        assert!(told.contains(name), "{told}");
    }
    let missing = bench(&["stages", "--check", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn the_boundary_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let library = copied(&shared_object("ntm-transport-udp-dyn"), folder.path());
    let json = folder.path().join("boundary.json");
    let files = [library.to_str().unwrap(), json.to_str().unwrap()];
    let output = bench(&["boundary", "--quick", "--library", files[0], "--json", files[1]]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let measured: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let comparisons = measured["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 3);
    for comparison in comparisons {
        for way in comparison["ways"].as_array().unwrap() {
            assert!(way["median"].as_f64().unwrap() > 0.0, "{way}");
            assert!(way["ratio"].as_f64().unwrap() > 0.0, "{way}");
            assert_eq!(way["values"].as_array().unwrap().len(), 2);
        }
    }
    assert!(told.contains("| shared object |"), "{told}");
    let missing = bench(&["boundary", "--library", "/nowhere.so"]);
    assert_eq!(missing.status.code(), Some(4));
}

#[test]
fn what_is_not_installed_is_told_and_left_out() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntm-bench"));
    command.args(["throughput", "--quick", "--only", "nebula", "--ntm", "/bin/true"]);
    let output = command.env("NTM_LAB_TOOLS", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("nebula: not measured: nebula-cert is not here"), "{told}");
}

#[test]
fn what_is_not_built_or_has_no_place_is_told_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let only = ["--quick", "--only", "ntm-libraries,ntm-paths", "--ntm", "/bin/true"];
    let libraries = ["--libraries", folder.path().to_str().unwrap()];
    let output = bench(&[&["throughput"], &only[..], &libraries].concat());
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    for words in [
        "ntm-libraries: not measured: ",
        "libntm_transport_udp_dyn.so is not here; build it with `cargo build --release -p ntm-",
        "ntm-paths: not measured: there is no relay",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let nowhere = bench(&["throughput", "--libraries", "/nowhere", "--ntm", "/bin/true"]);
    assert_eq!(nowhere.status.code(), Some(4));
}

#[test]
fn a_wrong_name_is_wrong_usage() {
    let output = bench(&["throughput", "--only", "nebulla"]);
    assert_eq!(output.status.code(), Some(2));
    let listed = bench(&["throughput", "--list"]);
    assert!(listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in ["none", "ntm", "ntm-quic", "ntm-libraries", "ntm-crowd", "ntm-paths", "nebula"] {
        assert!(listed.lines().any(|line| line.split(' ').next() == Some(name)), "{listed}");
    }
}
