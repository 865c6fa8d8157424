//! A node's loop and its questions, with plugins that do what a test wants.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ntm_core::address::{Prefix, TransportKind, Vips};
use ntm_core::crypto::{Identity, Suites};
use ntm_core::id::{Epoch, NodeName, PublicKey};
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::{
    Change, Lane, MemberRole, NodeRecord, Plan, PlanRequest, PluginError, Record, Registry, Route,
    Snapshot, Transport, Traversal, Vip, Watcher, Write,
};
use ntm_core::relay::ForwardTable;
use ntm_core::terminal::{Cause, Mode, Phase, Terminal, TerminalConfig, TerminalEvent};
use ntm_core::tunnel::Table;
use ntm_core::{Rng, machine};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::Node;
use super::control::{Request, Response};
use super::effects::{CoordinatorPlugins, Questions};
use super::handover::Handovers;
use super::machines::{Asker, Machines};
use super::peers::PeersFile;
use super::run::{Turn, Waiting};
use super::workers::Workers;
use crate::clock;
use crate::config::Place;
use crate::worker::{Mailbox, Manner};

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
        let writes = self.0.lock().unwrap();
        let record = |write: &Write| match write {
            Write::Put(record) => Some(record.clone()),
            Write::Delete(_) => None,
        };
        Ok(writes.iter().filter_map(record).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), PluginError> {
        let longer = std::mem::take(&mut *self.1.lock().unwrap());
        sleep(longer).await;
        self.0.lock().unwrap().extend(writes);
        Ok(())
    }
}

/// Keeps what it is to restore; nothing else is asked of it.
#[derive(Default)]
struct Unused(Mutex<Vec<Vec<Vips>>>);

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

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        self.0.lock().unwrap().push(leases.to_vec());
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
        traversal: Arc::new(Unused::default()),
        vip: Arc::new(Unused::default()),
        registry: registry.clone(),
    };
    let folder = tempfile::tempdir().unwrap();
    let peers = PeersFile::new(&folder.path().join("mn.peers"));
    let (questions, mut answers) = Questions::new(Some(plugins), peers);
    let (_, id) = terminal();
    let all: Vec<_> = (1..=3).map(put).collect();
    for write in &all {
        questions.ask(Asker::Coordinator, id, Effect::Store(vec![write.clone()]));
        // The first is under way when the others follow.
        tokio::task::yield_now().await;
    }
    for _ in &all {
        timeout(Duration::from_secs(10), answers.recv()).await.unwrap().unwrap();
    }
    assert_eq!(*registry.0.lock().unwrap(), all);
}

#[tokio::test]
async fn the_vip_is_told_of_its_leases_once() {
    let leased = Vips { v4: Some([198, 18, 0, 9].into()), v6: None };
    let mut node = put(1);
    if let Write::Put(Record::Node(node)) = &mut node {
        node.vips = Some(leased);
    }
    let registry = Arc::new(Hesitant::default());
    registry.commit(vec![node]).await.unwrap();
    let records = registry.load().await.unwrap();
    let vip = Arc::new(Unused::default());
    let plugins =
        CoordinatorPlugins { traversal: Arc::new(Unused::default()), vip: vip.clone(), registry };
    plugins.restore().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let peers = PeersFile::new(&folder.path().join("dc.peers"));
    let (questions, mut answers) = Questions::new(Some(plugins), peers);
    let (_, id) = terminal();
    questions.ask(Asker::Coordinator, id, Effect::Load);
    let answer = timeout(Duration::from_secs(20), answers.recv()).await.unwrap().unwrap();
    assert_eq!(answer, (Asker::Coordinator, id, Outcome::Loaded(Ok((records, Vec::new())))));
    assert_eq!(*vip.0.lock().unwrap(), [[leased]]);
}

/// A watcher without news.
#[derive(Default)]
struct Quiet {
    /// How often it was asked for the addresses.
    looks: Arc<AtomicU32>,
    /// It does not tell routes now.
    deaf: Arc<AtomicBool>,
}

#[async_trait]
impl Watcher for Quiet {
    async fn next(&mut self) -> Result<Change, PluginError> {
        std::future::pending().await
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Ok(Snapshot::default())
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        if self.deaf.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(vec![None; to.len()])
    }
}

/// A node that has nothing but its loop.
fn node(watcher: impl Watcher + 'static) -> Node {
    let mut rng = Rng::from_seed([7; 32]);
    let (questions, answers) = Questions::new(None, PeersFile::new("mn.peers".as_ref()));
    Node {
        name: "mn.example".parse().unwrap(),
        public_key: PublicKey::from_bytes([1; 32]),
        machines: Machines::default(),
        table: Table::new(&mut rng),
        forwards: ForwardTable::new(&mut rng),
        transports: Vec::new(),
        interface: None,
        mtu: 1400,
        watcher: Box::new(watcher),
        mailbox: Arc::new(Mailbox::new(1, &mut rng)),
        workers: Workers::new(Manner::default(), Rng::from_seed([9; 32])),
        questions,
        answers,
        server: None,
        dc: Place::Program,
        handovers: Handovers::default(),
        waiting: Waiting::default(),
    }
}

/// A transport that hears nothing, and counts how often it makes new sockets.
#[derive(Default)]
struct Deaf(AtomicU32);

#[async_trait]
impl Transport for Deaf {
    fn kind(&self) -> TransportKind {
        TransportKind::UDP
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        Vec::new()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    fn max_payload(&self, _: SocketAddr) -> Option<usize> {
        None
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_transport_on_which_nobody_answers_makes_new_sockets_once() {
    let mut node = node(Quiet::default());
    let deaf = Arc::new(Deaf::default());
    node.transports = vec![("udp".into(), deaf.clone())];
    let now = clock::now();
    node.look_after_transports(now).await;
    node.waiting.silence.note_sent(now, 0, None);
    node.hear_terminal(now, TerminalEvent::CoordinatorUnreachable).await;
    let phase = Phase::Detected(Cause::DeadPath);
    let died = TerminalEvent::Phase { epoch: Epoch(1), phase, at: now };
    for seconds in 1..30 {
        node.hear_terminal(now, died.clone()).await;
        node.look_after_transports(now + Duration::from_secs(seconds)).await;
    }
    assert_eq!(deaf.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_flood_stops_neither_clocks_nor_clients_nor_other_tasks() {
    let watcher = Quiet::default();
    let looks = watcher.looks.clone();
    let mut node = node(watcher);
    let others = Arc::new(AtomicU32::new(0));
    let count = others.clone();
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(5)).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (calls, mut called) = mpsc::channel(1);
    let mut stop = pin!(std::future::pending());
    let mut tick = pin!(sleep(Duration::from_millis(5)));
    let (mut ticks, mut clients) = (0, 0);
    let mut client: Option<oneshot::Receiver<Response>> = None;
    let mut asks = Instant::now();
    let end = asks + Duration::from_millis(500);
    while Instant::now() < end {
        // There is always something in the mailbox.
        node.mailbox.ring();
        node.waiting.look.get_or_insert(clock::now() + Duration::from_millis(5));
        if client.as_mut().is_some_and(|answered| answered.try_recv().is_ok()) {
            clients += 1;
            client = None;
        }
        if client.is_none() && Instant::now() >= asks {
            asks = Instant::now() + Duration::from_millis(5);
            let (answer, answered) = oneshot::channel();
            calls.try_send((Request::Status, answer)).unwrap();
            client = Some(answered);
        }
        match node.turn(&mut called, tick.as_mut(), stop.as_mut()).await {
            Turn::Tick(_) => {
                ticks += 1;
                tick.set(sleep(Duration::from_millis(5)));
            }
            Turn::Done => {}
            Turn::End(result) => panic!("it ends: {result:?}"),
        }
    }
    let (looks, others) = (looks.load(Ordering::Relaxed), others.load(Ordering::Relaxed));
    let all = [looks, ticks, others, clients];
    assert!(all.iter().all(|times| *times >= 10), "looks, ticks, others, clients: {all:?}");
}

#[tokio::test]
async fn a_watcher_that_hesitates_is_asked_again_and_does_not_mean_no_route() {
    let watcher = Quiet::default();
    let deaf = watcher.deaf.clone();
    let mut node = node(watcher);
    let (terminal, id) = terminal();
    node.machines.terminal = Some(terminal);
    let awaits_answer = |node: &Node| node.machines.deadline().is_some();
    assert!(awaits_answer(&node), "or it would not go on without");

    deaf.store(true, Ordering::Relaxed);
    let ips = vec![IpAddr::from([203, 0, 113, 1])];
    node.answer_routes(clock::now(), Asker::Terminal, id, ips).await;
    assert!(awaits_answer(&node), "no answer is none");

    deaf.store(false, Ordering::Relaxed);
    let again = node.waiting.look.unwrap();
    sleep(again.since(clock::now())).await;
    node.handle_timeout().await;
    assert!(!awaits_answer(&node), "now it has one");
}
