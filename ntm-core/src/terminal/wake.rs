//! After the machine has slept: nothing that was known of others need hold any more.

use super::Terminal;
use super::cx::Cx;
use super::tunnel::Tunnel;
use crate::Time;

impl Terminal {
    /// The machine has slept, and its addresses have been looked at since: every
    /// path in use is asked whether it lives, and the coordinator and the relays
    /// learn that we are back, without waiting for any timer.
    pub fn handle_wake(&mut self, now: Time) {
        let paths: Vec<_> = self.tunnels.keys().copied().collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| tunnel.woke(cx));
        }
        if !self.client.is_registering() {
            let live = self.live_tunnels(now);
            self.register(now, live);
        }
        self.settle(now);
    }
}

impl Tunnel {
    fn woke(&mut self, cx: &mut Cx<'_>) {
        if !self.is_live(cx.now) {
            return;
        }
        for leg in self.relay_legs() {
            self.bind_anew(cx, &leg);
        }
        // After a move the Tunnel Request asks.
        if self.update.is_none() {
            self.ask_for_life(cx);
        }
    }
}
