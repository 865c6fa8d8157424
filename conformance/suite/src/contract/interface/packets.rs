use std::io::ErrorKind;

use ntm_core::plugin::{Addr, RxSlot, TxPacket};

use super::device::{V4, V6, ends, next_udp, ready, socket, take, turn_round};
use crate::case::Case;
use crate::contract::lanes::{Buffers, is_readable};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{at_once, until};

pub(super) async fn both_ways(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let lane = &*interface.lanes()[0];
    let mut buffers = Buffers::new(4);
    for (own, peer) in [(V4, "198.18.77.9:4000"), (V6, "[fd18::99]:4000")] {
        let socket = socket(own)?;
        for bytes in [0_usize, 1, 8, 500, 1_300] {
            let data: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            socket.send_to(&data, peer)?;
            let mut packet = next_udp(lane, &mut buffers).await?.remove(0);
            let (from, to) = ends(&packet).ok_or_else(|| Stop::broken("no UDP packet"))?;
            let expected = (socket.local_addr()?, peer.to_owned());
            ensure!(
                (from, to.to_string()) == expected && packet.ends_with(&data),
                "{bytes} bytes from {expected:?} came out from {from} to {to}"
            );
            turn_round(&mut packet);
            let sent =
                at_once("`try_send`", || lane.try_send(&[TxPacket::new(&packet, Addr::NONE)]))?;
            ensure!(matches!(sent, Ok(1)), "of an answer `try_send` says {sent:?}");
            let mut answer = vec![0; 2048];
            let (len, from) = socket.recv_from(&mut answer).map_err(|error| {
                Stop::broken(format!("an answer of {bytes} bytes did not arrive: {error}"))
            })?;
            ensure!(answer[..len] == data && from.to_string() == peer, "another answer arrived");
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn order(case: &Case) -> Verdict {
    const COUNT: u8 = 60;
    let interface = ready(case).await?;
    let lane = &*interface.lanes()[0];
    let mut buffers = Buffers::new(4);
    let socket = socket(V4)?;
    for number in 0..COUNT {
        socket.send_to(&[number], "198.18.0.9:9")?;
    }
    let mut numbers: Vec<u8> = Vec::new();
    while numbers.len() < usize::from(COUNT) {
        let what = format!("a readable descriptor after {} of {COUNT} packets", numbers.len());
        until(&what, || Ok(is_readable(lane).then_some(()))).await?;
        ensure!(is_readable(lane), "asking whether it is readable made it unreadable");
        for packet in take(lane, &mut buffers)? {
            if ends(&packet).is_some() {
                numbers.extend(packet.last());
            }
        }
    }
    ensure!(numbers.iter().copied().eq(0..COUNT), "60 packets came out as {numbers:?}");
    until("a descriptor that is not readable while nothing is there", || {
        let mut buffer = [0; 2048];
        match lane.try_recv(&mut [RxSlot::new(&mut buffer)]) {
            Ok(0) => Err(Stop::broken("`try_recv` filled no slot and gave no error")),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok((!is_readable(lane)).then_some(()))
            }
            Err(error) => Err(Stop::broken(format!("`try_recv`: {error}"))),
        }
    })
    .await?;
    Ok(Note::NONE)
}

pub(super) async fn nonsense(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let lane = &*interface.lanes()[0];
    let mut buffers = Buffers::new(4);
    let socket = socket(V4)?;
    socket.send_to(b"good", "198.18.0.9:9")?;
    let mut good = next_udp(lane, &mut buffers).await?.remove(0);
    turn_round(&mut good);
    for nonsense in [&[0xff; 40][..], &[0; 40], &[0x45; 3], &[]] {
        let packets = [&good[..], nonsense, &good].map(|it| TxPacket::new(it, Addr::NONE));
        let mut at = 0;
        while at < packets.len() {
            match at_once("`try_send`", || lane.try_send(&packets[at..]))? {
                Ok(taken) => {
                    ensure!(taken > 0 && at + taken <= 3, "`try_send` took {taken}");
                    at += taken;
                }
                Err(error) => {
                    ensure!(at == 1, "packet {at} was refused ({error}), and 1 is nonsense");
                    at += 1;
                }
            }
        }
        for _ in 0..2 {
            let mut answer = [0; 64];
            let len = socket.recv(&mut answer).map_err(|error| {
                Stop::broken(format!("what stands beside nonsense did not arrive: {error}"))
            })?;
            ensure!(&answer[..len] == b"good", "something else arrived");
        }
    }
    Ok(Note::NONE)
}
