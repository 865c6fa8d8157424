use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::task::Poll;
use std::time::Duration;

use ntm_core::plugin::{Fault, RxSlot, TxPacket};
use rustix::event::Timespec;
use serde_json::{Value, json};

use super::ends::{End, Pair, try_send};
use crate::case::Case;
use crate::contract::lanes::{is_readable, wait};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{at_once, until, within};

pub(super) async fn rebind(case: &Case) -> Verdict {
    let mut pair = Pair::open(case).await?;
    let addrs = pair.a.transport.local_addrs();
    let fd = pair.a.lanes[0].fd().as_raw_fd();
    for nth in 0..3 {
        within("`rebind`", pair.a.transport.rebind()).await??;
        let now = pair.a.transport.local_addrs();
        ensure!(now == addrs, "it listened at {addrs:?}, and after `rebind` at {now:?}");
        ensure!(pair.a.lanes[0].fd().as_raw_fd() == fd, "a lane has another descriptor");
        pair.talks(&format!("after {} times `rebind`", nth + 1)).await?;
    }
    within("`rebind`", pair.b.transport.rebind()).await??;
    pair.talks("after `rebind` of the end that was called").await?;
    Ok(Note::NONE)
}

pub(super) async fn moved(case: &Case) -> Verdict {
    let mut pair = Pair::open(case).await?;
    for _ in 0..3 {
        at_once("`moved`", || pair.a.transport.moved())?;
        pair.talks("after `moved`").await?;
        at_once("`moved`", || pair.b.transport.moved())?;
        pair.talks("after `moved` of the other end").await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn cancelled(case: &Case) -> Verdict {
    let mut pair = Pair::open(case).await?;
    let addrs = pair.a.transport.local_addrs();
    for polls in [0, 1, 1, 2, 3] {
        let transport = pair.a.transport.clone();
        let mut rebind = transport.rebind();
        for _ in 0..polls {
            let once = poll_fn(|cx| Poll::Ready(rebind.as_mut().poll(cx)));
            if once.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(rebind);
        // What was begun may still go on elsewhere, and take connections away meanwhile.
        tokio::time::sleep(Duration::from_millis(500)).await;
        pair.talks("after `rebind` that was not waited for").await?;
    }
    let now = pair.a.transport.local_addrs();
    ensure!(now == addrs, "it listened at {addrs:?}, and then at {now:?}");
    Ok(Note::NONE)
}

pub(super) async fn close(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let addr = pair.a.transport.local_addrs();
    let lane = pair.a.lanes[0].clone();
    // Somebody waits for it, as a worker does.
    let waiter =
        tokio::task::spawn_blocking(move || wait(&*lane, Timespec { tv_sec: 25, tv_nsec: 0 }));
    within("`close`", pair.a.transport.close()).await?;
    let woken = waiter.await.map_err(|error| Stop::broken(format!("a worker ended: {error}")))?;
    ensure!(woken, "who polled the lane was not woken");
    let lane = &*pair.a.lanes[0];
    until("an error of `try_recv` after `close`", || {
        ensure!(is_readable(lane), "a closed lane is not readable");
        let mut buffer = vec![0; 65_535];
        match lane.try_recv(&mut [RxSlot::new(&mut buffer)]) {
            // What had arrived before.
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Stop::broken("a closed lane merely says that nothing has arrived"))
            }
            Err(_) => Ok(Some(())),
        }
    })
    .await?;
    let sent = try_send(lane, &[TxPacket::new(b"late", pair.to_b.into())])?;
    let refused = sent.as_ref().is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
    ensure!(refused, "a closed lane says of a packet: {sent:?}");
    // These have nothing to do any more, and do no harm.
    at_once("`moved`", || pair.a.transport.moved())?;
    let _refused = within("`rebind`", pair.a.transport.rebind()).await?;
    let Some(config) = addr.first().and_then(|addr| at(&case.config(), *addr)) else {
        return Ok(
            "that the port is free was not tried: no key of the configuration says which it is"
                .into(),
        );
    };
    let again = until_ok(case, &config).await?;
    within("`close`", again.transport.close()).await?;
    Ok(Note::NONE)
}

/// Opens where another has just been closed; the system may take a moment.
async fn until_ok(case: &Case, config: &Value) -> Result<End, Stop> {
    let mut last = String::new();
    for _ in 0..100 {
        match case.transport_with(config, 1) {
            Ok(transport) => return End::of(transport),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Stop::broken(format!("the port is not free after `close`: {last}")))
}

pub(super) async fn busy(case: &Case) -> Verdict {
    let first = End::open(case, 1)?;
    let addr = first.transport.local_addrs()[0];
    let Some(config) = at(&case.config(), addr) else {
        return Err(Stop::not_tried(
            "neither does a key of the configuration end in :0, nor is `port` 0",
        ));
    };
    match case.transport_with(&config, 1) {
        Ok(_) => Err(Stop::broken(format!("two of them listen at {addr}"))),
        Err(error) if error.fault == Fault::Busy => {
            ensure!(!error.remedy.is_empty(), "it does not say what to do: {error}");
            Ok(Note::NONE)
        }
        Err(error) => Err(Stop::broken(format!("{:?}, and not busy: {error}", error.fault))),
    }
}

/// The configuration with this address in the place of one with port 0, or its port in
/// the place of 0; `None` where there is neither.
fn at(config: &Value, addr: SocketAddr) -> Option<Value> {
    let mut config = config.clone();
    let keys = config.as_object_mut()?;
    let free = |value: &Value| {
        let address = value.as_str().and_then(|text| text.parse::<SocketAddr>().ok());
        address.is_some_and(|it| it.port() == 0)
    };
    if let Some(found) = keys.values_mut().find(|value| free(value)) {
        *found = json!(addr.to_string());
    } else {
        let port = keys.get_mut("port").filter(|port| **port == json!(0))?;
        *port = json!(addr.port());
    }
    Some(config)
}
