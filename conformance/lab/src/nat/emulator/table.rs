use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ntm_core::Rng;

use crate::nat::Nat;

/// What is told apart by ports; the identifier of an ICMP echo counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Echo,
}

/// Who is behind which outer port, and whom each has written to.
///
/// As Linux does it: a flow is a protocol, an inner address and port, and a
/// remote address and port. It gets its own port if no other flow to the same
/// remote has that one outside.
pub(super) struct Table {
    nat: Nat,
    rng: Rng,
    udp_timeout: Option<Duration>,
    /// (inner, remote) → flow.
    flows: HashMap<(Protocol, SocketAddr, SocketAddr), Flow>,
    /// (outer port, remote) → inner. The remote tells the family.
    inner: HashMap<(Protocol, u16, SocketAddr), SocketAddr>,
}

struct Flow {
    port: u16,
    expires: Instant,
    answered: bool,
}

impl Table {
    pub(super) fn new(nat: Nat) -> Self {
        // The same in each run: what is drawn must only differ from flow to flow.
        let rng = Rng::from_seed(*b"the outer ports of the emulator.");
        Self { nat, rng, udp_timeout: None, flows: HashMap::new(), inner: HashMap::new() }
    }

    pub(super) fn clear(&mut self) {
        self.flows.clear();
        self.inner.clear();
    }

    pub(super) fn set_udp_timeout(&mut self, timeout: Duration) {
        self.udp_timeout = Some(timeout);
    }

    /// The outer port of a packet that leaves; `None` if there is none left.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        protocol: Protocol,
        inner: SocketAddr,
        remote: SocketAddr,
    ) -> Option<u16> {
        let key = (protocol, inner, remote);
        if self.flows.get(&key).is_some_and(|flow| flow.expires <= now) {
            self.remove(&key);
        }
        if !self.flows.contains_key(&key) {
            if self.flows.len() >= MAX_FLOWS {
                self.purge(now);
            }
            let port = (self.flows.len() < MAX_FLOWS)
                .then(|| self.free_port(now, protocol, inner.port(), remote))??;
            self.inner.insert((protocol, port, remote), inner);
            self.flows.insert(key, Flow { port, expires: now, answered: false });
        }
        let lifetime = |answered| self.lifetime(protocol, answered);
        let lifetimes = [lifetime(false), lifetime(true)];
        let flow = self.flows.get_mut(&key)?;
        flow.expires = now + lifetimes[usize::from(flow.answered)];
        Some(flow.port)
    }

    /// Who gets a packet from this remote to this outer port, if anybody.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        protocol: Protocol,
        port: u16,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let inner = self.look(now, protocol, port, remote)?;
        let lifetime = self.lifetime(protocol, true);
        let flow = self.flows.get_mut(&(protocol, inner, remote))?;
        flow.answered = true;
        flow.expires = now + lifetime;
        Some(inner)
    }

    /// As [`enter`](Self::enter), for what is no sign of life (ICMP errors).
    pub(super) fn look(
        &self,
        now: Instant,
        protocol: Protocol,
        port: u16,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let inner = *self.inner.get(&(protocol, port, remote))?;
        self.port(now, protocol, inner, remote).map(|_| inner)
    }

    /// The outer port of a live flow.
    pub(super) fn port(
        &self,
        now: Instant,
        protocol: Protocol,
        inner: SocketAddr,
        remote: SocketAddr,
    ) -> Option<u16> {
        let flow = self.flows.get(&(protocol, inner, remote))?;
        (flow.expires > now).then_some(flow.port)
    }

    fn free_port(
        &mut self,
        now: Instant,
        protocol: Protocol,
        wanted: u16,
        remote: SocketAddr,
    ) -> Option<u16> {
        let free = |table: &Self, port| table.look(now, protocol, port, remote).is_none();
        if self.nat != Nat::Symmetric && free(self, wanted) {
            return Some(wanted);
        }
        for _ in 0..MAX_TRIES {
            let port = (self.rng.number() % (65_536 - 1024) + 1024) as u16;
            if free(self, port) {
                return Some(port);
            }
        }
        None
    }

    fn lifetime(&self, protocol: Protocol, answered: bool) -> Duration {
        match (protocol, self.udp_timeout) {
            (Protocol::Udp, Some(timeout)) => timeout,
            (Protocol::Udp, None) if answered => Duration::from_secs(120),
            (Protocol::Udp, None) | (Protocol::Echo, _) => Duration::from_secs(30),
            // Longer than any scenario; connections are not followed.
            (Protocol::Tcp, _) => Duration::from_secs(24 * 3600),
        }
    }

    fn purge(&mut self, now: Instant) {
        self.flows.retain(|_, flow| flow.expires > now);
        let flows = &self.flows;
        self.inner.retain(|(protocol, port, remote), inner| {
            flows.get(&(*protocol, *inner, *remote)).is_some_and(|flow| flow.port == *port)
        });
    }

    fn remove(&mut self, key: &(Protocol, SocketAddr, SocketAddr)) {
        if let Some(flow) = self.flows.remove(key) {
            let (protocol, inner, remote) = *key;
            let entry = (protocol, flow.port, remote);
            // The port may have been given to another flow since this expired.
            if self.inner.get(&entry) == Some(&inner) {
                self.inner.remove(&entry);
            }
        }
    }
}

/// What Linux allows by default on a machine of 4 GB.
const MAX_FLOWS: usize = 65_536;
const MAX_TRIES: u32 = 128;

#[cfg(test)]
mod tests {
    use super::Protocol::{Echo, Tcp, Udp};
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn setting(nat: Nat) -> (Table, Instant, SocketAddr, [SocketAddr; 2]) {
        let remotes = [at("203.0.113.9:53"), at("203.0.113.10:53")];
        (Table::new(nat), Instant::now(), at("192.168.1.2:4330"), remotes)
    }

    #[test]
    fn a_cone_keeps_the_port_for_every_destination() {
        let (mut table, now, inner, remotes) = setting(Nat::Cone);
        for remote in remotes {
            assert_eq!(table.leave(now, Udp, inner, remote), Some(4330));
            assert_eq!(table.enter(now, Udp, 4330, remote), Some(inner));
        }
    }

    #[test]
    fn a_symmetric_one_draws_a_port_for_each_destination_and_keeps_it() {
        let (mut table, now, inner, [one, two]) = setting(Nat::Symmetric);
        let ports = [one, two, one].map(|remote| table.leave(now, Udp, inner, remote).unwrap());
        assert_eq!(ports[0], ports[2]);
        assert!(ports[0] != ports[1] && !ports.contains(&4330), "{ports:?}");
    }

    #[test]
    fn only_the_address_and_port_written_to_may_answer() {
        let (mut table, now, inner, [one, two]) = setting(Nat::Cone);
        table.leave(now, Udp, inner, one);
        let other_port = at("203.0.113.9:54");
        for (protocol, remote) in [(Udp, two), (Udp, other_port), (Tcp, one), (Echo, one)] {
            assert_eq!(table.enter(now, protocol, 4330, remote), None, "{protocol:?} {remote}");
        }
    }

    #[test]
    fn two_behind_one_address_share_a_port_until_they_write_to_the_same_remote() {
        let (mut table, now, first, [one, two]) = setting(Nat::Cone);
        let second = at("192.168.1.3:4330");
        assert_eq!(table.leave(now, Udp, first, one), Some(4330));
        assert_eq!(table.leave(now, Udp, second, two), Some(4330));
        let port = table.leave(now, Udp, second, one).unwrap();
        assert_ne!(port, 4330);
        assert_eq!(table.enter(now, Udp, port, one), Some(second));
        assert_eq!(table.enter(now, Udp, 4330, one), Some(first));
    }

    #[test]
    fn a_flow_dies_of_silence_and_sooner_unanswered() {
        let (mut table, start, inner, [remote, _]) = setting(Nat::Cone);
        let after = |seconds| start + Duration::from_secs(seconds);
        table.leave(start, Udp, inner, remote);
        assert_eq!(table.look(after(31), Udp, 4330, remote), None);
        table.leave(start, Udp, inner, remote);
        assert_eq!(table.enter(after(29), Udp, 4330, remote), Some(inner));
        assert_eq!(table.enter(after(29 + 119), Udp, 4330, remote), Some(inner));
        assert_eq!(table.enter(after(29 + 119 + 121), Udp, 4330, remote), None);
    }

    #[test]
    fn an_expired_port_can_be_taken_over() {
        let (mut table, start, first, [remote, _]) = setting(Nat::Cone);
        let second = at("192.168.1.3:4330");
        table.leave(start, Udp, first, remote);
        let later = start + Duration::from_secs(60);
        assert_eq!(table.leave(later, Udp, second, remote), Some(4330));
        let port = table.leave(later, Udp, first, remote).unwrap();
        assert_ne!(port, 4330);
        assert_eq!(table.enter(later, Udp, 4330, remote), Some(second));
    }

    #[test]
    fn a_full_table_makes_room_of_what_has_expired_only() {
        let (mut table, start, inner, _) = setting(Nat::Cone);
        let remote = |number: usize| at(&format!("203.0.113.9:{number}"));
        for number in 0..MAX_FLOWS {
            assert!(table.leave(start, Udp, inner, remote(number)).is_some());
        }
        let other = at("203.0.113.10:53");
        assert_eq!(table.leave(start, Udp, inner, other), None);
        let later = start + Duration::from_secs(60);
        assert_eq!(table.leave(later, Udp, inner, other), Some(4330));
        assert_eq!((table.flows.len(), table.inner.len()), (1, 1));
    }

    #[test]
    fn what_is_forgotten_is_let_in_no_more() {
        let (mut table, now, inner, [remote, _]) = setting(Nat::Cone);
        table.leave(now, Udp, inner, remote);
        table.clear();
        assert_eq!(table.enter(now, Udp, 4330, remote), None);
    }
}
