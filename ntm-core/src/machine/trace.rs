use crate::address::Leg;

/// A signalling message that was really sent, or really received and found
/// genuine: what sequence charts are made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignalTrace {
    /// Which way.
    pub sent: Sent,
    /// What the message is called.
    pub name: &'static str,
    /// The way it took.
    pub leg: Leg,
    /// The datagram's length.
    pub bytes: usize,
}

/// Out or in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Sent by us.
    Out,
    /// Received by us.
    In,
}
