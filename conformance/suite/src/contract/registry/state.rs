use std::fs;
use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ntm_core::Rng;
use ntm_core::plugin::memory::MemoryRegistry;
use ntm_core::plugin::{PluginError, Record, Registry, Write};

use super::history::{commit, load, node, quarantine, reached, sorted, state, writes};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::within;

pub(super) async fn loaded(case: &Case) -> Verdict {
    let registry = case.registry()?;
    let empty = load(&*registry).await?;
    ensure!(empty.is_empty(), "a fresh one has {} records", empty.len());
    for number in 1..=30 {
        commit(&*registry, writes(number)).await?;
    }
    let first = load(&*registry).await?;
    ensure!(reached(first.clone())? == 30, "of 30 commits {} count", reached(first)?);
    for _ in 0..5 {
        ensure!(load(&*registry).await? == first, "`load` gives another order the second time");
    }
    Ok(Note::NONE)
}

pub(super) async fn in_order(case: &Case) -> Verdict {
    let registry = case.registry()?;
    let model = MemoryRegistry::default();
    let mut rng = Rng::from_seed([5; 32]);
    for _ in 0..60 {
        let writes: Vec<_> = (0..rng.number() % 8).map(|_| any(&mut rng)).collect();
        model.apply(writes.clone());
        commit(&*registry, writes.clone()).await?;
        let (found, expected) = (sorted(load(&*registry).await?), sorted(model.records()));
        ensure!(found == expected, "after {writes:?} there is {found:?}, and not {expected:?}");
    }
    Ok(Note::NONE)
}

/// A write about one of a few things, so that they meet.
fn any(rng: &mut Rng) -> Write {
    let number = 1 + rng.number() % 6;
    let record = match rng.number() % 3 {
        0 => Record::Domain { salt: [number as u8; 32] },
        1 => node(number),
        _ => quarantine(number),
    };
    if rng.number().is_multiple_of(3) { Write::Delete(record.key()) } else { Write::Put(record) }
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<(), PluginError>> + Send + 'a>>;

/// Goes one step with each call, in this order.
async fn begin(calls: &mut [Call<'_>]) -> Result<(), Stop> {
    for call in calls {
        let once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx)));
        if let Poll::Ready(done) = once.await {
            done?;
        }
    }
    Ok(())
}

pub(super) async fn overlapping(case: &Case) -> Verdict {
    const CALLS: u64 = 100;
    let registry = case.registry()?;
    let call = |number| {
        let registry = &registry;
        tokio_join(async move { registry.commit(writes(number)).await })
    };
    let mut calls: Vec<_> = (1..=CALLS).map(call).collect();
    let all = poll_fn(|cx| {
        let mut error = None;
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(done) => {
                error = error.take().or(done.err());
                false
            }
        });
        match error {
            Some(error) => Poll::Ready(Err(error)),
            None if calls.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    });
    within("100 commits at once", all).await??;
    let number = reached(load(&*registry).await?)?;
    ensure!(number == CALLS, "of {CALLS} commits {number} count");
    Ok(Note::NONE)
}

fn tokio_join<'a>(call: impl Future<Output = Result<(), PluginError>> + Send + 'a) -> Call<'a> {
    Box::pin(call)
}

pub(super) async fn dropped(case: &Case) -> Verdict {
    let registry = case.registry()?;
    for round in 0..20 {
        let number = round * 2 + 1;
        let before = reached(load(&*registry).await?)?;
        let mut calls = [tokio_join(async { registry.commit(writes(number)).await })];
        begin(&mut calls).await?;
        drop(calls);
        let after = reached(load(&*registry).await?)?;
        ensure!(after == before || after == number, "after commit {before} there is {after}");
        if after == before {
            // It may still happen, or never; then it is made now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            commit(&*registry, writes(number)).await?;
        }
        commit(&*registry, writes(number + 1)).await?;
        let last = reached(load(&*registry).await?)?;
        ensure!(last == number + 1, "after commit {} there is {last}", number + 1);
    }
    Ok(Note::NONE)
}

pub(super) async fn reopened(case: &Case) -> Verdict {
    for round in 0..5 {
        let registry = open_again(case).await?;
        let there = reached(load(&*registry).await?)?;
        ensure!(there == round * 3, "{} commits were acknowledged, {there} are there", round * 3);
        for number in there + 1..=there + 3 {
            commit(&*registry, writes(number)).await?;
        }
    }
    let registry = open_again(case).await?;
    ensure!(sorted(load(&*registry).await?) == state(15), "the records have changed");
    Ok(Note::NONE)
}

/// Whoever goes away may do so in the background.
pub(super) async fn open_again(case: &Case) -> Result<Arc<dyn Registry>, Stop> {
    let mut last = String::new();
    for _ in 0..400 {
        match case.registry() {
            Ok(registry) => return Ok(registry),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(Stop::broken(format!("it cannot be opened again: {last}")))
}

pub(super) async fn owners_alone(case: &Case) -> Verdict {
    let registry = case.registry()?;
    for number in 1..=3 {
        commit(&*registry, writes(number)).await?;
    }
    let seen = look(case.folder())?;
    ensure!(seen > 0, "it says that it keeps files in `{{folder}}`, and there is none");
    Ok(Note::NONE)
}

fn look(folder: &Path) -> Result<usize, Stop> {
    let mut seen = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::metadata(&path)?;
        if meta.is_dir() {
            // What is inside is behind its door.
            seen += if meta.permissions().mode() & 0o077 == 0 { 1 } else { look(&path)? };
            continue;
        }
        let mode = meta.permissions().mode() & 0o777;
        ensure!(mode & 0o077 == 0, "others may read {}: mode {mode:o}", path.display());
        seen += 1;
    }
    Ok(seen)
}
