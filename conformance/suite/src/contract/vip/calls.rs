//! Calls that overlap, are given up, or take their time.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ntm_core::address::Vips;
use ntm_core::plugin::Vip;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::allocator::{all, all_apart, key, name};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{begin_and_drop, within};

/// What a coordinator waits.
const IN_TIME: Duration = Duration::from_secs(2);

pub(super) async fn at_once(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let count = allocator.at_most(64);
        let leases = overlapping(allocator.vip.clone(), count).await?;
        all_apart(&leases, || format!("{}: calls overlap", allocator.config))?;
    }
    Ok(Note::NONE)
}

pub(super) async fn on_threads(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let threads = allocator.at_most(4);
        let each = allocator.at_most(200) / threads.max(1);
        let work = move |vip: Arc<dyn Vip>| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(overlapping(vip, each))
        };
        let (answer, answers) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..threads {
            let (vip, answer) = (allocator.vip.clone(), answer.clone());
            thread::spawn(move || answer.send(work(vip)));
        }
        drop(answer);
        let mut answers = answers;
        let mut leases = Vec::new();
        for _ in 0..threads {
            let answer = within("the leases of a thread", answers.recv()).await?;
            let died = || Stop::broken("a thread that allocated has died");
            leases.extend(answer.ok_or_else(died)??);
        }
        all_apart(&leases, || format!("{}: {threads} threads", allocator.config))?;
    }
    Ok(Note::NONE)
}

/// So many leases whose calls overlap.
async fn overlapping(vip: Arc<dyn Vip>, count: u64) -> Result<Vec<Vips>, Stop> {
    let mut calls = JoinSet::new();
    for number in 0..count {
        let vip = vip.clone();
        calls.spawn(async move { vip.allocate(&name(number), &key(number)).await });
    }
    let mut leases = Vec::new();
    while let Some(call) = within("an answer to `allocate`", calls.join_next()).await? {
        let lease = call.map_err(|error| Stop::broken(format!("an allocation died: {error}")))?;
        leases.push(lease.map_err(|error| {
            Stop::broken(format!("with room for {count} at once, one was refused: {error}"))
        })?);
    }
    Ok(leases)
}

pub(super) async fn given_up(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let config = &allocator.config;
        let mut leases = Vec::new();
        // Each one that was given up may stay reserved.
        for number in 0..allocator.at_most(90) / 3 {
            let (name, key) = (name(1_000 + number), key(1_000 + number));
            begin_and_drop(allocator.vip.allocate(&name, &key));
            begin_and_drop(allocator.vip.release(&Vips::default()));
            leases.push(allocator.ask(number).await?.map_err(|error| {
                Stop::broken(format!("{config}: after {number} calls were given up: {error}"))
            })?);
        }
        all_apart(&leases, || format!("{config}: with others given up"))?;
    }
    Ok(Note::NONE)
}

/// Of three answers one at least: a busy machine may delay any.
pub(super) async fn in_time(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let mut late = 0;
        for number in 0..allocator.at_most(3) {
            let (name, key) = (name(number), key(number));
            if timeout(IN_TIME, allocator.vip.allocate(&name, &key)).await.is_ok() {
                break;
            }
            late += 1;
        }
        let config = &allocator.config;
        ensure!(late < allocator.at_most(3), "{config}: {late} allocations took over {IN_TIME:?}");
    }
    Ok(Note::NONE)
}
