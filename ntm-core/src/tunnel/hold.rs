use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::Time;

/// Bytes held for one peer: about a quarter of a second at 30 Mbit/s.
const MOST_BYTES: usize = 1 << 20;
/// Bytes held for all peers together.
const MOST_BYTES_IN_ALL: usize = 16 << 20;
/// Peers with something held.
const MOST_PEERS: usize = 1024;
/// Older packets are of no use to anybody: TCP has sent them again.
const OLDEST: Duration = Duration::from_secs(2);

/// Packets that wait for a path, by the virtual address they go to. Bounded in
/// bytes and age; when full, the oldest packets of the same peer give way.
#[derive(Debug, Default)]
pub struct Hold {
    queues: BTreeMap<IpAddr, Queue>,
    bytes: usize,
    taken_in: u64,
    dropped: u64,
}

#[derive(Debug, Default)]
struct Queue {
    packets: VecDeque<Held>,
    bytes: usize,
}

/// A packet that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Since when.
    pub since: Time,
    /// The inner packet.
    pub packet: Vec<u8>,
}

impl Hold {
    /// Keeps a copy of `packet` until there is a path to `vip`.
    pub fn push(&mut self, now: Time, vip: IpAddr, packet: &[u8]) {
        self.taken_in += 1;
        let is_new = !self.queues.contains_key(&vip);
        if packet.len() > MOST_BYTES
            || self.bytes + packet.len() > MOST_BYTES_IN_ALL
            || is_new && self.queues.len() == MOST_PEERS
        {
            self.dropped += 1;
            return;
        }
        let queue = self.queues.entry(vip).or_default();
        while queue.bytes + packet.len() > MOST_BYTES {
            let Some(oldest) = queue.packets.pop_front() else { break };
            queue.bytes -= oldest.packet.len();
            self.bytes -= oldest.packet.len();
            self.dropped += 1;
        }
        queue.bytes += packet.len();
        self.bytes += packet.len();
        queue.packets.push_back(Held { since: now, packet: packet.to_vec() });
    }

    /// The virtual addresses that something is held for, in order.
    pub fn waiting(&self) -> impl Iterator<Item = IpAddr> {
        self.queues.keys().copied()
    }

    /// Whether something is held for `vip`, so that newer packets have to wait
    /// behind it.
    pub fn holds(&self, vip: IpAddr) -> bool {
        self.queues.contains_key(&vip)
    }

    /// The oldest packet for `vip` that is not too old, without taking it.
    pub fn first(&mut self, now: Time, vip: IpAddr) -> Option<&Held> {
        self.expire_one(now, vip);
        self.queues.get(&vip).and_then(|queue| queue.packets.front())
    }

    /// Takes the oldest packet for `vip` that is not too old.
    pub fn pop(&mut self, now: Time, vip: IpAddr) -> Option<Held> {
        self.expire_one(now, vip);
        let queue = self.queues.get_mut(&vip)?;
        let held = queue.packets.pop_front()?;
        queue.bytes -= held.packet.len();
        self.bytes -= held.packet.len();
        if queue.packets.is_empty() {
            self.queues.remove(&vip);
        }
        Some(held)
    }

    /// Drops what is too old; call it now and then.
    pub fn expire(&mut self, now: Time) {
        let vips: Vec<_> = self.waiting().collect();
        for vip in vips {
            self.expire_one(now, vip);
        }
    }

    fn expire_one(&mut self, now: Time, vip: IpAddr) {
        let Some(queue) = self.queues.get_mut(&vip) else { return };
        while let Some(oldest) = queue.packets.front()
            && now.since(oldest.since) > OLDEST
        {
            queue.bytes -= oldest.packet.len();
            self.bytes -= oldest.packet.len();
            self.dropped += 1;
            queue.packets.pop_front();
        }
        if queue.packets.is_empty() {
            self.queues.remove(&vip);
        }
    }

    /// Packets that had to wait so far, those dropped included.
    pub fn taken_in(&self) -> u64 {
        self.taken_in
    }

    /// Packets dropped so far for want of room or for age.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vip(last: u8) -> IpAddr {
        [198, 18, 0, last].into()
    }

    #[test]
    fn packets_leave_in_the_order_they_came() {
        let mut hold = Hold::default();
        for byte in 0..3 {
            hold.push(Time::ZERO, vip(1), &[byte; 10]);
        }
        hold.push(Time::ZERO, vip(2), &[9; 10]);
        let taken: Vec<_> = std::iter::from_fn(|| hold.pop(Time::ZERO, vip(1)))
            .map(|held| held.packet[0])
            .collect();
        assert_eq!(taken, [0, 1, 2]);
        assert!(!hold.holds(vip(1)) && hold.holds(vip(2)));
    }

    #[test]
    fn old_packets_go() {
        let mut hold = Hold::default();
        hold.push(Time::ZERO, vip(1), b"old");
        let later = Time::ZERO + OLDEST;
        hold.push(later, vip(1), b"new");
        let later = later + Duration::from_millis(1);
        assert_eq!(hold.pop(later, vip(1)).map(|held| held.packet), Some(b"new".to_vec()));
        assert_eq!((hold.dropped(), hold.bytes()), (1, 0));
    }

    #[test]
    fn the_oldest_give_way_when_a_peer_has_too_many() {
        let mut hold = Hold::default();
        for byte in 0..=255 {
            hold.push(Time::ZERO, vip(1), &[byte; 8192]);
        }
        assert_eq!(hold.bytes(), MOST_BYTES);
        assert_eq!(hold.pop(Time::ZERO, vip(1)).unwrap().packet[0], 128);
    }

    proptest! {
        #[test]
        fn bounded_whatever_comes(
            packets in proptest::collection::vec((0_u8..40, 1_usize..70_000, 0_u64..100), 1..600),
        ) {
            let mut hold = Hold::default();
            let mut now = Time::ZERO;
            for (last, len, wait) in packets {
                now += Duration::from_millis(wait);
                hold.push(now, vip(last), &vec![0; len]);
                prop_assert!(hold.bytes() <= MOST_BYTES_IN_ALL);
            }
            hold.expire(now + OLDEST + Duration::from_nanos(1));
            prop_assert_eq!((hold.bytes(), hold.waiting().count()), (0, 0));
        }
    }
}
