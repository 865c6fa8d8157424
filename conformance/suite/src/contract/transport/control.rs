use std::time::Duration;

use super::ends::{End, Pair, numbered};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait;

pub(super) async fn local_addrs(case: &Case) -> Verdict {
    let end = End::open(case, 1)?;
    let addrs = end.transport.local_addrs();
    ensure!(!addrs.is_empty(), "it listens nowhere");
    for addr in &addrs {
        ensure!(addr.port() != 0, "it says that it listens at {addr}");
    }
    for _ in 0..10 {
        let again = end.transport.local_addrs();
        ensure!(again == addrs, "it listens at {addrs:?}, and then at {again:?}");
    }
    // Whoever speaks to it there is heard.
    Pair::of(End::open(case, 1)?, end).await?;
    Ok(Note::NONE)
}

pub(super) async fn arrived_at(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let mut told = 0;
    for got in pair.to_b(&numbered(10, 60, 1)).await? {
        if let Some(local) = got.local {
            told += 1;
            let spoken_to = pair.to_b.ip();
            ensure!(local == spoken_to, "spoken to at {spoken_to}, it says {local}");
        }
    }
    Ok(if told == 0 { "it says nothing".into() } else { Note::NONE })
}

pub(super) async fn at_once(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let transport = &pair.a.transport;
    let kind = transport.kind();
    let nowhere = (std::net::Ipv4Addr::UNSPECIFIED, 0).into();
    wait::at_once("asking 2,000 times", || {
        for _ in 0..2_000 {
            let _answers = (
                transport.kind(),
                transport.local_addrs(),
                transport.max_payload(pair.to_b),
                transport.max_payload(nowhere),
            );
        }
        for _ in 0..100 {
            let _answer = transport.facts();
        }
    })?;
    ensure!(transport.kind() == kind, "its kind changes");
    let facts = transport.facts();
    ensure!(facts.iter().all(|(key, _)| !key.is_empty()), "a fact has no name");
    Ok(Note::NONE)
}

pub(super) async fn largest(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let ask = || pair.a.transport.max_payload(pair.to_b);
    let missing = || Stop::broken("it is claimed to be known, and `max_payload` says nothing");
    let nowhere = (std::net::Ipv4Addr::UNSPECIFIED, 0).into();
    ensure!(
        pair.a.transport.max_payload(nowhere).is_some(),
        "`max_payload` says nothing of 0.0.0.0:0, so it is not asked about others"
    );
    // It may become known better while packets pass, and has to hold each time.
    for nth in 0..10 {
        let most = ask().ok_or_else(missing)?;
        // W-GEN-3: no signalling datagram is longer than 1,232 bytes.
        ensure!(most >= 1_000, "{most} bytes are too few for anything");
        let data = numbered(1, most.min(65_507), nth);
        match pair.to_b(&data).await {
            Ok(_) => {}
            // It has become less meanwhile.
            Err(_) if ask().is_some_and(|now| now < most) => {}
            Err(stop) => {
                return Err(match stop {
                    Stop::Broken(how) => Stop::Broken(format!("{most} bytes: {how}")),
                    Stop::NotTried(why) => Stop::NotTried(why),
                });
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(format!("{} bytes", ask().unwrap_or_default()).into())
}
