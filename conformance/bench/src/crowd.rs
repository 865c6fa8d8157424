//! Many other terminals that a node has tunnels with: the machines of `ntm-core` in one
//! thread, each with a socket of its own and no virtual interface.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ntm_core::Rng;
use ntm_core::address::{Leg, TransportId, TransportKind};
use ntm_core::client::CoordinatorAddress;
use ntm_core::crypto::{Identity, Suites};
use ntm_core::machine::{Effect, Node, Outcome, TransportFacts};
use ntm_core::plugin::{LocalAddress, LocalInterface, Route, Snapshot};
use ntm_core::terminal::{Mode, Terminal, TerminalConfig, TerminalEvent};
use ntm_lab::scenario::until;
use ntm_lab::{Error, Netns, Result, now};

use crate::bed::doing;

/// Somebody of a crowd before it is there: how a coordinator knows it.
pub(crate) struct Stranger {
    identity: Identity,
    /// Its name in the domain.
    pub(crate) name: String,
}

impl Stranger {
    /// As many as asked, of names and keys that no other has.
    pub(crate) fn some(count: usize) -> Vec<Self> {
        let mut rng = Rng::from_seed([9; 32]);
        let make = |number| Self {
            identity: Identity::generate(&mut rng),
            name: format!("crowd-{number}.example"),
        };
        (0..count).map(make).collect()
    }

    /// What a coordinator's configuration says of it.
    pub(crate) fn member(&self) -> String {
        format!(
            "[[member]]\nname = \"{}\"\npublic_key = \"{}\"\nrole = \"terminal\"\n",
            self.name,
            self.identity.public()
        )
    }
}

/// A crowd that is there until this is dropped.
pub(crate) struct Crowd {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Their virtual addresses.
    pub(crate) vips: Vec<Ipv4Addr>,
}

impl Crowd {
    /// Registers all of them with the coordinator, from addresses of this machine.
    ///
    /// # Errors
    /// The system has not so many sockets, or the coordinator does not answer.
    pub(crate) fn gather(
        machine: &Netns,
        address: Ipv4Addr,
        coordinator: &CoordinatorAddress,
        strangers: Vec<Stranger>,
    ) -> Result<Self> {
        let files = |error: nix::Error| doing("raise the limit of open files")(error.into());
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(files)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(files)?;
        let count = strangers.len();
        let present = strangers
            .into_iter()
            .map(|stranger| Present::new(machine, address, coordinator, stranger))
            .collect::<Result<Vec<_>>>()?;
        let (ended, registered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn({
            let (ended, registered) = (ended.clone(), registered.clone());
            move || {
                live(present, &ended, |vip| {
                    registered.fetch_add(1, Ordering::Relaxed);
                    let _nobody_waits_any_more = tell.send(vip);
                });
            }
        });
        let mut this = Self { ended, thread: Some(thread), vips: Vec::new() };
        until("the crowd's registration", Duration::from_secs(60), || {
            Ok((registered.load(Ordering::Relaxed) >= count).then_some(()))
        })?;
        this.vips = told.try_iter().collect();
        Ok(this)
    }

    /// Has the machine send each of them a packet, so that it has a tunnel with each,
    /// and waits until it says that it has.
    ///
    /// # Errors
    /// It does not come to so many.
    pub(crate) fn meet(&self, machine: &Netns, tunnels: impl Fn() -> Result<usize>) -> Result<()> {
        let socket = machine
            .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .map_err(doing("open a UDP socket"))?;
        let all = self.vips.len();
        until(&format!("tunnels with {all} others"), Duration::from_secs(120), || {
            if tunnels()? >= all {
                return Ok(Some(()));
            }
            for vip in &self.vips {
                // What does not arrive is said again.
                let _ = socket.send_to(&[0], (*vip, 9));
                thread::sleep(Duration::from_micros(500));
            }
            Ok(None)
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _it_panicked = thread.join();
        }
    }
}

/// One of a crowd.
struct Present {
    terminal: Terminal,
    socket: UdpSocket,
    address: IpAddr,
}

impl Present {
    fn new(
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
            name: stranger.name.parse().map_err(|_| Error::Wrong("a name is wrong".into()))?,
            unix_at_zero: 1_700_000_000,
            transports: vec![TransportFacts { kind, port, ipv4: true, ipv6: false }],
        };
        let config = TerminalConfig {
            mode: Mode::Fast,
            suites: Suites::ALL,
            mtu: 1400,
            coordinators: vec![coordinator.clone()],
        };
        let mut seed = [1; 32];
        seed[..2].copy_from_slice(&port.to_be_bytes());
        let terminal = Terminal::new(now(), node, config, Rng::from_seed(seed));
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

    fn receive(&mut self, buffer: &mut [u8]) {
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
    fn drain(&mut self, mut hear: impl FnMut(TerminalEvent)) {
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

/// Lives all of their lives until the end; tells each one's first virtual address.
fn live(mut crowd: Vec<Present>, ended: &AtomicBool, mut registered: impl FnMut(Ipv4Addr)) {
    let mut buffer = vec![0; 65_536];
    let mut known = vec![false; crowd.len()];
    while !ended.load(Ordering::Relaxed) {
        let time = now();
        for (present, known) in crowd.iter_mut().zip(&mut known) {
            if present.terminal.poll_timeout().is_some_and(|(at, _)| at <= time) {
                present.terminal.handle_timeout(time);
            }
            present.drain(|event| {
                if let TerminalEvent::Registered { vips, .. } = event
                    && let Some(vip) = vips.v4
                    && !std::mem::replace(known, true)
                {
                    registered(vip);
                }
            });
        }
        let deadlines = crowd.iter().filter_map(|present| present.terminal.poll_timeout());
        let next = deadlines.map(|(at, _)| at.since(now())).min().unwrap_or(LONGEST).min(LONGEST);
        let mut sockets: Vec<_> =
            crowd.iter().map(|each| PollFd::new(each.socket.as_fd(), PollFlags::POLLIN)).collect();
        let _a_signal = ppoll(&mut sockets, Some(next.into()), None);
        let heard: Vec<_> = sockets.iter().map(|socket| socket.any() == Some(true)).collect();
        for (present, _) in crowd.iter_mut().zip(heard).filter(|(_, heard)| *heard) {
            present.receive(&mut buffer);
        }
    }
}

/// Until it is looked whether this is the end.
const LONGEST: Duration = Duration::from_millis(200);
