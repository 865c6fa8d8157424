use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use ntm_core::plugin::{Addr, RxSlot, TxPacket};

use super::ends::{End, HELLO, Pair, carry, exchange, numbered, try_send};
use crate::case::Case;
use crate::contract::lanes::is_readable;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::until;

pub(super) async fn batches(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let taken = try_send(&*pair.a.lanes[0], &[])?;
    ensure!(matches!(taken, Ok(0)), "of an empty batch `try_send` says {taken:?}");
    for count in [1, 2, 3, 16, 63, 64, 65, 128] {
        // Of different sizes, so that none can be joined.
        let data: Vec<_> = (0..count).flat_map(|nth| numbered(1, 20 + nth, count as u8)).collect();
        pair.to_b(&data).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn bad_entry(case: &Case) -> Verdict {
    const COUNT: usize = 12;
    let pair = Pair::open(case).await?;
    for bad in [0, 1, 5, COUNT - 1] {
        let data = numbered(COUNT, 70, bad as u8);
        let to = |nth| if nth == bad { Addr::NONE } else { pair.to_b.into() };
        let packets: Vec<_> =
            data.iter().enumerate().map(|(nth, data)| TxPacket::new(data, to(nth))).collect();
        let mut at = 0;
        let mut refused = false;
        while at < COUNT {
            match try_send(&*pair.a.lanes[0], &packets[at..])? {
                Ok(taken) => {
                    // Taken, and lost, is a network's right.
                    at += taken;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ensure!(at != bad || !refused, "a packet to nowhere is merely not taken yet");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(error) => {
                    ensure!(
                        at == bad,
                        "packet {at} was refused ({error}), and {bad} is to nowhere"
                    );
                    refused = true;
                    at += 1;
                }
            }
        }
        let mut left: Vec<_> = data.iter().enumerate().filter(|(nth, _)| *nth != bad).collect();
        while !left.is_empty() {
            let what = "what stands beside a packet to nowhere";
            for got in pair.b.next(what).await? {
                left.retain(|(_, data)| **data != got.data);
            }
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn readiness(case: &Case) -> Verdict {
    const COUNT: usize = 20;
    let pair = Pair::open(case).await?;
    let lane = &*pair.b.lanes[0];
    quiet(&pair.b).await?;
    // Of different sizes, so that none are joined.
    for nth in 0..COUNT {
        let data = vec![nth as u8; 10 + nth];
        pair.a.send(&[TxPacket::new(&data, pair.to_b.into())]).await?;
    }
    until("a readable descriptor", || Ok(is_readable(lane).then_some(()))).await?;
    for _ in 0..10 {
        ensure!(is_readable(lane), "asking whether it is readable made it unreadable");
    }
    // One at a time: something is left, and has to show.
    let mut buffer = vec![0; 65_535];
    let mut arrived = 0;
    while arrived < COUNT {
        let what = format!("a readable descriptor with {arrived} of {COUNT} datagrams read");
        until(&what, || Ok(is_readable(lane).then_some(()))).await?;
        let mut slot = RxSlot::new(&mut buffer);
        match lane.try_recv(std::slice::from_mut(&mut slot)) {
            Ok(1) => arrived += slot.segments().filter(|it| !it.starts_with(HELLO)).count(),
            Ok(filled) => return Err(Stop::broken(format!("{filled} slots were filled, of one"))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(Stop::broken(format!("`try_recv`: {error}"))),
        }
    }
    quiet(&pair.b).await?;
    Ok(Note::NONE)
}

/// Nothing is there: the descriptor says so, and so does the lane.
async fn quiet(end: &End) -> Result<(), Stop> {
    let lane = &*end.lanes[0];
    until("a descriptor that is not readable while nothing is there", || {
        let _late = end.take()?;
        let mut buffer = [0; 2048];
        let got = lane.try_recv(&mut [RxSlot::new(&mut buffer)]);
        match got {
            Ok(0) => Err(Stop::broken("`try_recv` filled no slot and gave no error")),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok((!is_readable(lane)).then_some(()))
            }
            Err(error) => Err(Stop::broken(format!("`try_recv`: {error}"))),
        }
    })
    .await
}

pub(super) async fn small_slot(case: &Case) -> Verdict {
    let pair = Pair::open(case).await?;
    let lane = &*pair.b.lanes[0];
    let large: Vec<u8> = (0..1_000_u32).map(|at| at as u8).collect();
    for room in [1_usize, 100, 999] {
        quiet(&pair.b).await?;
        // Longer, so that no system makes one run of both.
        let next = vec![room as u8; 1_100];
        let to = pair.to_b.into();
        pair.a.send(&[TxPacket::new(&large, to), TxPacket::new(&next, to)]).await?;
        let mut buffer = vec![0; 2048];
        let (inside, behind) = buffer.split_at_mut(room);
        until("a datagram", || {
            let mut slot = RxSlot::new(inside);
            match lane.try_recv(std::slice::from_mut(&mut slot)) {
                Ok(_) => Ok(Some(slot.filled().len())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(Stop::broken(format!("`try_recv`: {error}"))),
            }
        })
        .await
        .and_then(|len| {
            ensure!(len <= room, "{len} bytes in a slot of {room}");
            ensure!(inside[..len] == large[..len], "not the beginning of what was sent");
            ensure!(behind.iter().all(|byte| *byte == 0), "bytes were written behind the slot");
            Ok(())
        })?;
        let got = pair.b.next("the datagram behind one that was cut").await?;
        let whole = got.iter().all(|got| got.data == next);
        ensure!(whole, "the datagram behind one that was cut is another");
        pair.to_b(&numbered(2, 300, 9)).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn every_lane(case: &Case) -> Verdict {
    for count in [1, 2, 4] {
        let (a, b) = (End::open(case, count)?, End::open(case, 1)?);
        let lanes = a.transport.lanes();
        ensure!(lanes.len() == count, "opened for {count} workers, it has {} lanes", lanes.len());
        let fds: Vec<_> = lanes.iter().map(|lane| lane.fd().as_raw_fd()).collect();
        let pair = Pair::of(a, b).await?;
        for nth in 0..count {
            // By each lane; what comes back may come by any.
            let data = numbered(8, 90, nth as u8);
            let packets: Vec<_> =
                data.iter().map(|data| TxPacket::new(data, pair.to_b.into())).collect();
            pair.a.send_by(nth, &packets).await?;
            let mut left = data.clone();
            while !left.is_empty() {
                for got in pair.b.next("what was sent by another lane").await? {
                    left.retain(|data| *data != got.data);
                }
            }
            carry(&pair.b, &pair.a, pair.to_a, &data).await?;
        }
        let again = pair.a.transport.lanes();
        let same = again.len() == count && again.iter().zip(&lanes).all(|(a, b)| Arc::ptr_eq(a, b));
        ensure!(same, "`lanes` gives others the second time");
        let fds_again: Vec<_> = lanes.iter().map(|lane| lane.fd().as_raw_fd()).collect();
        ensure!(fds == fds_again, "a lane has another descriptor than before");
        let sorted: std::collections::BTreeSet<_> = fds.iter().collect();
        ensure!(sorted.len() == count, "two lanes have one descriptor");
        exchange(&pair.a, &pair.b, &[TxPacket::new(b"the end", pair.to_b.into())]).await?;
    }
    Ok(Note::NONE)
}
