//! How fast `ntm` is beside other tunnels: all in one run, one after the other
//! and again, in the same namespaces, with the same probes.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bed;
#[cfg(target_os = "linux")]
mod boundary;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod handover;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod moves;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod stages;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod tunnel;
#[cfg(target_os = "linux")]
mod turn;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write as _;
    let _nobody_listens =
        writeln!(std::io::stderr(), "ntm-bench: only Linux has network namespaces");
    // As every command of `ntm`: this system cannot do it.
    std::process::ExitCode::from(6)
}
