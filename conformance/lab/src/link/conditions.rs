use std::time::Duration;

/// What a link does to the packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// From one end to the other. What resolves link-layer addresses (ARP,
    /// neighbour discovery) takes no time: neighbours are near, and the delay is
    /// the distance to what lies beyond them.
    pub delay: Duration,
    /// A packet takes up to this much longer, evenly spread; it never overtakes
    /// another.
    pub jitter: Duration,
    /// The share of packets that vanish, 0 to 1.
    pub loss: f64,
    /// Bits of Ethernet frames per second; unlimited if `None`.
    pub rate: Option<u64>,
    /// How many bytes wait for the rate before more are dropped.
    pub buffer: usize,
    /// Larger IP packets vanish, as in a path that does not say what fits; for
    /// one that says so, set the interface's MTU.
    pub largest_packet: usize,
}

impl Conditions {
    /// Nothing is delayed or lost.
    pub const PERFECT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        rate: None,
        buffer: 256 * 1024,
        largest_packet: usize::MAX,
    };

    /// Perfect but for the delay of one direction.
    pub const fn delay(delay: Duration) -> Self {
        Self { delay, ..Self::PERFECT }
    }

    /// For the access links of hosts: any two of them see this round trip
    /// between them, since it crosses four access links.
    pub const fn round_trip(round_trip: Duration) -> Self {
        Self::delay(Duration::from_nanos((round_trip.as_nanos() / 4) as u64))
    }

    /// These conditions, with this share of packets lost.
    #[must_use]
    pub const fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// These conditions, with up to this much more delay.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// These conditions, limited to so many bits per second.
    #[must_use]
    pub const fn with_rate(mut self, bits_per_second: u64) -> Self {
        self.rate = Some(bits_per_second);
        self
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self::PERFECT
    }
}
