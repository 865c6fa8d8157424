//! Somebody says that it knows no session with us: a peer or a relay that has
//! restarted, or a stranger.

use std::time::Duration;

use super::Terminal;
use super::cx::{Ask, Cx};
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;
use crate::id::PathId;
use crate::machine::Hint;
use crate::wire::Header;

impl Terminal {
    /// Whether a peer goes on in a session that we have lost, of a tunnel that we have.
    /// Where there is no tunnel either, the driver knows.
    pub(super) fn is_stray(&self, now: Time, header: &Header) -> bool {
        let tunnel = self.tunnels.get(&PathId::from_bytes(header.envelope.id));
        tunnel.is_some_and(|tunnel| !tunnel.has_session(now, header.envelope.slot))
    }

    pub(super) fn tell_stray(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        if let Some(notice) = self.strays.answer(now, datagram) {
            self.out.send(leg.unpinned(), "Unknown Session", notice.emit());
        }
    }
}

impl Tunnel {
    /// A hint and no more: the session stays until another one is confirmed. Who
    /// answers what we said ourselves has received it; of packets nobody remembers
    /// the seals, so we say something.
    pub(super) fn handle_unknown(&mut self, cx: &mut Cx<'_>, leg: &Leg, seal: &[u8; 16]) {
        if !self.is_live(cx.now) || !self.is_selected(leg) {
            return;
        }
        match self.spoken.hint(cx.now, seal) {
            Hint::Ours => {
                cx.out.received(leg, "Unknown Session", crate::wire::UnknownSession::LEN);
                self.bind_anew(cx, leg);
                if self.attempt.is_none() {
                    self.begin_handshake(cx, &[leg.unpinned()], Duration::ZERO);
                }
                // A peer that has forgotten us answers nobody before the coordinator
                // has directed it.
                cx.asks.push(Ask::Direct(self.path));
            }
            Hint::Perhaps => self.ask_for_life(cx),
            Hint::Nothing => {}
        }
    }
}
