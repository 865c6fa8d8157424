use std::net::IpAddr;

use async_trait::async_trait;

use super::PluginError;

/// Knows this machine's own addresses and says at once when they change.
///
/// # For implementers
///
/// - Report, never decide: every event is worth a wake-up, none is worth a
///   delay. The terminal asks for routes after each and acts only if an answer
///   changed, so a spurious event costs microseconds and a missed one costs the
///   connection until a keep-alive fails.
/// - After an overflow (lost events) `next` returns [`Change::Resync`] and
///   `snapshot` reads everything anew.
/// - `next` is cancel safe: an event is lost by no drop of its future. A node
///   drops it at every other input, so that may be a thousand times a second.
/// - `snapshot` and `routes` are answered within milliseconds, without a network
///   round trip, and may block for that long: a move waits for them. A node drops
///   them after 500 ms and goes on with what it knew; the watcher has to stand
///   that.
/// - What a snapshot or a route has shown is still told by `next`.
#[async_trait]
pub trait Watcher: Send {
    /// Waits until something may have changed. A burst may be returned as one.
    ///
    /// # Errors
    /// The watcher is blind from now on. The caller opens another one or gives up:
    /// a node ends with this reason, rather than not to notice the next move.
    async fn next(&mut self) -> Result<Change, PluginError>;

    /// All interfaces as they are now, tunnels included, in a stable order.
    ///
    /// An address that is missing here is not claimed, which makes a node in the
    /// open look as if it were behind a NAT: its peers get the relay where they
    /// could have a direct path. One that is not there is claimed and costs its
    /// peers a check that fails.
    ///
    /// # Errors
    /// The system would not say. The caller keeps what it knew, and asks again at
    /// the next event.
    async fn snapshot(&mut self) -> Result<Snapshot, PluginError>;

    /// For each destination the source address and interface that the system
    /// would use now; `None` where it has no route or the route's interface is
    /// not running. Answers stand in the order of the questions.
    ///
    /// A wrong source here makes the terminal move too early, too late or not
    /// at all; it never sends from it, the kernel chooses at each send. A wrong
    /// `None` takes a destination for unreachable; a wrong MTU loses large packets
    /// or makes them smaller than they need be.
    ///
    /// # Errors
    /// As for `snapshot`.
    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError>;

    /// For each destination how it would be reached if a packet were held to this
    /// interface; `None` where it would not be, or it cannot be told. A gateway, or
    /// a network that the interface is on, has to lead there: that the system would
    /// simply try is not enough.
    ///
    /// Asked while there are two interfaces that may be used, so that the one in use
    /// is left only when the other has answered. Who does not implement it makes
    /// every change of routes a move at once, and rules of preference without effect.
    ///
    /// # Errors
    /// As for `snapshot`.
    async fn routes_by(
        &mut self,
        ifindex: u32,
        to: &[IpAddr],
    ) -> Result<Vec<Option<Route>>, PluginError> {
        let _cannot_tell = ifindex;
        Ok(vec![None; to.len()])
    }
}

/// What may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address came, went, or became usable or deprecated.
    Address,
    /// An interface came, went, or gained or lost its carrier.
    Link,
    /// A route or a routing rule changed.
    Route,
    /// Events were lost: anything may have changed.
    Resync,
}

/// The machine's interfaces at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// Each interface once, in a stable order.
    pub interfaces: Vec<LocalInterface>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalInterface {
    /// The system's index of it, never 0.
    pub index: u32,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Up and with a carrier.
    pub running: bool,
    /// Grows whenever the interface may have been plugged into another network
    /// (carrier lost and found), although nothing else changed; 0 where the
    /// system does not tell.
    pub generation: u64,
    /// Loopback.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<LocalAddress>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// Our own address, never a point-to-point peer's.
    pub ip: IpAddr,
    /// The length of its on-link prefix in bits.
    pub prefix: u8,
    /// May be sent from: not tentative, duplicate detection has not failed.
    pub usable: bool,
    /// Preferred as a source: not deprecated.
    pub preferred: bool,
}

/// How the system would reach a destination now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The source address it would choose.
    pub source: IpAddr,
    /// The interface it would use.
    pub ifindex: u32,
    /// The largest IP packet that fits, in bytes.
    pub mtu: u32,
}
