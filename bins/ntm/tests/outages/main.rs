//! What still works when a coordinator or a relay is killed, UDP is blocked or a plugin is
//! broken: whole nodes on real kernels, with a checksummed download across each outage.
#![allow(clippy::unwrap_used, reason = "these are tests")]

#[cfg(target_os = "linux")]
mod coordinator;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod transport;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Failed, Trial, run};

    ntm_lab::sandbox::enter();
    let mut arguments = Arguments::from_args();
    // Each test is a network of machines that share the processors.
    arguments.test_threads.get_or_insert(1);
    let trial = |name: &str, test: fn() -> ntm_lab::Result<()>| {
        Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
    };
    let trials = vec![
        trial("tunnels_outlive_a_coordinator_that_remembers", coordinator::killed_and_restarted),
        trial(
            "h13_an_open_pair_moves_without_a_coordinator",
            coordinator::down_while_open_pair_moves,
        ),
        trial(
            "h13_a_relayed_pair_moves_without_a_coordinator",
            coordinator::down_while_relayed_pair_moves,
        ),
        trial("h14_another_relay_takes_over", relay::killed_with_another_left),
        trial("a_direct_pair_goes_on_by_quic_and_back", transport::blocked_for_a_direct_pair),
        trial("a_relayed_pair_goes_on_by_quic", transport::blocked_for_a_relayed_pair),
        trial("a_transport_that_does_wrong_takes_no_node_down", faults::one_after_the_other),
        trial("another_transport_takes_over_from_one_that_hangs", faults::hung_beside_quic),
        trial("who_never_had_udp_finds_everybody", transport::blocked_from_the_start),
        trial(
            "a_library_carries_where_udp_never_passes",
            transport::by_a_library_where_udp_never_passes,
        )
        .with_ignored_flag(transport::tls_library().is_none()),
    ];
    run(&arguments, trials).exit_code()
}
