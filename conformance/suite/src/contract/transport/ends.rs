//! Two ends that know how to reach each other.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ntm_core::plugin::{Lane, Transport, TxPacket};

use crate::case::Case;
use crate::contract::lanes::{Buffers, is_readable};
use crate::outcome::Stop;
use crate::wait::{PATIENCE, at_once, until};

/// Says who is there, again and again. What begins with it may arrive late, and is
/// passed over.
pub(super) const HELLO: &[u8] = b"hello";

/// After so long a loss is a loss, and tried again.
const LOST: Duration = Duration::from_secs(6);

/// A transport with its lanes.
pub(super) struct End {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) lanes: Vec<Arc<dyn Lane>>,
    buffers: RefCell<Buffers>,
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Got {
    pub(super) data: Vec<u8>,
    pub(super) from: SocketAddr,
    pub(super) local: Option<IpAddr>,
    pub(super) ecn: u8,
}

impl End {
    pub(super) fn open(case: &Case, lanes: usize) -> Result<Self, Stop> {
        Self::of(case.transport(lanes)?)
    }

    pub(super) fn of(transport: Arc<dyn Transport>) -> Result<Self, Stop> {
        let lanes = transport.lanes();
        ensure_some(!lanes.is_empty(), "it has no lane")?;
        Ok(Self { transport, lanes, buffers: RefCell::new(Buffers::new(8)) })
    }

    /// Where it is reached from this machine.
    pub(super) fn addr(&self) -> Result<SocketAddr, Stop> {
        let addrs = at_once("`local_addrs`", || self.transport.local_addrs())?;
        let first = addrs.first().ok_or_else(|| Stop::broken("it listens nowhere"))?;
        let ip = match first.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            own @ (IpAddr::V4(_) | IpAddr::V6(_)) => own,
        };
        Ok((ip, first.port()).into())
    }

    /// Hands over all of these by the first lane, however often that takes.
    pub(super) async fn send(&self, packets: &[TxPacket<'_>]) -> Result<(), Stop> {
        self.send_by(0, packets).await
    }

    pub(super) async fn send_by(&self, at: usize, packets: &[TxPacket<'_>]) -> Result<(), Stop> {
        let mut left = packets;
        until("room to send", || {
            match try_send(&*self.lanes[at], left)? {
                Ok(taken) => left = &left[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Stop::broken(format!("`try_send` refused: {error}"))),
            }
            Ok(left.is_empty().then_some(()))
        })
        .await
    }

    /// What is there now on all lanes.
    pub(super) fn take(&self) -> Result<Vec<Got>, Stop> {
        let mut all = Vec::new();
        for lane in self.lanes.iter().filter(|lane| is_readable(&***lane)) {
            let taken = self.buffers.borrow_mut().take(&**lane, |slot| {
                let from = slot.remote.socket();
                let (local, ecn) = (slot.local.ip(), slot.ecn);
                let datagrams: Vec<_> = slot.segments().map(<[u8]>::to_vec).collect();
                (from, local, ecn, datagrams)
            });
            let taken = taken.map_err(|error| Stop::broken(format!("`try_recv`: {error}")))?;
            for (from, local, ecn, datagrams) in taken {
                let from = from.ok_or_else(|| Stop::broken("a slot without a source"))?;
                all.extend(datagrams.into_iter().map(|data| Got { data, from, local, ecn }));
            }
        }
        Ok(all)
    }

    /// What arrives next, but greetings.
    pub(super) async fn next(&self, what: &str) -> Result<Vec<Got>, Stop> {
        until(what, || {
            let mut got = self.take()?;
            got.retain(|got| !got.data.starts_with(HELLO));
            Ok((!got.is_empty()).then_some(got))
        })
        .await
    }
}

/// Sends, and holds what comes back to what can be.
pub(super) fn try_send(
    lane: &dyn Lane,
    packets: &[TxPacket<'_>],
) -> Result<io::Result<usize>, Stop> {
    let sent = at_once("`try_send`", || lane.try_send(packets))?;
    match sent {
        Ok(0) if !packets.is_empty() => {
            Err(Stop::broken("`try_send` took none of the packets and gave no error"))
        }
        Ok(taken) if taken > packets.len() => {
            Err(Stop::broken(format!("`try_send` took {taken} of {} packets", packets.len())))
        }
        sent => Ok(sent),
    }
}

fn ensure_some(holds: bool, sentence: &str) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::broken(sentence)) }
}

/// Two ends that have heard each other.
pub(super) struct Pair {
    pub(super) a: End,
    pub(super) b: End,
    /// Where `a` reaches `b`.
    pub(super) to_b: SocketAddr,
    /// Where `b` reaches `a`.
    pub(super) to_a: SocketAddr,
}

impl Pair {
    /// Two instances with a lane each.
    pub(super) async fn open(case: &Case) -> Result<Self, Stop> {
        let (a, b) = (End::open(case, 1)?, End::open(case, 1)?);
        Self::of(a, b).await
    }

    pub(super) async fn of(a: End, b: End) -> Result<Self, Stop> {
        let to_b = b.addr()?;
        let mut pair = Self { to_a: a.addr()?, to_b, a, b };
        pair.meet().await?;
        Ok(pair)
    }

    /// Until each hears the other: `b` where `a` spoke from.
    pub(super) async fn meet(&mut self) -> Result<(), Stop> {
        self.to_a = hear(&self.a, &self.b, self.to_b).await?;
        hear(&self.b, &self.a, self.to_a).await?;
        Ok(())
    }

    /// Sends these to `b` and returns what arrived there, in its order. What is lost is
    /// sent once more, twice at most.
    pub(super) async fn to_b(&self, datagrams: &[Vec<u8>]) -> Result<Vec<Got>, Stop> {
        carry(&self.a, &self.b, self.to_b, datagrams).await
    }

    /// The same, to `a`.
    pub(super) async fn to_a(&self, datagrams: &[Vec<u8>]) -> Result<Vec<Got>, Stop> {
        carry(&self.b, &self.a, self.to_a, datagrams).await
    }

    /// Something passes both ways.
    pub(super) async fn talks(&mut self, about: &str) -> Result<(), Stop> {
        let said = |stop| match stop {
            Stop::Broken(how) => Stop::Broken(format!("{about}: {how}")),
            Stop::NotTried(why) => Stop::NotTried(why),
        };
        self.meet().await.map_err(said)?;
        self.to_b(&[b"there".to_vec()]).await.map_err(said)?;
        self.to_a(&[b"and back".to_vec()]).await.map_err(said)?;
        Ok(())
    }
}

/// Greets until the other end hears it; where that has heard it from.
async fn hear(from: &End, at: &End, to: SocketAddr) -> Result<SocketAddr, Stop> {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut last: Option<Instant> = None;
    until("the first datagram", || {
        if last.is_none_or(|last| last.elapsed() > PAUSE) {
            // A connection may still have to come about.
            let _not_yet = try_send(&*from.lanes[0], &[TxPacket::new(HELLO, to.into())])?;
            last = Some(Instant::now());
        }
        let _left_over = from.take()?;
        Ok(at.take()?.iter().find(|got| got.data == HELLO).map(|got| got.from))
    })
    .await
}

/// Sends datagrams and waits for them.
pub(super) async fn carry(
    from: &End,
    at: &End,
    to: SocketAddr,
    datagrams: &[Vec<u8>],
) -> Result<Vec<Got>, Stop> {
    let packets: Vec<_> = datagrams.iter().map(|data| TxPacket::new(data, to.into())).collect();
    exchange(from, at, &packets).await
}

/// Sends packets and waits for all of their datagrams, in whatever order.
pub(super) async fn exchange(
    from: &End,
    at: &End,
    packets: &[TxPacket<'_>],
) -> Result<Vec<Got>, Stop> {
    let mut expected: Vec<_> = packets.iter().flat_map(TxPacket::segments).collect();
    expected.sort_unstable();
    let mut most = Vec::new();
    for attempt in 0..3 {
        from.send(packets).await?;
        let mut got: Vec<Got> = Vec::new();
        let mut news = Instant::now();
        while got.len() < expected.len() && news.elapsed() < LOST {
            let more = at.take()?;
            if more.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            news = Instant::now();
            for more in more.into_iter().filter(|got| !got.data.starts_with(HELLO)) {
                if expected.binary_search(&&more.data[..]).is_err() {
                    return Err(Stop::broken(stranger(&more.data, &expected)));
                }
                got.push(more);
            }
        }
        if got.len() >= expected.len() {
            let mut arrived: Vec<_> = got.iter().map(|got| &got.data[..]).collect();
            arrived.sort_unstable();
            if arrived == expected {
                if attempt > 0 {
                    // What was not lost but late.
                    drain(at).await?;
                }
                return Ok(got);
            }
        }
        if got.len() > most.len() {
            most = got;
        }
        // What was late must not be taken for the next attempt's.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _late = at.take()?;
    }
    let (arrived, of) = (most.len(), expected.len());
    Err(Stop::broken(format!("{arrived} of {of} datagrams arrived, at best of three attempts")))
}

fn stranger(data: &[u8], expected: &[&[u8]]) -> String {
    let nearest =
        expected.iter().max_by_key(|it| it.iter().zip(data).take_while(|(a, b)| a == b).count());
    let sent = nearest.map_or(0, |it| it.len());
    format!(
        "a datagram of {} bytes arrived that was not sent; the most alike has {sent}",
        data.len()
    )
}

/// So many different datagrams of so many bytes, at least five.
pub(super) fn numbered(count: usize, bytes: usize, seed: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|nth| {
            let mut data = vec![seed; bytes.max(5)];
            data[..4].copy_from_slice(&(nth as u32).to_be_bytes());
            data
        })
        .collect()
}

/// Waits until nothing has come for a while.
pub(super) async fn drain(end: &End) -> Result<usize, Stop> {
    let begin = Instant::now();
    let (mut count, mut news) = (0, Instant::now());
    while news.elapsed() < Duration::from_millis(200) {
        let got = end.take()?.len();
        count += got;
        if got > 0 {
            news = Instant::now();
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if begin.elapsed() > PATIENCE {
            return Err(Stop::broken("datagrams arrive without end"));
        }
    }
    Ok(count)
}
