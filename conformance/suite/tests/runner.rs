//! A plugin that hangs or panics fails, and stops nothing.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ntm_conformance::{Claims, Kind, Outcome, Runner, Source, Subject, contract};
use ntm_core::address::{Prefix, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{PluginError, Vip};
use serde_json::Value;

/// What `allocate` does.
#[derive(Clone, Copy)]
enum Mistake {
    Blocks,
    NeverAnswers,
    Panics,
}

#[async_trait]
impl Vip for Mistake {
    fn ranges(&self) -> Vec<Prefix> {
        vec!["10.0.0.0/8".parse().unwrap()]
    }

    async fn restore(&self, _: &[Vips]) -> Result<(), PluginError> {
        Ok(())
    }

    async fn allocate(&self, _: &NodeName, _: &PublicKey) -> Result<Vips, PluginError> {
        match self {
            Self::Blocks => loop {
                std::thread::park();
            },
            Self::NeverAnswers => std::future::pending().await,
            Self::Panics => panic!("the mistake"),
        }
    }

    async fn release(&self, _: &Vips) {}
}

impl Source for Mistake {
    fn vip(&self, _: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        Ok(Arc::new(*self))
    }
}

fn outcome(mistake: Mistake) -> Outcome {
    let subject =
        Subject::new("mine", Kind::Vip, "a test", Claims::everything(), Box::new(mistake));
    let check = *contract::all().find(|check| check.id() == "VIP-1").unwrap();
    let limit = match mistake {
        Mistake::Panics => None,
        Mistake::Blocks | Mistake::NeverAnswers => Some(Duration::from_millis(300)),
    };
    let report = Runner { limit, ..Runner::default() }.run(subject, &[check], |_| {});
    assert!(!report.passed());
    report.tried[0].outcome.clone()
}

#[test]
fn one_that_never_comes_back_fails_when_its_time_is_up() {
    for mistake in [Mistake::Blocks, Mistake::NeverAnswers] {
        assert_eq!(outcome(mistake), Outcome::Failed("did not come back in 0.3 s".into()));
    }
}

#[test]
fn a_panic_is_a_failure_with_its_text() {
    assert_eq!(outcome(Mistake::Panics), Outcome::Failed("panicked: the mistake".into()));
}

#[test]
fn what_is_not_claimed_is_not_tried() {
    let check = *contract::all().find(|check| check.id() == "VIP-1").unwrap();
    let subject = Subject::new(
        "mine",
        Kind::Vip,
        "a test",
        Claims::everything().with("ipv6", false),
        Box::new(Mistake::Panics),
    );
    let report = Runner::default().run(subject, &[check.needs(&["ipv4", "ipv6"])], |_| {});
    assert_eq!(report.tried[0].outcome, Outcome::NotClaimed("ipv6"));
    assert_eq!(report.to_string(), "ntm conformance: mine 0/0 passed, 1 not claimed");
}
