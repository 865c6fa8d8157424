use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use ntm_core::plugin::TxPacket;
use rustix::event::Timespec;

use super::ends::{HELLO, Pair, drain, numbered, try_send};
use crate::case::Case;
use crate::contract::lanes::{Buffers, wait};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

pub(super) async fn flood(case: &Case) -> Verdict {
    const PACKETS: usize = 50_000;
    let mut pair = Pair::open(case).await?;
    // Late ones disturb nobody.
    let data = vec![[HELLO, &[7; 1_000]].concat(); 64];
    let packets: Vec<_> = data.iter().map(|data| TxPacket::new(data, pair.to_b.into())).collect();
    let (mut taken, mut full) = (0, 0);
    let begin = Instant::now();
    // Nobody reads meanwhile.
    while taken + full < PACKETS && begin.elapsed() < Duration::from_secs(5) {
        match try_send(&*pair.a.lanes[0], &packets)? {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                full += packets.len();
                // Whoever sends from this runtime gets a turn.
                tokio::task::yield_now().await;
            }
            Err(error) => return Err(Stop::broken(format!("`try_send` refused: {error}"))),
        }
    }
    ensure!(taken > 0, "nothing at all was taken");
    let arrived = drain(&pair.b).await?;
    ensure!(arrived > 0, "of {taken} datagrams that were taken not one arrived");
    ensure!(arrived <= taken, "{taken} datagrams were taken, {arrived} arrived");
    pair.talks("after a flood").await?;
    Ok(format!("{taken} taken, {arrived} arrived").into())
}

pub(super) async fn wake_ups(case: &Case) -> Verdict {
    const ROUNDS: u32 = 1_000;
    let pair = Pair::open(case).await?;
    drain(&pair.a).await?;
    drain(&pair.b).await?;
    // As workers do: threads that wait for a descriptor and for nothing else.
    let (lane_a, lane_b) = (pair.a.lanes[0].clone(), pair.b.lanes[0].clone());
    let (to_a, to_b) = (pair.to_a, pair.to_b);
    let echo = move || -> Result<(), Stop> {
        let mut buffers = Buffers::new(1);
        for round in 0..ROUNDS {
            hear(&*lane_b, &mut buffers, round)?;
            say(&*lane_b, round, to_a)?;
        }
        Ok(())
    };
    let ask = move || -> Result<(), Stop> {
        let mut buffers = Buffers::new(1);
        for round in 0..ROUNDS {
            say(&*lane_a, round, to_b)?;
            hear(&*lane_a, &mut buffers, round)?;
        }
        Ok(())
    };
    let (echo, ask) = (tokio::task::spawn_blocking(echo), tokio::task::spawn_blocking(ask));
    for end in [ask, echo] {
        end.await.map_err(|error| Stop::broken(format!("a worker ended: {error}")))??;
    }
    Ok(format!("{ROUNDS} rounds").into())
}

fn say(
    lane: &dyn ntm_core::plugin::Lane,
    round: u32,
    to: std::net::SocketAddr,
) -> Result<(), Stop> {
    let end = Instant::now() + Duration::from_secs(20);
    let data = round.to_be_bytes();
    loop {
        match try_send(lane, &[TxPacket::new(&data, to.into())])? {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(Stop::broken(format!("`try_send` refused: {error}"))),
        }
    }
}

fn hear(lane: &dyn ntm_core::plugin::Lane, buffers: &mut Buffers, round: u32) -> Result<(), Stop> {
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    loop {
        ensure!(wait(lane, limit), "nobody was woken for datagram {round} in 20 s");
        let got = buffers.take(lane, |slot| slot.filled() == round.to_be_bytes());
        let got = got.map_err(|error| Stop::broken(format!("`try_recv`: {error}")))?;
        if got.contains(&true) {
            return Ok(());
        }
    }
}

pub(super) async fn threads(case: &Case) -> Verdict {
    const SENDERS: u8 = 4;
    const EACH: usize = 500;
    let pair = Pair::open(case).await?;
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let (lane, to) = (pair.a.lanes[0].clone(), pair.to_b);
        senders.push(tokio::task::spawn_blocking(move || -> Result<(), Stop> {
            for data in numbered(EACH, 40 + usize::from(sender), sender).chunks(5) {
                let packets: Vec<_> = data.iter().map(|it| TxPacket::new(it, to.into())).collect();
                let mut left = &packets[..];
                let end = Instant::now() + Duration::from_secs(20);
                while !left.is_empty() {
                    match try_send(&*lane, left)? {
                        Ok(taken) => left = &left[taken..],
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            ensure!(Instant::now() < end, "no room for 20 s");
                        }
                        Err(error) => {
                            return Err(Stop::broken(format!("`try_send` refused: {error}")));
                        }
                    }
                    thread::sleep(Duration::from_micros(200));
                }
            }
            Ok(())
        }));
    }
    let mut arrived = 0;
    let mut news = Instant::now();
    while news.elapsed() < Duration::from_secs(1) || senders.iter().any(|it| !it.is_finished()) {
        for got in pair.b.take()? {
            let sender = got.data.get(4).copied().unwrap_or(u8::MAX);
            if got.data.starts_with(HELLO) {
                continue;
            }
            let whole = got.data.len() == 40 + usize::from(sender)
                && got.data[4..].iter().all(|byte| *byte == sender);
            ensure!(sender < SENDERS && whole, "datagrams of two threads are mixed in one");
            arrived += 1;
            news = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for sender in senders {
        sender.await.map_err(|error| Stop::broken(format!("a thread ended: {error}")))??;
    }
    let of = EACH * usize::from(SENDERS);
    ensure!(arrived > of / 2, "{arrived} of {of} datagrams arrived");
    ensure!(arrived <= of, "{of} datagrams were sent, {arrived} arrived");
    Ok(if arrived == of { Note::NONE } else { format!("{arrived} of {of} arrived").into() })
}
