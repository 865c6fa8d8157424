//! A node's loop and its questions, with plugins that do what a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::address::{Prefix, Vips};
use ntm_core::crypto::{Identity, Suites};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::machine::{Effect, EffectId};
use ntm_core::plugin::{
    MemberRole, NodeRecord, Plan, PlanRequest, PluginError, Record, Registry, Traversal, Vip, Write,
};
use ntm_core::terminal::{Mode, Terminal, TerminalConfig};
use ntm_core::{Rng, machine};
use tokio::time::{sleep, timeout};

use super::effects::{CoordinatorPlugins, Questions};
use super::machines::Asker;
use super::peers::PeersFile;
use crate::clock;

/// A terminal that has asked its first question.
fn terminal() -> (Terminal, EffectId) {
    let mut rng = Rng::from_seed([7; 32]);
    let node = machine::Node {
        identity: Identity::generate(&mut rng),
        name: "mn.example".parse().unwrap(),
        unix_at_zero: clock::unix_at_zero(),
        transports: Vec::new(),
    };
    let config = TerminalConfig {
        mode: Mode::Fast,
        suites: Suites::BASIC,
        mtu: 1400,
        coordinators: Vec::new(),
    };
    let mut terminal = Terminal::new(clock::now(), node, config, rng);
    let (id, _) = terminal.poll_effect().unwrap();
    (terminal, id)
}

/// A registry that takes longest over what comes first.
#[derive(Default)]
struct Hesitant(Mutex<Vec<Write>>, Mutex<Duration>);

#[async_trait]
impl Registry for Hesitant {
    async fn load(&self) -> Result<Vec<Record>, PluginError> {
        Ok(Vec::new())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError> {
        let longer = std::mem::take(&mut *self.1.lock().unwrap());
        sleep(longer).await;
        self.0.lock().unwrap().extend(writes);
        Ok(())
    }
}

struct Unused;

#[async_trait]
impl Traversal for Unused {
    async fn plan(&self, _: &PlanRequest) -> Result<Plan, PluginError> {
        unreachable!()
    }
}

#[async_trait]
impl Vip for Unused {
    fn ranges(&self) -> Vec<Prefix> {
        Vec::new()
    }

    async fn restore(&self, _: &[Vips]) -> Result<(), PluginError> {
        Ok(())
    }

    async fn allocate(&self, _: &NodeName, _: &PublicKey) -> Result<Vips, PluginError> {
        unreachable!()
    }

    async fn release(&self, _: &Vips) {}
}

fn put(key: u8) -> Write {
    Write::Put(Record::Node(NodeRecord {
        name: "cn.example".parse().unwrap(),
        key: PublicKey::from_bytes([key; 32]),
        roles: MemberRole::Terminal.into(),
        vips: None,
    }))
}

#[tokio::test]
async fn what_is_stored_keeps_its_order() {
    let registry = Arc::new(Hesitant(Mutex::default(), Mutex::new(Duration::from_millis(50))));
    let plugins = CoordinatorPlugins {
        traversal: Arc::new(Unused),
        vip: Arc::new(Unused),
        registry: registry.clone(),
    };
    let folder = tempfile::tempdir().unwrap();
    let peers = PeersFile::new(&folder.path().join("mn.peers"));
    let (questions, mut answers) = Questions::new(Some(plugins), peers);
    let (_, id) = terminal();
    let all: Vec<_> = (1..=3).map(put).collect();
    for write in &all {
        questions.ask(Asker::Coordinator, id, Effect::Store(vec![write.clone()]));
    }
    for _ in &all {
        timeout(Duration::from_secs(10), answers.recv()).await.unwrap().unwrap();
    }
    assert_eq!(*registry.0.lock().unwrap(), all);
}
