//! Watchers with one mistake each, over the built-in `netlink`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::plugin::{Change, Fault, LocalAddress, PluginError, Route, Snapshot, Watcher};
use ntm_watcher_netlink::{Config, NetlinkWatcher};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// Interfaces stand in another order at every look.
    Unordered,
    /// Addresses that may be used are said not to be.
    NothingUsable,
    /// Answers to questions stand in the order of their addresses.
    SortsAnswers,
    /// Tunnels are left out.
    HidesTunnels,
    /// Nothing is ever told.
    Deaf,
    /// Addresses that have gone are still there.
    KeepsGone,
    /// Whatever is there is up.
    AlwaysUp,
    /// The first answer about a destination is the last.
    OneRouteForEver,
    /// More than 64 addresses of an interface are not seen.
    SmallTable,
    /// More than a few changes end it.
    DrownsInStorm,
    /// What is told late is lost with the call.
    LosesWithCall,
    /// A look takes changes away.
    LookingIsTelling,
    /// A question that is given up is the last.
    JamsWhenGivenUp,
    /// Tells of a change twenty times a second.
    NeverRests,
    /// By every interface the way is the best one's.
    AnyInterface,
    /// The generation stays.
    OneGeneration,
    /// New interfaces are not seen.
    KnowsOldLinks,
}

/// A watcher with this mistake.
pub struct Faulty {
    good: NetlinkWatcher,
    mistake: Mistake,
    looks: usize,
    told: u32,
    busy: bool,
    gone: BTreeMap<u32, BTreeSet<(IpAddr, u8)>>,
    routes: BTreeMap<IpAddr, Option<Route>>,
    links: Option<BTreeSet<u32>>,
}

impl Faulty {
    /// Opens the built-in watcher below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, mistake: Mistake) -> Result<Self, PluginError> {
        Ok(Self {
            good: NetlinkWatcher::open(config)?,
            mistake,
            looks: 0,
            told: 0,
            busy: false,
            gone: BTreeMap::new(),
            routes: BTreeMap::new(),
            links: None,
        })
    }

    fn spoil(&mut self, snapshot: &mut Snapshot) {
        self.looks += 1;
        let links = &mut snapshot.interfaces;
        match self.mistake {
            Mistake::Unordered if !links.is_empty() => {
                let turn = self.looks % links.len();
                links.rotate_left(turn);
            }
            Mistake::NothingUsable => {
                let all = links.iter_mut().flat_map(|link| &mut link.addresses);
                all.for_each(|address| address.usable = false);
            }
            Mistake::HidesTunnels => links.retain(|link| !link.name.starts_with("tun")),
            Mistake::KeepsGone => {
                for link in links {
                    let known = self.gone.entry(link.index).or_default();
                    known.extend(link.addresses.iter().map(|it| (it.ip, it.prefix)));
                    let there: BTreeSet<_> = link.addresses.iter().map(|it| it.ip).collect();
                    let gone = known.iter().filter(|(ip, _)| !there.contains(ip));
                    link.addresses.extend(gone.map(|(ip, prefix)| LocalAddress {
                        ip: *ip,
                        prefix: *prefix,
                        usable: true,
                        preferred: true,
                    }));
                }
            }
            Mistake::SmallTable => links.iter_mut().for_each(|link| link.addresses.truncate(64)),
            Mistake::AlwaysUp => links.iter_mut().for_each(|link| link.running = true),
            Mistake::OneGeneration => links.iter_mut().for_each(|link| link.generation = 1),
            Mistake::KnowsOldLinks => {
                let known =
                    self.links.get_or_insert_with(|| links.iter().map(|link| link.index).collect());
                links.retain(|link| known.contains(&link.index));
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Watcher for Faulty {
    async fn next(&mut self) -> Result<Change, PluginError> {
        match self.mistake {
            Mistake::Deaf => pending().await,
            Mistake::DrownsInStorm => {
                let change = self.good.next().await?;
                self.told += 1;
                // A buffer that was too small once is never read again.
                if self.told > 40 || change == Change::Resync {
                    let message = "too much has happened";
                    return Err(PluginError::new(Fault::System, message, ""));
                }
                Ok(change)
            }
            Mistake::LosesWithCall => {
                let change = self.good.next().await?;
                sleep(Duration::from_millis(5)).await;
                Ok(change)
            }
            Mistake::NeverRests => {
                match timeout(Duration::from_millis(50), self.good.next()).await {
                    Ok(change) => change,
                    Err(_) => Ok(Change::Link),
                }
            }
            _ => self.good.next().await,
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        match self.mistake {
            Mistake::JamsWhenGivenUp => {
                if self.busy {
                    return Err(PluginError::new(Fault::Busy, "another call is under way", ""));
                }
                self.busy = true;
                yield_now().await;
                self.busy = false;
            }
            Mistake::LookingIsTelling => {
                let moment = Duration::from_millis(30);
                while timeout(moment, self.good.next()).await.is_ok() {}
            }
            _ => {}
        }
        let mut snapshot = self.good.snapshot().await?;
        self.spoil(&mut snapshot);
        Ok(snapshot)
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        match self.mistake {
            Mistake::SortsAnswers => {
                let mut sorted = to.to_vec();
                sorted.sort();
                self.good.routes(&sorted).await
            }
            Mistake::OneRouteForEver => {
                let fresh = self.good.routes(to).await?;
                let known = &mut self.routes;
                let answer = |(ip, route): (&IpAddr, _)| *known.entry(*ip).or_insert(route);
                Ok(to.iter().zip(fresh).map(answer).collect())
            }
            _ => self.good.routes(to).await,
        }
    }

    async fn routes_by(
        &mut self,
        ifindex: u32,
        to: &[IpAddr],
    ) -> Result<Vec<Option<Route>>, PluginError> {
        match self.mistake {
            Mistake::AnyInterface => self.good.routes(to).await,
            _ => self.good.routes_by(ifindex, to).await,
        }
    }
}
