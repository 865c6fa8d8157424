//! The plugin under test in a simulated world: its real instances, in virtual time.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ntm_core::address::{Prefix, Vips};
use ntm_core::machine::{Effect, Outcome};
use ntm_core::plugin::memory::{MemoryRegistry, Sequential};
use ntm_core::plugin::{
    Fault, PluginError, Record, Registry, RxSlot, Transport, Traversal, TxPacket, Vip,
};
use ntm_sim::{Answers, HostId, Road};
use ntm_traversal_rs::Rs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::outcome::Stop;
use crate::wait::PATIENCE;

/// A coordinator's plugins: the one under test, and built-in ones beside it. `None`: it
/// is broken, and refuses everything.
pub(super) struct Desk {
    pub(super) traversal: Option<Arc<dyn Traversal>>,
    pub(super) vip: Option<Arc<dyn Vip>>,
    pub(super) registry: Option<Arc<dyn Registry>>,
    /// How often the one under test was asked.
    pub(super) asked: u64,
}

/// A [`Desk`] that can be got at while a world asks it.
#[derive(Clone)]
pub(super) struct Plugins(Arc<Mutex<Desk>>, Arc<Runtime>);

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plugins")
    }
}

fn broken() -> PluginError {
    PluginError::new(Fault::System, "the instance is broken", "another one is opened")
}

impl Plugins {
    pub(super) fn built_in() -> Result<Self, Stop> {
        let desk = Desk {
            traversal: Some(Arc::new(Rs::new(Default::default())?)),
            vip: Some(Arc::new(Sequential::default())),
            registry: Some(Arc::new(MemoryRegistry::default())),
            asked: 0,
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Arc::new(Mutex::new(desk)), Arc::new(runtime)))
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, desk: &Desk) -> Result<(Vec<Record>, Vec<Prefix>), PluginError> {
        let (vip, registry) = (desk.vip.as_ref(), desk.registry.as_ref());
        let (vip, registry) = (vip.ok_or_else(broken)?, registry.ok_or_else(broken)?);
        let records = self.wait(registry.load())?;
        self.wait(vip.restore(&leases(&records)))?;
        Ok((records, vip.ranges()))
    }

    /// The answer of a plugin, which takes no virtual time.
    fn wait<T>(
        &self,
        call: impl Future<Output = Result<T, PluginError>>,
    ) -> Result<T, PluginError> {
        let answer = self.1.block_on(async { timeout(PATIENCE, call).await });
        answer.unwrap_or_else(|_| Err(PluginError::new(Fault::System, "it does not answer", "")))
    }

    /// What a fresh instance of the vip has to know.
    pub(super) fn restore(&self, vip: &dyn Vip) -> Result<(), PluginError> {
        let registry = self.desk().registry.clone().ok_or_else(broken)?;
        let records = self.wait(registry.load())?;
        self.wait(vip.restore(&leases(&records)))
    }
}

fn leases(records: &[Record]) -> Vec<Vips> {
    let lease = |record: &Record| match record {
        Record::Node(node) => node.vips,
        Record::Quarantine { vips, .. } => Some(*vips),
        Record::Domain { .. } => None,
    };
    records.iter().filter_map(lease).collect()
}

impl Answers for Plugins {
    fn answer(&mut self, effect: &Effect) -> Option<Outcome> {
        let mut desk = self.desk();
        desk.asked += 1;
        Some(match effect {
            Effect::Load => Outcome::Loaded(self.load(&desk)),
            Effect::Store(writes) => Outcome::Stored(match &desk.registry {
                Some(registry) => self.wait(registry.commit(writes.clone())),
                None => Err(broken()),
            }),
            Effect::Lease { name, key } => Outcome::Leased(match &desk.vip {
                Some(vip) => self.wait(vip.allocate(name, key)),
                None => Err(broken()),
            }),
            Effect::Release(vips) => Outcome::Stored(match &desk.vip {
                Some(vip) => self.wait(async {
                    vip.release(vips).await;
                    Ok(())
                }),
                None => Err(broken()),
            }),
            Effect::Plan(request) => Outcome::Planned(match &desk.traversal {
                Some(traversal) => self.wait(traversal.plan(request)),
                None => Err(broken()),
            }),
            Effect::Routes(_) => return None,
        })
    }
}

/// Transports on the loopback that carry a world's datagrams.
#[derive(Clone, Default)]
pub(super) struct Roads(Arc<Mutex<Carrying>>);

#[derive(Default)]
struct Carrying {
    /// An instance for each host; none while it is broken.
    of: BTreeMap<HostId, Arc<dyn Transport>>,
    /// The number that is carried before each datagram, to know it again.
    serial: u64,
    carried: u64,
    lost: u64,
}

/// What is not there after this time is lost. On a loopback it takes no time at all.
const LOST: Duration = Duration::from_secs(2);

impl fmt::Debug for Roads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roads")
    }
}

impl Roads {
    fn lock(&self) -> MutexGuard<'_, Carrying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host's transport from now on; the one before it is gone.
    pub(super) fn set(&self, host: HostId, transport: Option<Arc<dyn Transport>>) {
        let before = match transport {
            Some(transport) => self.lock().of.insert(host, transport),
            None => self.lock().of.remove(&host),
        };
        drop(before);
    }

    pub(super) fn of(&self, host: HostId) -> Option<Arc<dyn Transport>> {
        self.lock().of.get(&host).cloned()
    }

    /// Datagrams that were carried, and lost.
    pub(super) fn count(&self) -> (u64, u64) {
        let carrying = self.lock();
        (carrying.carried, carrying.lost)
    }
}

/// Where a transport on this machine is reached from this machine.
fn own_address(transport: &dyn Transport) -> Option<SocketAddr> {
    let mut addr = *transport.local_addrs().first()?;
    if addr.ip().is_unspecified() {
        let ip: IpAddr = match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        addr.set_ip(ip);
    }
    Some(addr)
}

impl Carrying {
    fn carry(&mut self, from: HostId, to: HostId, datagram: &[u8]) -> Option<Vec<u8>> {
        let (from, to) = (self.of.get(&from)?.clone(), self.of.get(&to)?.clone());
        let there = own_address(&*to)?;
        self.serial += 1;
        let marked = [&self.serial.to_be_bytes()[..], datagram].concat();
        if from.max_payload(there).is_some_and(|most| most < marked.len()) {
            return None;
        }
        let (sender, receiver) = (from.lanes().into_iter().next()?, to.lanes().into_iter().next()?);
        let end = Instant::now() + LOST;
        let packet = [TxPacket::new(&marked, there.into())];
        while !matches!(sender.try_send(&packet), Ok(1)) {
            if Instant::now() >= end {
                return None;
            }
            std::thread::yield_now();
        }
        let mut buffer = vec![0; 65_535];
        while Instant::now() < end {
            let mut ready = [PollFd::from_borrowed_fd(receiver.fd(), PollFlags::IN)];
            let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let _later = poll(&mut ready, Some(&patience));
            let mut slots = [RxSlot::new(&mut buffer)];
            if receiver.try_recv(&mut slots).is_err() {
                continue;
            }
            for found in slots[0].segments() {
                // What came too late is lost.
                if let Some(datagram) = found.strip_prefix(&self.serial.to_be_bytes()) {
                    return Some(datagram.to_vec());
                }
            }
        }
        None
    }
}

impl Road for Roads {
    fn carry(&mut self, from: HostId, to: HostId, datagram: Vec<u8>) -> Option<Vec<u8>> {
        let mut carrying = self.lock();
        let arrived = carrying.carry(from, to, &datagram);
        carrying.carried += u64::from(arrived.is_some());
        carrying.lost += u64::from(arrived.is_none());
        arrived
    }
}
