use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Datagrams that wait for one connection,
const PACKETS: usize = 512;
/// and their bytes: some 50 ms at 80 Mbit/s. More would only be old when it arrives.
const BYTES: usize = 512 << 10;
/// What is handed to TLS at once: what one record holds (RFC 8446, section 5.1).
const RECORD: usize = 16 << 10;

/// The largest datagram, which fills a record with its length.
pub(crate) const MOST: usize = RECORD - 2;

/// What waits for a connection, bounded. What comes to a full queue takes the place of the
/// oldest.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    ring: Notify,
}

#[derive(Default)]
struct Waiting {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a datagram of [`MOST`] bytes or fewer. Says how many had to go for it.
    pub(crate) fn push(&self, datagram: Bytes) -> usize {
        let mut waiting = self.waiting();
        let before = waiting.datagrams.len();
        while waiting.datagrams.len() >= PACKETS || waiting.bytes + datagram.len() > BYTES {
            let Some(oldest) = waiting.datagrams.pop_front() else { break };
            waiting.bytes -= oldest.len();
        }
        let dropped = before - waiting.datagrams.len();
        waiting.bytes += datagram.len();
        waiting.datagrams.push_back(datagram);
        drop(waiting);
        self.ring.notify_one();
        dropped
    }

    /// Waits for datagrams, and writes as many as a record holds to `out`, each behind its
    /// length.
    pub(crate) async fn take(&self, out: &mut Vec<u8>) {
        loop {
            let ring = self.ring.notified();
            self.write(out);
            if !out.is_empty() {
                return;
            }
            ring.await;
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut waiting = self.waiting();
        while let Some(next) = waiting.datagrams.front() {
            if out.len() + 2 + next.len() > RECORD {
                return;
            }
            let len = u16::try_from(next.len()).unwrap_or(u16::MAX);
            out.extend(len.to_be_bytes());
            out.extend_from_slice(next);
            waiting.bytes -= next.len();
            waiting.datagrams.pop_front();
        }
    }

    /// Datagrams that nobody has taken.
    pub(crate) fn len(&self) -> usize {
        self.waiting().datagrams.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(number: usize, len: usize) -> Bytes {
        let mut data = vec![0; len];
        data[..2].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
        data.into()
    }

    /// The numbers of everything that waits.
    async fn numbers(queue: &Queue) -> Vec<u16> {
        let mut numbers = Vec::new();
        while queue.len() > 0 {
            let mut out = Vec::new();
            queue.take(&mut out).await;
            assert!(out.len() <= RECORD);
            let mut rest = &out[..];
            while let [a, b, tail @ ..] = rest {
                let (datagram, after) = tail.split_at(u16::from_be_bytes([*a, *b]).into());
                numbers.push(u16::from_be_bytes([datagram[0], datagram[1]]));
                rest = after;
            }
        }
        numbers
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest() {
        let queue = Queue::default();
        let dropped: usize = (0..PACKETS + 3).map(|it| queue.push(datagram(it, 20))).sum();
        assert_eq!(dropped, 3);
        let left = numbers(&queue).await;
        assert_eq!((left[0], left.len()), (3, PACKETS));
        // By bytes, too, which a large one may need many of.
        let small = BYTES / 2048;
        assert_eq!((0..small).map(|it| queue.push(datagram(it, 2048))).sum::<usize>(), 0);
        assert_eq!(queue.push(datagram(small, MOST)), MOST.div_ceil(2048));
        assert_eq!(numbers(&queue).await.last(), Some(&u16::try_from(small).unwrap()));
    }

    #[tokio::test]
    async fn the_largest_fits() {
        let queue = Queue::default();
        assert_eq!(queue.push(datagram(7, MOST)), 0);
        assert_eq!(numbers(&queue).await, [7]);
    }
}
