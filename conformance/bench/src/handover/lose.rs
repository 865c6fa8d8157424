//! Losing one packet on purpose.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ntm_lab::link::Middlebox;

/// A packet is lost within this time after the move or not at all.
const WITHIN: Duration = Duration::from_millis(10);

/// Loses one packet, once, when asked to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lose(Arc<Mutex<Option<Order>>>);

/// Which one.
#[derive(Clone, Copy, Debug)]
struct Order {
    /// From the end, and not to it.
    outward: bool,
    /// How many go through before.
    before: u32,
    since: Instant,
}

impl Lose {
    /// The packet after `before` others in this direction is lost, whichever cable it
    /// takes.
    pub(crate) fn order(&self, outward: bool, before: u32) {
        let order = Order { outward, before, since: Instant::now() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(order);
    }

    pub(crate) fn middlebox(&self) -> Box<dyn Middlebox> {
        Box::new(self.clone())
    }

    fn passes(&self, frame: &[u8], outward: bool) -> bool {
        if frame.get(ETHERTYPE) != Some(IPV4) {
            return true;
        }
        let mut order = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = order.as_mut().filter(|order| order.outward == outward) else {
            return true;
        };
        if wanted.since.elapsed() > WITHIN {
            *order = None;
            return true;
        }
        if wanted.before > 0 {
            wanted.before -= 1;
            return true;
        }
        *order = None;
        false
    }
}

impl Middlebox for Lose {
    fn outward(&mut self, frame: &mut [u8]) -> bool {
        self.passes(frame, true)
    }

    fn inward(&mut self, frame: &mut [u8]) -> bool {
        self.passes(frame, false)
    }
}

const ETHERTYPE: std::ops::Range<usize> = 12..14;
const IPV4: &[u8] = &[8, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_is_lost_and_no_other() {
        let lose = Lose::default();
        let mut cable = lose.clone();
        let mut frame = vec![0; 60];
        frame[ETHERTYPE].copy_from_slice(IPV4);
        let mut arp = frame.clone();
        arp[13] = 6;
        assert!(cable.outward(&mut frame), "nothing was ordered");
        lose.order(true, 1);
        assert!(cable.inward(&mut frame), "the other direction");
        assert!(cable.outward(&mut arp), "not IP");
        let passed: Vec<_> = (0..4).map(|_| cable.outward(&mut frame)).collect();
        assert_eq!(passed, [true, false, true, true]);
    }
}
