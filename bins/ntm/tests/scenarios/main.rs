//! The scenarios H1–H18 of a hand-over under one Path ID, each by its name, with
//! whole nodes on real kernels. `docs/TESTING.md` says where those are that have
//! no test here.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]

#[cfg(target_os = "linux")]
mod moves;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
#[path = "../outages/stage.rs"]
mod stage;
#[cfg(target_os = "linux")]
mod strangers;
#[cfg(target_os = "linux")]
mod tap;
#[cfg(target_os = "linux")]
mod unlike;

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
    let no_nft = ntm_lab::Tools::find("nft").is_none();
    let trials = vec![
        trial("h01_mn_moves_both_open", moves::h01_mn_moves_both_open),
        trial("h02_from_the_open_behind_a_nat_and_back", moves::h02_behind_a_nat_and_back),
        trial("h03_cn_moves", moves::h03_cn_moves),
        trial("h04_both_move_at_once", moves::h04_both_move_at_once),
        trial("h05_a_relay_first_then_a_direct_way_and_a_move_again", moves::h05_relay_then_direct),
        trial("h06_from_ipv4_to_ipv6_alone_and_back", moves::h06_from_ipv4_to_ipv6_alone),
        trial("h07_a_nat_forgets_without_a_local_event", unlike::h07_a_nat_forgets),
        trial("h08_a_late_direction_changes_nothing", strangers::h08_a_late_direction)
            .with_ignored_flag(no_nft),
        trial("h09_a_replayed_packet_from_elsewhere_moves_nothing", strangers::h09_replayed),
        trial("h10_a_copy_that_arrives_first_gains_little", strangers::h10_copied)
            .with_ignored_flag(no_nft),
        trial("h11_what_is_forged_or_repeated_changes_nothing", strangers::h11_forged),
        trial("h15_two_that_begin_at_once_meet_in_one_tunnel", unlike::h15_glare),
        trial("h16_another_transport_across_a_move", unlike::h16_another_transport)
            .with_ignored_flag(no_nft),
        trial("h17_a_watcher_that_polls", unlike::h17_a_watcher_that_polls),
    ];
    run(&arguments, trials).exit_code()
}
