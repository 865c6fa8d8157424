//! Traversals with one mistake each, over the built-in `rs`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::address::{Candidate, Location};
use ntm_core::plugin::{Begin, Fault, Plan, PlanRequest, PluginError, Traversal};
use ntm_traversal_rs::{Config, Rs};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// An end that is nowhere is refused.
    NotTotal,
    /// Panics where an end has IPv6 alone.
    Panics,
    /// Every other answer is the other way round.
    Alternates,
    /// Keeps the question where the next one overwrites it.
    MixesUp,
    /// A call that is given up holds all others up.
    Jams,
    /// Takes its time.
    Dawdles,
    /// A candidate from nowhere.
    Invents,
    /// Each end is told its own places.
    SwapsLists,
    /// Claims of loopback and link-local addresses are passed on.
    Loopback,
    /// Claims of any family are passed on.
    AnyFamily,
    /// The first candidate is named again.
    Doubles,
    /// A relay behind the last.
    BehindTheLast,
    /// The same relay as its own stand-by.
    OwnStandBy,
    /// Relays are not looked at.
    AnyRelay,
    /// No relay beside a plan without candidates.
    NoRelay,
    /// The end in the open begins.
    WrongEnd,
    /// Whoever asks begins.
    AskerBegins,
    /// Only the asker's places are cut to one.
    OneSided,
    /// Relays, even where both ends are in the open.
    NeverDirect,
    /// IPv4 first.
    OldFirst,
}

/// A traversal with this mistake.
pub struct Faulty {
    good: Rs,
    mistake: Mistake,
    calls: AtomicU64,
    busy: AtomicBool,
    asked: Mutex<Option<PlanRequest>>,
}

impl Faulty {
    /// Opens the built-in one below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, mistake: Mistake) -> Result<Self, PluginError> {
        Ok(Self {
            good: Rs::new(config)?,
            mistake,
            calls: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Option<PlanRequest>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spoil(&self, request: &PlanRequest, plan: &mut Plan) {
        let ends = [&request.initiator, &request.responder];
        let lists = [&mut plan.to_initiator, &mut plan.to_responder];
        match self.mistake {
            Mistake::Invents => {
                let [to_initiator, _] = lists;
                if let Some(first) = to_initiator.first().copied() {
                    let addr = match first.addr.ip() {
                        IpAddr::V4(_) => ([203, 0, 113, 250], 9).into(),
                        IpAddr::V6(_) => ([0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 9], 9).into(),
                    };
                    to_initiator.push(Candidate { addr, ..first });
                }
            }
            Mistake::SwapsLists => std::mem::swap(&mut plan.to_initiator, &mut plan.to_responder),
            Mistake::Loopback => {
                for (list, end) in lists.into_iter().zip(ends) {
                    let near = |it: &&Candidate| it.addr.ip().is_loopback() && it.addr.port() != 0;
                    let same_way = |it: &&Candidate| list.iter().any(|other| other.is_same_way(it));
                    let found = end.claimed.iter().filter(near).find(same_way).copied();
                    list.extend(found);
                }
            }
            Mistake::AnyFamily => {
                for (list, end) in lists.into_iter().zip(ends) {
                    let more =
                        end.claimed.iter().find(|it| is_documented(it) && !list.contains(it));
                    list.extend(more.copied());
                }
            }
            Mistake::Doubles => {
                for list in lists {
                    let first = list.first().copied();
                    list.extend(first);
                }
            }
            Mistake::BehindTheLast => plan.relays.push(request.relays.len()),
            Mistake::OwnStandBy => {
                if let [only] = plan.relays[..] {
                    plan.relays.push(only);
                }
            }
            Mistake::AnyRelay => plan.relays = (0..request.relays.len().min(2)).collect(),
            Mistake::NoRelay if lists.iter().any(|list| list.is_empty()) => plan.relays.clear(),
            Mistake::WrongEnd if ends.iter().any(|end| !is_open(end)) => {
                plan.begin = match plan.begin {
                    Begin::Initiator => Begin::Responder,
                    Begin::Responder => Begin::Initiator,
                };
            }
            Mistake::AskerBegins => plan.begin = Begin::Initiator,
            Mistake::OneSided => plan.to_initiator.truncate(1),
            Mistake::NeverDirect if ends.into_iter().all(is_open) => {
                lists.into_iter().for_each(Vec::clear);
            }
            Mistake::OldFirst => {
                for list in lists {
                    list.sort_by_key(|candidate| candidate.addr.is_ipv6());
                }
            }
            _ => {}
        }
    }
}

fn is_open(end: &Location) -> bool {
    end.observed.iter().any(|seen| end.claims(&seen.candidate))
}

/// Of a network for documentation: leads somewhere in any test.
fn is_documented(candidate: &Candidate) -> bool {
    candidate.addr.port() != 0
        && match candidate.addr.ip() {
            IpAddr::V4(ip) => ip.is_documentation(),
            IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
        }
}

#[async_trait]
impl Traversal for Faulty {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        let ends = [&request.initiator, &request.responder];
        let is_nowhere = |end: &Location| end.claimed.is_empty() && end.observed.is_empty();
        match self.mistake {
            Mistake::NotTotal if ends.into_iter().any(is_nowhere) => {
                return Err(PluginError::new(Fault::System, "an end is nowhere", ""));
            }
            Mistake::Panics => {
                let ipv4 = |end: &Location| end.claimed.iter().any(|it| it.addr.is_ipv4());
                assert!(ends.into_iter().all(ipv4), "a traversal that knows IPv4 alone");
            }
            Mistake::MixesUp => {
                *self.asked() = Some(request.clone());
                yield_now().await;
                let asked = self.asked().clone();
                return Ok(self.good.decide(asked.as_ref().unwrap_or(request)));
            }
            Mistake::Jams => {
                while self.busy.swap(true, Ordering::AcqRel) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                yield_now().await;
                self.busy.store(false, Ordering::Release);
            }
            Mistake::Dawdles => tokio::time::sleep(Duration::from_secs(3)).await,
            _ => {}
        }
        let mut plan = self.good.decide(request);
        if self.mistake == Mistake::Alternates && nth % 2 == 1 {
            plan.to_initiator.reverse();
            plan.to_responder.reverse();
        }
        self.spoil(request, &mut plan);
        Ok(plan)
    }
}
