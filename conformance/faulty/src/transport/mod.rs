//! Transports with one mistake each, over the built-in `udp`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

mod lane;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, Lane, PluginError, Transport};
use ntm_transport_udp::{Config, Udp};
use serde::{Deserialize, Serialize};

pub(crate) use self::lane::FaultyLane;

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// Of two datagrams that lie there, the second is given first.
    Reorders,
    /// The last of a batch is not sent, and said to be.
    DropsTail,
    /// Two datagrams that lie there become one.
    Joins,
    /// The last byte of a datagram is lost.
    Cuts,
    /// A bit is another one.
    Alters,
    /// The descriptor is readable once, and not again.
    LosesWakeUps,
    /// The descriptor is readable always.
    AlwaysReadable,
    /// The source's port is another one.
    WrongSource,
    /// The address where it listens has another port.
    WrongLocal,
    /// The address where it listens has no port.
    NoPort,
    /// A descriptor more with every opening.
    Leaks,
    /// Opening never ends.
    HangsInOpen,
    /// The first datagram is one too many.
    PanicsInReceive,
    /// Making it work again takes another port.
    RebindMovesPort,
    /// After making it work again, the old lane is dead.
    RebindForgetsLanes,
    /// Making it work again, given up, leaves it dead.
    RebindHalfway,
    /// Says that datagrams of 64 KiB pass, and cuts what is longer than a packet.
    BoastsOfSize,
    /// Sends are fine after the end, too.
    TakesAfterClose,
    /// Nothing arrives after the end, and that is all it says.
    SilentAfterClose,
    /// Nobody who waits hears of the end.
    NoWakeAtClose,
    /// The port stays taken after the end.
    KeepsPort,
    /// The end never comes.
    HangsInClose,
    /// Other lanes at every call.
    OtherLanes,
    /// One lane fewer than workers.
    TooFewLanes,
    /// The mark of congestion is lost.
    LosesEcn,
    /// Of a run the last, shorter datagram is lost.
    LosesLastOfRun,
    /// A run is given as if its datagrams were one byte longer.
    WrongSegment,
    /// Where there is nothing, it gives nothing with success.
    NothingIsSuccess,
    /// After one datagram that could not be sent, none can.
    BrokenByOne,
    /// A send waits for a quarter of a minute.
    BlocksInSend,
    /// Another kind every time.
    ChangesKind,
    /// The address at which a datagram arrived is another one.
    WrongArrival,
    /// Behind a datagram that was cut for a small slot the next one is lost.
    LosesBehindCut,
    /// A datagram that is too large is cut.
    CutsTooLarge,
    /// Of a run as long as can be half is lost, and said to be taken.
    HalvesLongRuns,
    /// A port that is taken is the system's fault.
    BlamesSystem,
    /// The source that a packet names is not looked at.
    IgnoresSource,
    /// Addresses of IPv4 are written as ones of IPv6.
    Mapped,
    /// What one thread sends while another does is lost.
    OneThread,
    /// A move is the end.
    DeadAfterMove,
}

/// What a library is configured with: the mistake, and where to listen.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InLibrary {
    mistake: Mistake,
    bind: SocketAddr,
}

impl InLibrary {
    /// A transport with this mistake.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(self, lanes: usize) -> Result<Faulty, PluginError> {
        let config = Config { bind: self.bind, ..Config::default() };
        Faulty::open(config, lanes, self.mistake)
    }
}

/// A transport with this mistake.
pub struct Faulty {
    good: Udp,
    lanes: Vec<Arc<FaultyLane>>,
    mistake: Mistake,
    asked: AtomicU64,
    /// What else is open.
    kept: Mutex<Vec<Udp>>,
    config: Config,
}

impl Faulty {
    /// Opens the built-in transport below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, lanes: usize, mistake: Mistake) -> Result<Self, PluginError> {
        match mistake {
            Mistake::HangsInOpen => loop {
                thread::park();
            },
            Mistake::Leaks => {
                // Not all that there are: others run in this process.
                static LEAKED: AtomicU64 = AtomicU64::new(0);
                let leaks = LEAKED.fetch_add(1, Ordering::Relaxed) < 50;
                if let Some(Ok(pipe)) = leaks.then(io::pipe) {
                    std::mem::forget(pipe);
                }
            }
            _ => {}
        }
        let good = Udp::open(config.clone(), lanes).map_err(|error| match mistake {
            Mistake::BlamesSystem => PluginError { fault: Fault::System, ..error },
            _ => error,
        })?;
        let wrap = |lane| FaultyLane::new(lane, mistake).map(Arc::new);
        let wrapped: io::Result<_> = good.lanes().into_iter().map(wrap).collect();
        let wrapped = wrapped.map_err(|error| PluginError::io("open a pipe", &error, ""))?;
        let (asked, kept) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { good, lanes: wrapped, mistake, asked, kept, config })
    }
}

#[async_trait]
impl Transport for Faulty {
    fn kind(&self) -> TransportKind {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mistake {
            Mistake::ChangesKind => TransportKind(1 + (nth % 2) as u8),
            _ => self.good.kind(),
        }
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        match self.mistake {
            Mistake::OtherLanes => {
                let again = |lane: &Arc<FaultyLane>| -> Option<Arc<dyn Lane>> {
                    Some(Arc::new(FaultyLane::new(lane.good.clone(), self.mistake).ok()?))
                };
                self.lanes.iter().filter_map(again).collect()
            }
            Mistake::TooFewLanes => {
                let few = self.lanes.iter().take((self.lanes.len() - 1).max(1));
                few.map(|lane| lane.clone() as Arc<dyn Lane>).collect()
            }
            _ => self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect(),
        }
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut addrs = self.good.local_addrs();
        for addr in &mut addrs {
            match self.mistake {
                Mistake::WrongLocal => addr.set_port(addr.port() ^ 1),
                Mistake::NoPort => addr.set_port(0),
                _ => {}
            }
        }
        addrs
    }

    fn max_payload(&self, to: SocketAddr) -> Option<usize> {
        match self.mistake {
            Mistake::BoastsOfSize => Some(65_507),
            _ => self.good.max_payload(to),
        }
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        match self.mistake {
            Mistake::RebindMovesPort => {
                let mut bind = self.good.local_addrs()[0];
                bind.set_port(0);
                let moved = Udp::open(Config { bind, ..self.config.clone() }, self.lanes.len())?;
                for (lane, moved) in self.lanes.iter().zip(moved.lanes()) {
                    *lane.instead() = Some(moved);
                }
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
                Ok(())
            }
            Mistake::RebindForgetsLanes => {
                self.good.rebind().await?;
                self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
                Ok(())
            }
            Mistake::RebindHalfway => {
                self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
                tokio::task::yield_now().await;
                self.good.rebind().await?;
                self.lanes.iter().for_each(|lane| lane.dead.store(false, Ordering::Release));
                Ok(())
            }
            _ => self.good.rebind().await,
        }
    }

    fn moved(&self) {
        self.good.moved();
        if self.mistake == Mistake::DeadAfterMove {
            self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
        }
    }

    async fn close(&self) {
        match self.mistake {
            Mistake::HangsInClose => std::future::pending().await,
            Mistake::KeepsPort | Mistake::NoWakeAtClose => {
                self.lanes.iter().for_each(|lane| lane.closed.store(true, Ordering::Release));
                if self.mistake == Mistake::NoWakeAtClose {
                    // The port is free again, and the pipe that is waited for stays.
                    self.good.close().await;
                }
            }
            _ => {
                self.good.close().await;
                self.lanes.iter().for_each(|lane| lane.closed.store(true, Ordering::Release));
            }
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.good.facts()
    }
}
