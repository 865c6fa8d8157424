use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::plugin::{Change, Fault, LocalInterface, PluginError, Route, Snapshot, Watcher};
use tokio::runtime::Handle;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::{Config, flags, route, system};

/// Looks at the system again and again and compares.
pub struct PollWatcher {
    /// Lives on while no `next` waits: a caller that often gives up waiting
    /// does not put the look off.
    clock: Interval,
    /// What the last look saw.
    seen: Snapshot,
    /// Which routes it found to the destinations of interest.
    routes: BTreeMap<IpAddr, Option<Route>>,
    /// What changed and `next` has not told yet, each kind once.
    changes: Vec<Change>,
}

impl PollWatcher {
    /// Looks for the first time; changes count from then on. Must be called
    /// inside a tokio runtime with time enabled, which drives it.
    ///
    /// # Errors
    /// [`Fault::Config`] for an interval that cannot be; otherwise the system
    /// does not list its interfaces.
    pub fn open(config: Config) -> Result<Self, PluginError> {
        if !INTERVALS.contains(&config.interval_ms) {
            let message = format!("an interval of {} ms cannot be", config.interval_ms);
            let remedy = format!("give {} to {}", INTERVALS.start(), INTERVALS.end());
            return Err(PluginError::new(Fault::Config, message, remedy).at("interval_ms"));
        }
        if Handle::try_current().is_err() {
            let message = "the watcher was opened outside a tokio runtime";
            return Err(PluginError::new(Fault::System, message, "open it from an async task"));
        }
        let interval = Duration::from_millis(config.interval_ms.into());
        let mut clock = tokio::time::interval_at(Instant::now() + interval, interval);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (seen, routes) = (interfaces()?, BTreeMap::new());
        let mut watcher = Self { clock, seen, routes, changes: Vec::new() };
        watcher.take_interest(&[])?;
        Ok(watcher)
    }

    /// Compares with the last look. What `next` has not told yet it still owes,
    /// even if all is as it was again: somebody may have seen it in between.
    fn look(&mut self) -> Result<(), PluginError> {
        let now = interfaces()?;
        let mut changes = differences(&self.seen, &now);
        for (&to, before) in &mut self.routes {
            let answer = route::route(to, &now.interfaces)?;
            if std::mem::replace(before, answer) != answer {
                changes.push(Change::Route);
            }
        }
        self.seen = now;
        changes.retain(|change| !self.changes.contains(change));
        changes.dedup();
        self.changes.extend(changes);
        Ok(())
    }

    /// From now on looks at the routes to these destinations and, so that a
    /// move shows although nobody has asked yet, at the default ones.
    fn take_interest(&mut self, to: &[IpAddr]) -> Result<(), PluginError> {
        let all: BTreeSet<_> = to.iter().copied().chain(ANYWHERE).collect();
        self.routes.retain(|known, _| all.contains(known));
        for to in all {
            if let Entry::Vacant(new) = self.routes.entry(to) {
                new.insert(route::route(to, &self.seen.interfaces)?);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Watcher for PollWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        loop {
            if let Some(change) = self.changes.pop() {
                return Ok(change);
            }
            self.clock.tick().await;
            self.look()?;
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        self.look()?;
        Ok(self.seen.clone())
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        self.look()?;
        self.take_interest(to)?;
        Ok(to.iter().map(|to| self.routes.get(to).copied().flatten()).collect())
    }
}

/// The interfaces as they are now.
fn interfaces() -> Result<Snapshot, PluginError> {
    let mut now = system::interfaces()?;
    flags::complete(&mut now);
    Ok(now)
}

/// The kinds of change between two looks.
fn differences(before: &Snapshot, now: &Snapshot) -> Vec<Change> {
    let links = |snapshot: &Snapshot| -> Vec<_> {
        let bare = |one: &LocalInterface| LocalInterface { addresses: Vec::new(), ..one.clone() };
        snapshot.interfaces.iter().map(bare).collect()
    };
    let addresses = |snapshot: &Snapshot| -> Vec<_> {
        let ours = |one: &LocalInterface| (one.index, one.addresses.clone());
        snapshot.interfaces.iter().map(ours).filter(|(_, all)| !all.is_empty()).collect()
    };
    let mut changes = Vec::new();
    if addresses(before) != addresses(now) {
        changes.push(Change::Address);
    }
    if links(before) != links(now) {
        changes.push(Change::Link);
    }
    changes
}

/// Somewhere in either internet (TEST-NET-1, documentation).
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const INTERVALS: RangeInclusive<u32> = 10..=3_600_000;

#[cfg(test)]
mod tests {
    use ntm_core::plugin::LocalAddress;

    use super::*;

    fn snapshot() -> Snapshot {
        let ip = IpAddr::from([192, 0, 2, 1]);
        let address = LocalAddress { ip, prefix: 24, usable: true, preferred: true };
        let interface = LocalInterface {
            index: 2,
            name: "eth0".into(),
            running: true,
            generation: 0,
            loopback: false,
            addresses: vec![address],
        };
        Snapshot { interfaces: vec![interface] }
    }

    #[test]
    fn a_difference_is_told_by_its_kind() {
        let differs = |change: fn(&mut Snapshot)| {
            let mut now = snapshot();
            change(&mut now);
            differences(&snapshot(), &now)
        };
        assert_eq!(differs(|_| {}), []);
        assert_eq!(differs(|now| now.interfaces[0].running = false), [Change::Link]);
        assert_eq!(differs(|now| now.interfaces[0].name = "wan".into()), [Change::Link]);
        let deprecated: fn(&mut Snapshot) = |now| now.interfaces[0].addresses[0].preferred = false;
        assert_eq!(differs(deprecated), [Change::Address]);
        assert_eq!(differs(|now| now.interfaces.clear()), [Change::Address, Change::Link]);
    }

    #[test]
    fn it_refuses_to_open_outside_a_runtime_instead_of_panicking() {
        let error = PollWatcher::open(Config::default()).err().unwrap();
        assert!(error.message.contains("runtime"), "{error}");
    }

    #[tokio::test]
    async fn an_interval_that_cannot_be_is_the_configuration_s_fault() {
        for interval_ms in [0, 9, 3_600_001] {
            let error = PollWatcher::open(Config { interval_ms }).err().unwrap();
            assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("interval_ms")));
        }
    }

    #[tokio::test]
    async fn the_way_to_ourselves_is_by_loopback() {
        let mut watcher = PollWatcher::open(Config::default()).unwrap();
        let us = IpAddr::from(Ipv4Addr::LOCALHOST);
        let route = watcher.routes(&[us]).await.unwrap()[0].unwrap();
        let snapshot = watcher.snapshot().await.unwrap();
        let by = snapshot.interfaces.iter().find(|one| one.index == route.ifindex).unwrap();
        assert!(by.loopback && route.source == us, "{route:?}");
    }

    /// Nothing changes here, but the state last seen is bent so that the next
    /// look finds a difference.
    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_every_millisecond_hears_of_a_change_all_the_same() {
        let mut watcher = PollWatcher::open(Config { interval_ms: 100 }).unwrap();
        watcher.seen = snapshot();
        let impatient = async {
            loop {
                let wait = tokio::time::timeout(Duration::from_millis(1), watcher.next());
                if let Ok(change) = wait.await {
                    return change;
                }
            }
        };
        let limit = Duration::from_secs(10);
        let change = tokio::time::timeout(limit, impatient).await.expect("it is told in time");
        assert_eq!(change, Ok(Change::Link));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_that_a_snapshot_showed_is_still_told() {
        let mut watcher = PollWatcher::open(Config::default()).unwrap();
        watcher.seen = snapshot();
        watcher.snapshot().await.unwrap();
        let mut told = [watcher.next().await.unwrap(), watcher.next().await.unwrap()];
        told.sort_by_key(|change| format!("{change:?}"));
        assert_eq!(told, [Change::Address, Change::Link]);
    }
}
