use std::io::ErrorKind;
use std::time::{Duration, Instant};

use ntm_core::plugin::TxPacket;

use super::ends::{Pair, drain, exchange, numbered, try_send};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

/// `count` datagrams of `segment` bytes and one of `rest`, as one.
fn run(count: usize, segment: usize, rest: usize, seed: u8) -> Vec<u8> {
    let mut data = numbered(count, segment, seed).concat();
    data.extend(std::iter::repeat_n(seed, rest));
    data
}

pub(super) async fn runs(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    for (count, segment, rest) in
        [(1, 100, 0), (2, 100, 0), (2, 100, 99), (7, 1_000, 1), (16, 300, 250), (40, 50, 7)]
    {
        let (one, other) = (run(count, segment, rest, 1), run(count, segment, rest, 2));
        let single = numbered(1, 77, 3).concat();
        let to = pair.to_b.into();
        let packets = [
            TxPacket::run(&one, segment as u16, to),
            TxPacket::new(&single, to),
            TxPacket::run(&other, segment as u16, to),
        ];
        exchange(&pair.a, &pair.b, &packets).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn super_packet(case: &Case) -> Verdict {
    // 54 datagrams of 1,200 bytes and the rest: as much as an IP packet can be.
    let data = run(54, 1_200, 65_507 - 54 * 1_200, 5);
    let pair = Pair::open(case).await?;
    let packet = TxPacket::run(&data, 1_200, pair.to_b.into());
    let end = Instant::now() + Duration::from_secs(20);
    let refusal = loop {
        match try_send(&*pair.a.lanes[0], &[packet])? {
            Ok(_) => break None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ensure!(Instant::now() < end, "64 KiB never find room, and are never refused");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => break Some(error),
        }
    };
    drain(&pair.b).await?;
    if let Some(error) = refusal {
        pair.to_b(&numbered(4, 100, 6)).await?;
        return Ok(format!("refused: {error}").into());
    }
    exchange(&pair.a, &pair.b, &[packet]).await?;
    Ok(format!("{} bytes in one call", data.len()).into())
}

pub(super) async fn too_large(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let mut told = Vec::new();
    for bytes in [9_001_usize, 65_535, 70_000] {
        let known = pair.a.transport.max_payload(pair.to_b);
        let data: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let small = numbered(2, 60, 7);
        let to = pair.to_b.into();
        let sent = try_send(&*pair.a.lanes[0], &[TxPacket::new(&data, to)])?;
        let refused = sent.is_err();
        // Behind it, others pass. What arrives of it is whole.
        pair.a.send(&[TxPacket::new(&small[0], to), TxPacket::new(&small[1], to)]).await?;
        let mut left = small.clone();
        let mut whole = false;
        while !left.is_empty() {
            for got in pair.b.next("what stands behind a datagram that is too large").await? {
                let len = got.data.len();
                ensure!(
                    got.data == data || small.contains(&got.data),
                    "of a datagram of {bytes} bytes {len} arrived"
                );
                whole |= got.data == data;
                left.retain(|data| *data != got.data);
            }
        }
        ensure!(!(refused && whole), "a datagram of {bytes} bytes was refused, and sent");
        if whole {
            let fits = known.is_none_or(|most| most >= bytes);
            ensure!(fits, "{bytes} bytes passed, and {known:?} was said to be the most");
        }
        let what = if whole {
            "passed"
        } else if refused {
            "refused"
        } else {
            "lost"
        };
        told.push(format!("{bytes} bytes {what}"));
    }
    let _late = drain(&pair.b).await?;
    if told.is_empty() {
        Err(Stop::broken("nothing was tried"))
    } else {
        Ok(told.join(", ").into())
    }
}
