//! Interfaces with one mistake each, over the built-in `tun`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use ntm_core::address::Vips;
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, Offload, PluginError};
use ntm_interface_tun::{Config, Tun};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use crate::transport::{FaultyLane, Mistake as InLane};

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// Other lanes at every call.
    OtherLanes,
    /// The index is another interface's.
    WrongIndex,
    /// The largest packet is what it was.
    IgnoresMtu,
    /// The ranges lead elsewhere.
    ForgetsRanges,
    /// What cannot be had leaves half of it.
    LeavesHalf,
    /// The last byte of a packet is another one.
    Alters,
    /// Of two packets the second is given first.
    Reorders,
    /// After one packet that is none, no other passes.
    BrokenByOne,
    /// It stays when it is closed.
    Stays,
    /// Given up, it is without addresses.
    ConfiguresHalfway,
}

impl Mistake {
    fn in_lane(self) -> InLane {
        match self {
            Self::Alters => InLane::Alters,
            Self::Reorders => InLane::Reorders,
            Self::BrokenByOne => InLane::BrokenByOne,
            _ => InLane::None,
        }
    }
}

/// An interface with this mistake.
pub struct Faulty {
    good: Tun,
    mistake: Mistake,
    lanes: Vec<Arc<FaultyLane>>,
}

impl Faulty {
    /// Opens the built-in interface below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, lanes: usize, mistake: Mistake) -> Result<Self, PluginError> {
        let good = Tun::open(config, lanes)?;
        let lanes: io::Result<_> = good.lanes().into_iter().map(|it| wrap(it, mistake)).collect();
        let lanes = lanes.map_err(|error| PluginError::io("open a pipe", &error, ""))?;
        Ok(Self { good, mistake, lanes })
    }
}

fn wrap(lane: Arc<dyn Lane>, mistake: Mistake) -> io::Result<Arc<FaultyLane>> {
    FaultyLane::new(lane, mistake.in_lane()).map(Arc::new)
}

#[async_trait]
impl Interface for Faulty {
    fn name(&self) -> String {
        self.good.name()
    }

    fn ifindex(&self) -> u32 {
        match self.mistake {
            Mistake::WrongIndex => self.good.ifindex() + 1,
            _ => self.good.ifindex(),
        }
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        if self.mistake == Mistake::OtherLanes {
            let again = self.good.lanes().into_iter();
            return again
                .filter_map(|it| Some(wrap(it, self.mistake).ok()? as Arc<dyn Lane>))
                .collect();
        }
        self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect()
    }

    fn offload(&self) -> Offload {
        self.good.offload()
    }

    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        let mut settings = settings.clone();
        match self.mistake {
            Mistake::IgnoresMtu => settings.mtu = 1500,
            Mistake::ForgetsRanges => settings.ranges.clear(),
            Mistake::LeavesHalf => {
                let result = self.good.configure(&settings).await;
                if result.is_err() {
                    let half = Vips { v4: Some([198, 18, 9, 9].into()), v6: None };
                    let half = InterfaceSettings { vips: half, ranges: Vec::new(), mtu: 1280 };
                    let _half = self.good.configure(&half).await;
                }
                return result;
            }
            Mistake::ConfiguresHalfway => {
                let half = Vips { v4: Some([198, 18, 9, 9].into()), v6: None };
                let half = InterfaceSettings { vips: half, ranges: Vec::new(), mtu: 1280 };
                self.good.configure(&half).await?;
                yield_now().await;
            }
            _ => {}
        }
        self.good.configure(&settings).await
    }

    async fn close(&self) {
        if self.mistake != Mistake::Stays {
            self.good.close().await;
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.good.facts()
    }
}
