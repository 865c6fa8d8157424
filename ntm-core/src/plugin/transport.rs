use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Lane, PluginError};
use crate::address::TransportKind;

/// Carries datagrams between real addresses.
///
/// Opening is the plugin's own constructor; what it returns is bound and
/// receiving. A transport that loses, reorders or duplicates datagrams is a
/// network like any other; one that alters them loses the altered ones, since
/// every datagram is authenticated above.
///
/// # For implementers
///
/// - Packets go through [`Transport::lanes`] alone; the async methods may await
///   but must not block the thread. The others are called for every status
///   report and every datagram of the control task: they return at once.
/// - Every method is cancel safe: dropping a future leaves the transport as
///   it was before the call or as after it, never between.
/// - A transport that is broken for good says so through its lanes (see
///   [`Lane::try_recv`]); a node ends then, with that reason.
/// - A node moves by itself under a wildcard socket; a transport that keeps
///   connections must not hide a move (a datagram that came from a new address
///   says so in its slot).
#[async_trait]
pub trait Transport: Send + Sync {
    /// What the wire calls this transport. Two transports of a node may share
    /// a kind. A wrong kind makes peers send something here that nobody
    /// understands: no direct path comes about, and relayed ones only by another
    /// transport.
    fn kind(&self) -> TransportKind;

    /// The lanes, one for each worker the transport was opened for; the same
    /// ones at every call.
    fn lanes(&self) -> Vec<Arc<dyn Lane>>;

    /// Where this transport listens. An unspecified address means every local
    /// address of its family (of both, for `[::]` on a dual-stack socket); the
    /// port is never 0. A wrong port here costs every direct path towards this
    /// node, relayed ones remain.
    fn local_addrs(&self) -> Vec<SocketAddr>;

    /// The largest datagram towards `to` in bytes, without IP and UDP headers,
    /// where the transport knows better than the route's MTU; `None` where it does
    /// not. A number too large loses large packets, one too small costs
    /// throughput. Asked again and again for the ways of tunnels, whose packets' limit
    /// follows; one that answers `None` for `0.0.0.0:0` is not asked about others.
    fn max_payload(&self, to: SocketAddr) -> Option<usize>;

    /// Makes the transport work again after it went silent: new sockets on the
    /// same port, new connections. Lanes and descriptors stay valid.
    /// Called once a minute at most.
    ///
    /// # Errors
    /// The old state is kept where that is possible.
    async fn rebind(&self) -> Result<(), PluginError>;

    /// The node sends from another address, interface or network than before. A
    /// transport without connections has nothing to do; another lets connections
    /// that cannot follow go, and tells the other ends of those that can.
    fn moved(&self) {}

    /// Says goodbye where the transport has a way to, and releases the port.
    /// Lanes answer with an error afterwards, and their descriptors wake who polls
    /// them. Called once, at the end, when the node sends nothing any more. A transport
    /// that broke may be closed while another call has not come back from it, so that
    /// its port is free for the next one.
    async fn close(&self);

    /// What a person wants to know about how it runs, as key and value, for
    /// `ntm status`: offloads in use, buffer sizes.
    fn facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
