//! One of a crowd: a terminal's machine with a socket.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use ntm_core::address::{Leg, TransportId, TransportKind};
use ntm_core::client::CoordinatorAddress;
use ntm_core::crypto::Suites;
use ntm_core::machine::{Effect, Node, Outcome, TransportFacts};
use ntm_core::plugin::{LocalAddress, LocalInterface, Route, Snapshot};
use ntm_core::terminal::{Mode, Terminal, TerminalConfig, TerminalEvent};
use ntm_lab::{Netns, Result, now};

use super::Stranger;
use crate::bed::doing;

/// Somebody of a crowd who is there.
pub(super) struct Present {
    pub(super) terminal: Terminal,
    pub(super) socket: UdpSocket,
    address: IpAddr,
}

impl Present {
    pub(super) fn new(
        machine: &Netns,
        address: Ipv4Addr,
        coordinator: &CoordinatorAddress,
        stranger: Stranger,
    ) -> Result<Self> {
        let socket = machine
            .run(|| UdpSocket::bind((address, 0)))
            .map_err(doing("open a UDP socket for each of the crowd"))?;
        socket.set_nonblocking(true).map_err(doing("set a socket to non-blocking"))?;
        let port = socket.local_addr().map_err(doing("ask for a port"))?.port();
        let kind = TransportKind::UDP;
        let node = Node {
            identity: stranger.identity,
            name: stranger.name,
            unix_at_zero: 1_700_000_000,
            transports: vec![TransportFacts { kind, port, ipv4: true, ipv6: false }],
        };
        let config = TerminalConfig {
            mode: Mode::Fast,
            suites: Suites::ALL,
            mtu: 1400,
            coordinators: vec![coordinator.clone()],
        };
        let terminal = Terminal::new(now(), node, config, stranger.rng);
        let mut this = Self { terminal, socket, address: address.into() };
        let routes = this.routes(&this.terminal.destinations());
        this.terminal.handle_addresses(now(), this.surroundings(), &routes);
        Ok(this)
    }

    fn surroundings(&self) -> Snapshot {
        let own = LocalAddress { ip: self.address, prefix: 24, usable: true, preferred: true };
        Snapshot {
            interfaces: vec![LocalInterface {
                index: 1,
                name: "wire".to_owned(),
                running: true,
                generation: 0,
                loopback: false,
                addresses: vec![own],
            }],
        }
    }

    fn routes(&self, to: &[IpAddr]) -> Vec<(IpAddr, Option<Route>)> {
        let route = Route { source: self.address, ifindex: 1, mtu: 1500 };
        to.iter().map(|ip| (*ip, ip.is_ipv4().then_some(route))).collect()
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.recv_from(buffer) {
                Ok((length, remote)) => {
                    let leg = Leg { transport: TransportId(0), remote, local: None };
                    self.terminal.handle_datagram(now(), &leg, &buffer[..length]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Does what the terminal wants; what it says of itself goes to `hear`.
    pub(super) fn drain(&mut self, mut hear: impl FnMut(TerminalEvent)) {
        while let Some((id, effect)) = self.terminal.poll_effect() {
            let outcome = match effect {
                Effect::Load => Outcome::Loaded(Ok((Vec::new(), Vec::new()))),
                Effect::Routes(to) => Outcome::Routed(self.routes(&to)),
                // Names and keys are kept nowhere; the rest is a coordinator's.
                Effect::Store(_) | Effect::Lease { .. } | Effect::Release(_) | Effect::Plan(_) => {
                    Outcome::Stored(Ok(()))
                }
            };
            self.terminal.handle_outcome(now(), id, outcome);
        }
        while let Some(event) = self.terminal.poll_event() {
            hear(event);
        }
        let mut buffer = Vec::new();
        while let Some(leg) = self.terminal.poll_transmit(&mut buffer) {
            // As on any network: what is lost is said again.
            let _ = self.socket.send_to(&buffer, leg.remote);
        }
    }
}
