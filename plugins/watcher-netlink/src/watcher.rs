use std::net::IpAddr;
use std::time::Instant;

use async_trait::async_trait;
use ntm_core::plugin::{Change, Fault, PluginError, Route, Snapshot, Watcher};
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use crate::Config;
use crate::early::Early;
use crate::groups::{Groups, Told};
use crate::pending::Pending;
use crate::query::{DATAGRAM, Query};
use crate::table::Table;

/// Addresses, links and routes of one network namespace.
pub struct NetlinkWatcher {
    groups: Groups,
    query: Query,
    table: Table,
    /// Events were lost: the table must be read anew before it is shown.
    stale: bool,
    pending: Pending,
    early: Early,
    buffer: Vec<u8>,
}

impl NetlinkWatcher {
    /// Watches the network namespace of this thread from now on. Must be called
    /// inside a tokio runtime with I/O and time enabled, which drives it.
    ///
    /// # Errors
    /// [`Fault::Config`] for a receive buffer that cannot be; otherwise the
    /// system refuses netlink sockets.
    pub fn open(config: Config) -> Result<Self, PluginError> {
        if !(1..=LARGEST_BUFFER).contains(&config.receive_buffer) {
            let message = format!("a receive buffer of {} bytes cannot be", config.receive_buffer);
            let remedy = format!("give 1 to {LARGEST_BUFFER}");
            return Err(PluginError::new(Fault::Config, message, remedy).at("receive_buffer"));
        }
        if Handle::try_current().is_err() {
            let message = "the watcher was opened outside a tokio runtime";
            return Err(PluginError::new(Fault::System, message, "open it from an async task"));
        }
        let refused = |error| {
            let remedy = "allow the process netlink sockets, or choose the watcher `poll`";
            PluginError::io("use rtnetlink", &error, remedy)
        };
        let mut watcher = Self {
            groups: Groups::open(config.receive_buffer).map_err(refused)?,
            query: Query::open().map_err(refused)?,
            table: Table::default(),
            stale: true,
            pending: Pending::default(),
            early: Early::default(),
            buffer: vec![0; DATAGRAM],
        };
        watcher.settle()?;
        Ok(watcher)
    }

    /// Brings the table up to now, as far as a storm lets it.
    fn settle(&mut self) -> Result<(), PluginError> {
        if !self.stale {
            self.absorb(EVERYTHING)?;
        }
        for _ in 0..ATTEMPTS {
            if !self.stale {
                break;
            }
            self.reread()?;
        }
        Ok(())
    }

    /// Takes in up to `limit` datagrams that are there already.
    fn absorb(&mut self, limit: usize) -> Result<(), PluginError> {
        for _ in 0..limit {
            let told = self.groups.receive(&mut self.buffer)?;
            if told == Told::Nothing {
                break;
            }
            self.take_in(told);
        }
        Ok(())
    }

    fn take_in(&mut self, told: Told) {
        let changes = match told {
            Told::Nothing => Some(Vec::new()),
            Told::Lost => None,
            // What a stale table would call no news may be some.
            Told::Messages(_) if self.stale => None,
            Told::Messages(length) => self.table.take_in(&self.buffer[..length]).ok(),
        };
        self.stale |= changes.is_none();
        for change in changes.unwrap_or_else(|| vec![Change::Resync]) {
            self.pending.insert(change);
        }
    }

    /// Reads everything anew.
    fn reread(&mut self) -> Result<(), PluginError> {
        // Events that wait are older than what is read below. Without those
        // that were lost between them they could bring back what is gone; so
        // they only count as one more reason to look.
        let mut emptied = false;
        for _ in 0..EVERYTHING {
            emptied = self.groups.receive(&mut self.buffer)? == Told::Nothing;
            if emptied {
                break;
            }
            self.pending.insert(Change::Resync);
        }
        self.table = Table::default();
        let whole = self.query.everything(|event| {
            self.table.apply(event);
        })?;
        self.stale = !(emptied && whole);
        // Those that happened during the reading are all there, in order.
        self.absorb(EVERYTHING)
    }
}

#[async_trait]
impl Watcher for NetlinkWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        loop {
            if let Some(change) = self.pending.take() {
                return Ok(change);
            }
            let told = match self.early.alarm() {
                None => self.groups.wait(&mut self.buffer).await?,
                Some(at) => match timeout_at(at.into(), self.groups.wait(&mut self.buffer)).await {
                    Ok(told) => told?,
                    Err(_) => {
                        self.early.tell(Instant::now());
                        return Ok(Change::Route);
                    }
                },
            };
            self.take_in(told);
            self.absorb(BURST)?;
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        self.settle()?;
        Ok(self.table.snapshot())
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        let mut ways: Vec<_> = to.iter().map(|&to| self.query.way(to)).collect::<Result<_, _>>()?;
        let asked = self.early.check(&mut self.query, &mut ways)?;
        // Last, so that the table knows every interface that a route names.
        self.settle()?;
        self.early.keep_only(|ip| asked.contains(&ip) || self.table.has(ip));
        Ok(ways.into_iter().map(|way| self.table.route(way?)).collect())
    }

    async fn routes_by(
        &mut self,
        ifindex: u32,
        to: &[IpAddr],
    ) -> Result<Vec<Option<Route>>, PluginError> {
        let ways = to.iter().map(|&to| self.query.way_by(ifindex, to));
        let mut ways: Vec<_> = ways.collect::<Result<_, _>>()?;
        let _asked = self.early.check(&mut self.query, &mut ways)?;
        self.settle()?;
        Ok(ways.into_iter().map(|way| self.table.route(way?)).collect())
    }
}

/// Datagrams that `next` takes together: they were there already, and an
/// address brings three or four.
const BURST: usize = 32;
/// More datagrams than the default receive buffer holds; ends a race with a
/// storm after some 0.1 s.
const EVERYTHING: usize = 1 << 16;
/// How often a storm may spoil the reading before what was read must do; the
/// storm's next event then starts it again.
const ATTEMPTS: usize = 16;
const LARGEST_BUFFER: u32 = 1 << 30;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn it_refuses_to_open_outside_a_runtime_instead_of_panicking() {
        let error = NetlinkWatcher::open(Config::default()).err().unwrap();
        assert!(error.message.contains("runtime"), "{error}");
    }

    #[tokio::test]
    async fn a_receive_buffer_that_cannot_be_is_the_configuration_s_fault() {
        for receive_buffer in [0, LARGEST_BUFFER + 1] {
            let error = NetlinkWatcher::open(Config { receive_buffer }).err().unwrap();
            assert_eq!(
                (error.fault, error.key.as_deref()),
                (Fault::Config, Some("receive_buffer"))
            );
        }
        NetlinkWatcher::open(Config { receive_buffer: LARGEST_BUFFER }).unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn this_machine_has_a_loopback() {
        let mut watcher = NetlinkWatcher::open(Config::default()).unwrap();
        let snapshot = watcher.snapshot().await.unwrap();
        let loopback = snapshot.interfaces.iter().find(|one| one.loopback).unwrap();
        assert_eq!(loopback.name, "lo");
        assert!(snapshot.interfaces.is_sorted_by_key(|one| one.index));
    }

    #[tokio::test]
    async fn a_source_that_comes_of_age_is_told_as_a_change() {
        let mut watcher = NetlinkWatcher::open(Config::default()).unwrap();
        let since = Instant::now() - Duration::from_millis(950);
        watcher.early.judge("2001:db8::1".parse().unwrap(), false, since);
        let told = async { while watcher.next().await.unwrap() != Change::Route {} };
        timeout(Duration::from_secs(10), told).await.unwrap();
        assert_eq!(watcher.early.alarm(), None);
    }
}
