use std::fs;
use std::time::{Duration, Instant};

use ntm_core::plugin::PluginError;

use crate::case::Case;
use crate::kind::Kind;
use crate::outcome::{Stop, Verdict};
use crate::wait::until;

/// As often as this, unless the time is up before.
const TIMES: usize = 10_000;

/// What other things of this process may open meanwhile: a leak is one each time.
const SLACK: usize = 6;

pub(super) async fn leaks(case: &Case) -> Verdict {
    let Some(_) = Open::now() else {
        return Err(Stop::not_tried("this system does not tell what a process has open"));
    };
    // Whatever is made once and kept.
    for _ in 0..5 {
        once(case).await?;
    }
    let before = settled().await;
    let begin = Instant::now();
    let mut times = 0;
    while times < TIMES && begin.elapsed() < case.repeat() {
        once(case).await?;
        times += 1;
    }
    let took = begin.elapsed().as_secs_f64();
    let mut left = before;
    let gone = until("an end", || {
        left = Open::now().unwrap_or(before);
        let fits = left.descriptors <= before.descriptors + SLACK
            && left.threads <= before.threads + SLACK;
        Ok(fits.then_some(()))
    });
    if gone.await.is_err() {
        let how = format!(
            "after {times} times: {} descriptors where {} were, {} threads where {} were",
            left.descriptors, before.descriptors, left.threads, before.threads
        );
        return Err(Stop::broken(how));
    }
    Ok(format!("opened and closed {times} times in {took:.1} s").into())
}

#[derive(Clone, Copy)]
struct Open {
    descriptors: usize,
    threads: usize,
}

impl Open {
    fn now() -> Option<Self> {
        let count = |folder| fs::read_dir(folder).ok().map(Iterator::count);
        Some(Self { descriptors: count("/proc/self/fd")?, threads: count("/proc/self/task")? })
    }
}

/// What is open when what is being closed is closed.
async fn settled() -> Open {
    let mut last = Open { descriptors: usize::MAX, threads: usize::MAX };
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = Open::now().unwrap_or(last);
        if now.descriptors >= last.descriptors && now.threads >= last.threads {
            break;
        }
        last = now;
    }
    last
}

/// Opens an instance and closes it, as its kind is closed.
async fn once(case: &Case) -> Result<(), PluginError> {
    match case.subject().kind() {
        Kind::Transport => case.transport(1)?.close().await,
        Kind::Watcher => drop(case.watcher()?),
        Kind::Traversal => drop(case.traversal()?),
        Kind::Vip => drop(case.vip()?),
        Kind::Interface => case.interface_of(1, 1)?.close().await,
        Kind::Registry => drop(reopened(case).await?),
    }
    // Those who clean up on this runtime.
    tokio::task::yield_now().await;
    Ok(())
}

/// What a registry holds may be let go a moment after it is gone.
async fn reopened(case: &Case) -> Result<(), PluginError> {
    let mut last = None;
    for _ in 0..1_000 {
        match case.registry() {
            Ok(registry) => {
                drop(registry);
                return Ok(());
            }
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    last.map_or(Ok(()), Err)
}
