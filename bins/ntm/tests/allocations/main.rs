//! A packet costs no memory: once buffers have grown to what the traffic needs,
//! nothing is allocated for a packet, a batch or a turn. First what packets are made
//! of, one piece at a time, then whole workers.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]

#[cfg(target_os = "linux")]
#[allow(dead_code, unreachable_pub, reason = "a part of the program, of which some is used")]
#[path = "../../src/clock.rs"]
mod clock;
#[cfg(target_os = "linux")]
mod count;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "the benchmark's own, of which some is used")]
#[path = "../../../../conformance/bench/src/stages/ends.rs"]
mod ends;
#[cfg(target_os = "linux")]
mod lanes;
#[cfg(target_os = "linux")]
mod pieces;
// The program's own source, compiled once more: nobody outside the library can
// reach a worker.
#[cfg(target_os = "linux")]
#[allow(dead_code, unused_imports, reason = "a part of the program, of which some is used")]
#[path = "../../src/worker/mod.rs"]
mod worker;
#[cfg(target_os = "linux")]
mod workers;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use libtest_mimic::{Arguments, Trial, run};

    let mut arguments = Arguments::from_args();
    // They count in one place.
    arguments.test_threads = Some(1);
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        trial("the_count_counts", pieces::the_count_counts),
        trial("sending_packets_allocates_nothing", pieces::sending_packets),
        trial("receiving_packets_allocates_nothing", pieces::receiving_packets),
        trial("runs_both_ways_allocate_nothing", pieces::runs_both_ways),
        trial("waiting_in_turns_allocates_nothing", pieces::waiting_in_turns),
        trial("forwarding_allocates_nothing", pieces::forwarding),
        trial("workers_allocate_nothing_for_packets", workers::packets_through_three_workers),
    ];
    run(&arguments, trials).exit_code()
}
