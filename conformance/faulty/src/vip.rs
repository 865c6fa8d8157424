//! Allocators with one mistake each, over the built-in `pool`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::collections::BTreeSet;
use std::future::pending;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::address::{Prefix, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Fault, PluginError, Vip};
use ntm_vip_pool::{Config, Pool};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// The ranges are others once there are leases.
    RangesGrow,
    /// IPv4 alone where there are two ranges.
    OneFamily,
    /// Every tenth lease is the one before.
    Twice,
    /// Looks which address is free, waits, and takes it.
    LooksThenTakes,
    /// The same, where only another thread can come between.
    RacesThreads,
    /// The range's last address in the place of the one before it.
    Broadcast,
    /// Refuses with a tenth left.
    GivesUpEarly,
    /// Goes on behind the end.
    BehindTheEnd,
    /// Never answers again at the end.
    HangsAtTheEnd,
    /// Panics at the end.
    PanicsAtTheEnd,
    /// Nothing is taken back.
    KeepsAll,
    /// Of what is given back looks at the low bits alone.
    FreesStrangers,
    /// Forgets leases with a restart.
    Forgets,
    /// Leases from before a restart stay for good.
    RestoredForGood,
    /// Takes leases over that are in none of its ranges.
    TakesAnything,
    /// Takes leases over until one is refused.
    TakesHalf,
    /// A call that is given up holds all others up.
    Jams,
    /// Takes its time.
    Dawdles,
}

/// What a library is configured with: the mistake, and what the built-in one is.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InLibrary {
    mistake: Mistake,
    ipv4: Option<Prefix>,
    ipv6: Option<Prefix>,
}

impl InLibrary {
    /// An allocator with this mistake.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(self) -> Result<Faulty, PluginError> {
        Faulty::open(Config { ipv4: self.ipv4, ipv6: self.ipv6 }, self.mistake)
    }
}

/// An allocator with this mistake.
pub struct Faulty {
    good: Pool,
    mistake: Mistake,
    calls: AtomicU64,
    busy: AtomicBool,
    /// A lease that somebody is about to take, or that was taken last.
    latest: Mutex<Option<Vips>>,
    restored: Mutex<BTreeSet<Vips>>,
}

impl Faulty {
    /// Opens the built-in allocator below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, mistake: Mistake) -> Result<Self, PluginError> {
        Ok(Self {
            good: Pool::new(config)?,
            mistake,
            calls: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            latest: Mutex::default(),
            restored: Mutex::default(),
        })
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Option<Vips>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease that is next, the same for all who look before one takes it.
    fn look(&self) -> Result<Vips, PluginError> {
        let mut next = self.latest();
        match *next {
            Some(lease) => Ok(lease),
            None => {
                let lease = self.good.take()?;
                *next = Some(lease);
                Ok(lease)
            }
        }
    }

    fn host_bits(range: &Prefix) -> u32 {
        (if range.base().is_ipv4() { 32 } else { 128 }) - u32::from(range.length())
    }

    /// The last host's address and the broadcast address change places.
    fn shifted(&self, vips: Vips) -> Vips {
        let shift = |ip: IpAddr| -> u128 {
            let number = number(ip);
            let range = self.good.ranges().into_iter().find(|range| range.contains(ip));
            let ones = range.map_or(0, |range| (1_u128 << Self::host_bits(&range)) - 1);
            match number & ones {
                host if host == ones => number - 1,
                host if host + 1 == ones => number + 1,
                _ => number,
            }
        };
        Vips {
            v4: vips.v4.map(|ip| (shift(ip.into()) as u32).into()),
            v6: vips.v6.map(|ip| shift(ip.into()).into()),
        }
    }

    /// What has these low bits in the ranges.
    fn low_bits(&self, vips: &Vips) -> Vips {
        let mut found = Vips::default();
        for range in self.good.ranges() {
            let ones = (1_u128 << Self::host_bits(&range)) - 1;
            let into = |ip: IpAddr| number(range.base()) | number(ip) & ones;
            match range.base() {
                IpAddr::V4(_) => {
                    found.v4 = vips.v4.map(|ip| (into(ip.into()) as u32).into());
                }
                IpAddr::V6(_) => found.v6 = vips.v6.map(|ip| into(ip.into()).into()),
            }
        }
        found
    }

    /// How many nodes there is room for.
    fn room(&self) -> u128 {
        let hosts = |range: &Prefix| (1_u128 << Self::host_bits(range)) - 2;
        self.good.ranges().iter().map(hosts).min().unwrap_or(0)
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

#[async_trait]
impl Vip for Faulty {
    fn ranges(&self) -> Vec<Prefix> {
        let mut ranges = self.good.ranges();
        if self.mistake == Mistake::RangesGrow && self.calls.load(Ordering::Relaxed) > 0 {
            for range in &mut ranges {
                let wider = Prefix::new(range.base(), range.length() - 1);
                *range = wider.unwrap_or(*range);
            }
        }
        ranges
    }

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        match self.mistake {
            Mistake::Forgets => Ok(()),
            Mistake::TakesAnything => {
                for lease in leases {
                    let _anything = self.good.keep(&[*lease]);
                }
                Ok(())
            }
            Mistake::TakesHalf => leases.iter().try_for_each(|lease| self.good.keep(&[*lease])),
            Mistake::Broadcast => {
                let leases: Vec<_> = leases.iter().map(|lease| self.shifted(*lease)).collect();
                self.good.keep(&leases)
            }
            _ => {
                self.good.keep(leases)?;
                let mut restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
                restored.extend(leases);
                Ok(())
            }
        }
    }

    async fn allocate(&self, _: &NodeName, _: &PublicKey) -> Result<Vips, PluginError> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        match self.mistake {
            Mistake::OneFamily => {
                let lease = self.good.take()?;
                Ok(if lease.v4.is_some() { Vips { v6: None, ..lease } } else { lease })
            }
            Mistake::Twice => {
                let mut latest = self.latest();
                if nth % 10 != 9 || latest.is_none() {
                    *latest = Some(self.good.take()?);
                }
                latest.ok_or_else(|| PluginError::new(Fault::System, "nothing was taken", ""))
            }
            Mistake::LooksThenTakes => {
                let lease = self.look()?;
                yield_now().await;
                *self.latest() = None;
                Ok(lease)
            }
            Mistake::RacesThreads => {
                let lease = self.look()?;
                std::thread::sleep(Duration::from_millis(1));
                *self.latest() = None;
                Ok(lease)
            }
            Mistake::Broadcast => Ok(self.shifted(self.good.take()?)),
            Mistake::GivesUpEarly => {
                let lease = self.good.take()?;
                let taken = lease.iter().map(number).min().unwrap_or(0);
                let base = self.good.ranges().iter().map(|it| number(it.base())).min();
                if taken - base.unwrap_or(0) > self.room() - self.room().div_ceil(10) {
                    self.good.give_back(&lease);
                    return Err(PluginError::new(Fault::Busy, "all addresses are taken", ""));
                }
                Ok(lease)
            }
            Mistake::BehindTheEnd => self.good.take().or_else(|_| {
                let ranges = self.good.ranges();
                let of = |ipv6| ranges.iter().find(|range| range.base().is_ipv6() == ipv6);
                let behind = |range: &Prefix| {
                    number(range.base()) + (1 << Self::host_bits(range)) + u128::from(nth)
                };
                Ok(Vips {
                    v4: of(false).map(|range| (behind(range) as u32).into()),
                    v6: of(true).map(|range| behind(range).into()),
                })
            }),
            Mistake::HangsAtTheEnd => match self.good.take() {
                Ok(lease) => Ok(lease),
                Err(_) => pending().await,
            },
            Mistake::PanicsAtTheEnd => {
                let lease = self.good.take();
                assert!(lease.is_ok(), "an allocator that did not think of its end");
                lease
            }
            Mistake::Jams => {
                while self.busy.swap(true, Ordering::AcqRel) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                yield_now().await;
                let lease = self.good.take();
                self.busy.store(false, Ordering::Release);
                lease
            }
            Mistake::Dawdles => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.good.take()
            }
            _ => self.good.take(),
        }
    }

    async fn release(&self, vips: &Vips) {
        match self.mistake {
            Mistake::KeepsAll => {}
            Mistake::FreesStrangers => self.good.give_back(&self.low_bits(vips)),
            Mistake::Broadcast => self.good.give_back(&self.shifted(*vips)),
            Mistake::RestoredForGood => {
                let restored = self.restored.lock().unwrap_or_else(PoisonError::into_inner);
                if !restored.contains(vips) {
                    self.good.give_back(vips);
                }
            }
            _ => self.good.give_back(vips),
        }
    }
}
