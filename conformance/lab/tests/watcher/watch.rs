use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ntm_core::plugin::{Change, LocalAddress, LocalInterface, Route, Snapshot, Watcher};
use ntm_watcher_ifwatch::IfwatchWatcher;
use ntm_watcher_netlink::NetlinkWatcher;
use ntm_watcher_poll::PollWatcher;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// The implementations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Netlink,
    Poll,
    Ifwatch,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netlink => "netlink",
            Self::Poll => "poll",
            Self::Ifwatch => "ifwatch",
        })
    }
}

/// A watcher with the runtime that drives it, used from a test that is not
/// async.
pub(crate) struct Watch {
    watcher: Box<dyn Watcher>,
    runtime: Runtime,
}

impl Watch {
    /// Opens one in this thread's namespace and lets it tell what it likes to
    /// tell at the start.
    pub(crate) fn open(kind: Kind) -> Self {
        Self::with(|| match kind {
            Kind::Netlink => Box::new(NetlinkWatcher::open(Default::default()).unwrap()),
            Kind::Poll => Box::new(PollWatcher::open(POLL).unwrap()),
            Kind::Ifwatch => Box::new(IfwatchWatcher::open(Default::default()).unwrap()),
        })
    }

    /// As [`open`](Self::open), a watcher that is opened so.
    pub(crate) fn with(open: impl FnOnce() -> Box<dyn Watcher>) -> Self {
        let mut this = Self::at_once(open);
        this.calm_down();
        this
    }

    /// A watcher that has just read everything.
    pub(crate) fn fresh() -> Self {
        Self::at_once(|| Box::new(NetlinkWatcher::open(Default::default()).unwrap()))
    }

    fn at_once(open: impl FnOnce() -> Box<dyn Watcher>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let inside = runtime.enter();
        let watcher = open();
        drop(inside);
        Self { watcher, runtime }
    }

    /// Takes what is still being told, until it is quiet.
    pub(crate) fn calm_down(&mut self) {
        while self.next_within(QUIET).is_some() {}
    }

    pub(crate) fn next(&mut self) -> Change {
        self.next_within(PATIENCE).expect("the watcher tells of it")
    }

    pub(crate) fn next_within(&mut self, limit: Duration) -> Option<Change> {
        let next = async { timeout(limit, self.watcher.next()).await };
        self.runtime.block_on(next).ok().map(Result::unwrap)
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.runtime.block_on(self.watcher.snapshot()).unwrap()
    }

    pub(crate) fn interface(&mut self, name: &str) -> LocalInterface {
        let interfaces = self.snapshot().interfaces.into_iter();
        interfaces.into_iter().find(|one| one.name == name).expect("the interface is there")
    }

    /// The address, wherever it is.
    pub(crate) fn address(&mut self, ip: &str) -> Option<LocalAddress> {
        let ip: IpAddr = ip.parse().unwrap();
        let interfaces = self.snapshot().interfaces.into_iter();
        interfaces.flat_map(|one| one.addresses).find(|address| address.ip == ip)
    }

    /// The interfaces that have this address.
    pub(crate) fn who_has(&mut self, ip: &str) -> Vec<String> {
        let ip: IpAddr = ip.parse().unwrap();
        let has = |one: &LocalInterface| one.addresses.iter().any(|address| address.ip == ip);
        let interfaces = self.snapshot().interfaces.into_iter();
        interfaces.filter(has).map(|one| one.name).collect()
    }

    pub(crate) fn routes(&mut self, to: &[&str]) -> Vec<Option<Route>> {
        let to: Vec<IpAddr> = to.iter().map(|to| to.parse().unwrap()).collect();
        self.runtime.block_on(self.watcher.routes(&to)).unwrap()
    }

    /// The routes by one interface alone.
    pub(crate) fn routes_by(&mut self, ifindex: u32, to: &[&str]) -> Vec<Option<Route>> {
        let to: Vec<IpAddr> = to.iter().map(|to| to.parse().unwrap()).collect();
        self.runtime.block_on(self.watcher.routes_by(ifindex, &to)).unwrap()
    }

    /// The source address toward a destination.
    pub(crate) fn source(&mut self, to: &str) -> Option<String> {
        self.routes(&[to])[0].map(|route| route.source.to_string())
    }

    /// Makes a change and waits until the watcher told of something and the
    /// state is the one wanted, which it must not have been before.
    pub(crate) fn sees(
        &mut self,
        change: impl FnOnce(),
        mut wanted: impl FnMut(&mut Self) -> bool,
    ) {
        self.calm_down();
        assert!(!wanted(self), "it is so already");
        change();
        loop {
            self.next();
            if wanted(self) {
                break;
            }
        }
    }
}

pub(crate) const POLL: ntm_watcher_poll::Config = ntm_watcher_poll::Config { interval_ms: 20 };
/// Nothing was told for so long: what happened before has been told.
pub(crate) const QUIET: Duration = Duration::from_millis(60);
/// What is not told within this never will be.
const PATIENCE: Duration = Duration::from_secs(10);
