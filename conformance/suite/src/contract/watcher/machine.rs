//! A machine with two ways out, and questions to its watcher.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ntm_core::plugin::{Change, LocalInterface, Route, Snapshot, Watcher};

use crate::case::Case;
use crate::outcome::Stop;
use crate::wait::{PATIENCE, within};
use crate::world::World;

pub(super) const WIFI: &str = "wifi0";
pub(super) const LTE: &str = "lte0";
pub(super) const WIFI_IP: &str = "10.0.1.2";
pub(super) const LTE_IP: &str = "10.0.2.2";
/// Somebody out there.
pub(super) const PEER: &str = "203.0.113.1";
pub(super) const PEER6: &str = "2001:db8:ffff::1";

/// Nothing was told for so long: it is silent.
const QUIET: Duration = Duration::from_millis(300);

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Two links with an address and a default route each; the Wi-Fi's is preferred.
pub(super) fn two_links(case: &Case) -> Result<&World, Stop> {
    let world = case.world()?;
    for (name, way, metric) in [(WIFI, 1, 100), (LTE, 2, 200)] {
        world.add_link(name)?;
        world.add_address(name, &format!("10.0.{way}.2/24"))?;
        world.add_address(name, &format!("2001:db8:{way}::2/64"))?;
        world.default_route(name, ip(&format!("10.0.{way}.1")), metric)?;
        world.default_route(name, ip(&format!("2001:db8:{way}::1")), metric)?;
    }
    Ok(world)
}

/// A watcher that has said what it likes to say at the start.
pub(super) async fn open(case: &Case) -> Result<Watch, Stop> {
    let mut watch = Watch(case.watcher()?);
    watch.calm_down().await?;
    Ok(watch)
}

pub(super) struct Watch(pub(super) Box<dyn Watcher>);

impl Watch {
    pub(super) async fn next(&mut self, after: &str) -> Result<Change, Stop> {
        Ok(within(&format!("news of {after}"), self.0.next()).await??)
    }

    /// What is told within this time.
    pub(super) async fn next_within(&mut self, limit: Duration) -> Result<Option<Change>, Stop> {
        match tokio::time::timeout(limit, self.0.next()).await {
            Ok(told) => Ok(Some(told?)),
            Err(_) => Ok(None),
        }
    }

    /// Takes what is still being told, until it is quiet.
    pub(super) async fn calm_down(&mut self) -> Result<usize, Stop> {
        let end = Instant::now() + PATIENCE;
        let mut told = 0;
        while self.next_within(QUIET).await?.is_some() {
            told += 1;
            if Instant::now() > end {
                return Err(Stop::broken(format!("it never falls silent: {told} events")));
            }
        }
        Ok(told)
    }

    pub(super) async fn snapshot(&mut self) -> Result<Snapshot, Stop> {
        Ok(within("`snapshot`", self.0.snapshot()).await??)
    }

    pub(super) async fn interface(&mut self, name: &str) -> Result<Option<LocalInterface>, Stop> {
        Ok(self.snapshot().await?.interfaces.into_iter().find(|one| one.name == name))
    }

    pub(super) async fn has(&mut self, address: &str) -> Result<bool, Stop> {
        let ip = ip(address);
        let all = self.snapshot().await?.interfaces;
        Ok(all.iter().flat_map(|one| &one.addresses).any(|address| address.ip == ip))
    }

    pub(super) async fn routes(&mut self, to: &[&str]) -> Result<Vec<Option<Route>>, Stop> {
        let to: Vec<_> = to.iter().map(|to| ip(to)).collect();
        let routes = within("`routes`", self.0.routes(&to)).await??;
        if routes.len() != to.len() {
            let how = format!("{} answers to {} questions", routes.len(), to.len());
            return Err(Stop::broken(how));
        }
        Ok(routes)
    }

    /// The source address toward a destination.
    pub(super) async fn source(&mut self, to: &str) -> Result<Option<IpAddr>, Stop> {
        Ok(self.routes(&[to]).await?[0].map(|route| route.source))
    }

    /// Makes a change and waits until something was told and `wanted` is true, which it
    /// must not have been before.
    pub(super) async fn sees(
        &mut self,
        what: &str,
        change: impl FnOnce() -> Result<(), Stop>,
        mut wanted: impl AsyncFnMut(&mut Self) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        self.calm_down().await?;
        if wanted(self).await? {
            return Err(Stop::broken(format!("{what}: so it was before already")));
        }
        change()?;
        let end = Instant::now() + PATIENCE;
        let mut told = 0;
        while Instant::now() < end {
            if self.next_within(PATIENCE).await?.is_some() {
                told += 1;
                if wanted(self).await? {
                    return Ok(());
                }
            }
        }
        Err(Stop::broken(match told {
            0 => format!("{what}: nothing was told in {} s", PATIENCE.as_secs()),
            _ => format!("{what}: {told} events were told, and it is not seen"),
        }))
    }
}
