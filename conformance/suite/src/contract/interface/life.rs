use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::Poll;
use std::time::Instant;

use ntm_core::plugin::{Addr, RxSlot, TxPacket};
use rustix::event::Timespec;

use super::device::{V4, V6, configure, ready, settings};
use crate::case::Case;
use crate::contract::lanes::{is_readable, wait};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{PATIENCE, at_once, until, within};

pub(super) async fn close(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let lane = interface.lanes().remove(0);
    let polled = lane.clone();
    let waiter = tokio::task::spawn_blocking(move || {
        // The system has things of its own to say; an end is what is waited for.
        let mut buffer = vec![0; 65_535];
        let end = Instant::now() + PATIENCE;
        // Readable without anything there is a turn for nothing, and no end.
        while Instant::now() < end {
            if !wait(&*polled, Timespec { tv_sec: 22, tv_nsec: 0 }) {
                return false;
            }
            let got = polled.try_recv(&mut [RxSlot::new(&mut buffer)]);
            if got.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
                return true;
            }
        }
        false
    });
    within("`close`", interface.close()).await?;
    let woken = waiter.await.map_err(|error| Stop::broken(format!("a worker ended: {error}")))?;
    ensure!(woken, "who polled the lane was not woken, or saw no error");
    ensure!(is_readable(&*lane), "a closed lane is not readable");
    let sent = at_once("`try_send`", || lane.try_send(&[TxPacket::new(&[0x45; 40], Addr::NONE)]))?;
    let refused = sent.as_ref().is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
    ensure!(refused, "a closed lane says of a packet: {sent:?}");
    let name = interface.name();
    until("the end of the interface", || {
        let gone = case.world()?.interface(&name).is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    let late = configure(&*interface, &settings(V4, "")).await?;
    ensure!(late.is_err(), "it was configured after it had been closed");
    Ok(Note::NONE)
}

pub(super) async fn cancelled(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let other = settings("198.18.0.6", "fd18::6");
    let name = interface.name();
    let old = [format!("{V4}/16"), format!("{V6}/64")];
    let new = ["198.18.0.6/16".to_owned(), "fd18::6/64".to_owned()];
    for polls in [1, 1, 2, 3, 5] {
        let mut dropped = interface.configure(&other);
        for _ in 0..polls {
            let once = poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx)));
            if once.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        // It may still be about it.
        until("the old settings or the new ones", || {
            let mut found = case.world()?.addresses(&name).unwrap_or_default();
            found.sort();
            let none = found.is_empty();
            Ok((none || found == old || found == new).then_some(()))
        })
        .await?;
    }
    configure(&*interface, &settings(V4, V6)).await??;
    let mut found = case.world()?.addresses(&name).unwrap_or_default();
    found.sort();
    ensure!(found == old, "it was configured once more, and has {found:?}");
    Ok(Note::NONE)
}
