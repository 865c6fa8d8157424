use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::machine::{PEER, WIFI, Watch, ip, open, two_links};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::PATIENCE;

pub(super) async fn dropped_next(case: &Case) -> Verdict {
    const ROUNDS: u8 = 8;
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    for round in 0..ROUNDS {
        watch.calm_down().await?;
        let address = format!("10.0.1.{}", 100 + round);
        drop_often(&mut watch, 200).await?;
        world.add_address(WIFI, &format!("{address}/24"))?;
        // Never waited for longer than a moment.
        let end = Instant::now() + PATIENCE;
        loop {
            let moment = Duration::from_micros(200 + u64::from(round) * 300);
            if watch.next_within(moment).await?.is_some() && watch.has(&address).await? {
                break;
            }
            ensure!(
                Instant::now() < end,
                "{address} came while `next` was dropped again and again, and was never told"
            );
            tokio::task::yield_now().await;
        }
    }
    Ok(Note::NONE)
}

async fn drop_often(watch: &mut Watch, times: usize) -> Result<(), Stop> {
    for _ in 0..times {
        let mut next = watch.0.next();
        if let Poll::Ready(told) = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            told?;
        }
    }
    Ok(())
}

pub(super) async fn shown_and_told(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    for (nth, glance) in ["snapshot", "routes", "snapshot"].into_iter().enumerate() {
        watch.calm_down().await?;
        let address = format!("10.0.1.{}", 120 + nth);
        world.add_address(WIFI, &format!("{address}/24"))?;
        // Seen without having been told.
        if glance == "routes" {
            watch.routes(&[PEER, &address]).await?;
        } else {
            ensure!(watch.has(&address).await?, "{address} is there, and a snapshot has it not");
        }
        watch.next(&format!("{address}, which `{glance}` has shown already")).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn dropped_questions(case: &Case) -> Verdict {
    two_links(case)?;
    let mut watch = open(case).await?;
    let before = (watch.snapshot().await?, watch.routes(&[PEER]).await?);
    let to = [ip(PEER), ip("10.0.2.9")];
    for _ in 0..100 {
        let mut snapshot = watch.0.snapshot();
        let _unfinished = poll_fn(|cx| Poll::Ready(snapshot.as_mut().poll(cx).is_ready())).await;
        drop(snapshot);
        let mut routes = watch.0.routes(&to);
        let _unfinished = poll_fn(|cx| Poll::Ready(routes.as_mut().poll(cx).is_ready())).await;
        drop(routes);
    }
    let after = (watch.snapshot().await?, watch.routes(&[PEER]).await?);
    ensure!(after == before, "after questions that were dropped: {after:?}, before: {before:?}");
    Ok(Note::NONE)
}

pub(super) async fn silence(case: &Case) -> Verdict {
    const MOST: usize = 20;
    let at_rest = Duration::from_secs(2);
    two_links(case)?;
    let mut watch = open(case).await?;
    watch.snapshot().await?;
    let end = Instant::now() + at_rest;
    let mut told = 0;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        told += usize::from(watch.next_within(left).await?.is_some());
        ensure!(told <= MOST, "{told} events, and nothing has changed");
    }
    Ok(if told == 0 { Note::NONE } else { format!("{told} events in 2 s").into() })
}
