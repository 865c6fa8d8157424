use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ntm_core::plugin::TxPacket;

use super::ends::{End, Pair, carry, exchange, numbered};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

pub(super) async fn boundaries(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    // Of every size that signalling and capsules have, and no two alike.
    let sizes = (5..40).chain((40..1_200).step_by(29)).chain([1_200, 1_232]);
    let all: Vec<Vec<u8>> =
        sizes.map(|size| (0..size).map(|at| (at * 7 + size) as u8).collect::<Vec<_>>()).collect();
    for some in all.chunks(8) {
        pair.to_b(some).await?;
        pair.to_a(some).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn answers(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    for nth in 0..20 {
        let got = pair.to_b(&numbered(1, 50, nth)).await?;
        let from = got[0].from;
        ensure!(from.port() != 0, "a datagram came from {from}");
        carry(&pair.b, &pair.a, from, &numbered(1, 60, nth)).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn order(case: &Case) -> Verdict {
    const WINDOW: usize = 16;
    let pair = Pair::open(case).await?;
    let all = numbered(2_000, 200, 3);
    for (nth, window) in all.chunks(WINDOW).enumerate() {
        let got = match nth % 3 {
            // As one batch, as runs of four, one by one.
            0 => pair.to_b(window).await?,
            1 => {
                let joined: Vec<_> = window.chunks(4).map(<[Vec<u8>]>::concat).collect();
                let run = |data| TxPacket::run(data, 200, pair.to_b.into());
                let packets: Vec<_> = joined.iter().map(|data| run(data)).collect();
                exchange(&pair.a, &pair.b, &packets).await?
            }
            _ => {
                let (last, first) = window.split_last().ok_or_else(|| Stop::broken("no window"))?;
                for data in first {
                    pair.a.send(&[TxPacket::new(data, pair.to_b.into())]).await?;
                }
                pair.a.send(&[TxPacket::new(last, pair.to_b.into())]).await?;
                let mut got = Vec::new();
                while got.len() < window.len() {
                    got.extend(pair.b.next("the rest of a window").await?);
                }
                got
            }
        };
        let arrived = got.iter().map(|got| &got.data);
        if !arrived.clone().eq(window) {
            let number = |data: &[u8]| data.first_chunk().map_or(0, |it| u32::from_be_bytes(*it));
            let numbers: Vec<_> = arrived.map(|data| number(data)).collect();
            return Err(Stop::broken(format!("what was sent in order arrived as {numbers:?}")));
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn marks(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    for ecn in 0..=3 {
        let data = numbered(4, 100, ecn);
        let run = data.concat();
        let mut packets: Vec<_> =
            data.iter().map(|data| TxPacket::new(data, pair.to_b.into())).collect();
        packets.push(TxPacket::run(&run, 100, pair.to_b.into()));
        packets.iter_mut().for_each(|packet| packet.ecn = ecn);
        for got in exchange(&pair.a, &pair.b, &packets).await? {
            ensure!(got.ecn == ecn, "sent with mark {ecn}, arrived with {}", got.ecn);
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn sources(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    if !pair.to_b.is_ipv4() && !cfg!(target_os = "linux") {
        return Err(Stop::not_tried("this loopback has one address"));
    }
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, pair.to_b.port())).into();
    let pinned: IpAddr = Ipv4Addr::new(127, 0, 0, 9).into();
    let data = numbered(1, 50, 1);
    let mut packet = TxPacket::new(&data[0], to);
    packet.local = pinned.into();
    for got in exchange(&pair.a, &pair.b, &[packet]).await? {
        ensure!(got.from.ip() == pinned, "sent from {pinned}, arrived from {}", got.from.ip());
    }
    // One that this machine has not costs the pin, not the datagram.
    packet.local = IpAddr::from([203, 0, 113, 77]).into();
    exchange(&pair.a, &pair.b, &[packet]).await?;
    Ok(Note::NONE)
}

pub(super) async fn families(case: &Case) -> Verdict {
    let (a, b) = (End::open(case, 1)?, End::open(case, 1)?);
    let port = b.addr()?.port();
    let mut pair = Pair::of(a, b).await?;
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        pair.to_b = (ip, port).into();
        pair.meet().await?;
        for got in pair.to_b(&numbered(3, 80, 2)).await? {
            let from = got.from;
            ensure!(from.ip() == ip, "sent to {ip} from this machine, arrived from {from}");
        }
        pair.to_a(&numbered(3, 80, 4)).await?;
    }
    Ok(Note::NONE)
}
