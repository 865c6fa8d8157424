//! Putting the machines' questions to the plugins.

use std::sync::Arc;

use ntm_core::address::{Prefix, Vips};
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::{Fault, PluginError, Record, Registry, Traversal, Vip, Write};
use tokio::sync::mpsc;

use super::machines::Asker;
use super::peers::PeersFile;

/// The plugins that only a coordinator has.
#[derive(Clone)]
pub(crate) struct CoordinatorPlugins {
    pub(crate) traversal: Arc<dyn Traversal>,
    pub(crate) vip: Arc<dyn Vip>,
    pub(crate) registry: Arc<dyn Registry>,
}

/// An answer on its way back.
pub(crate) type Answer = (Asker, EffectId, Outcome);

/// Asks plugins in tasks of their own; answers come through a channel.
///
/// What is to be stored goes through one task for each machine, so that it
/// reaches the store in the order in which it was asked for. What was asked for
/// while the store was busy is stored together.
pub(crate) struct Questions {
    desk: Desk,
    terminals_stores: mpsc::UnboundedSender<(EffectId, Vec<Write>)>,
    coordinators_stores: mpsc::UnboundedSender<(EffectId, Vec<Write>)>,
}

/// Where questions are answered.
#[derive(Clone)]
struct Desk {
    coordinator: Option<CoordinatorPlugins>,
    peers: Arc<PeersFile>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Questions {
    /// Must be called inside a runtime, which drives the tasks.
    pub(crate) fn new(
        coordinator: Option<CoordinatorPlugins>,
        peers: PeersFile,
    ) -> (Self, mpsc::UnboundedReceiver<Answer>) {
        // Bounded by the machines, which have few questions open.
        let (answers, receiver) = mpsc::unbounded_channel();
        let desk = Desk { coordinator, peers: Arc::new(peers), answers };
        let questions = Self {
            terminals_stores: desk.queue(Asker::Terminal),
            coordinators_stores: desk.queue(Asker::Coordinator),
            desk,
        };
        (questions, receiver)
    }

    /// Asks. What concerns routes is the caller's.
    pub(crate) fn ask(&self, asker: Asker, id: EffectId, effect: Effect) {
        if let Effect::Store(writes) = effect {
            let stores = match asker {
                Asker::Terminal => &self.terminals_stores,
                Asker::Coordinator => &self.coordinators_stores,
            };
            let _closing = stores.send((id, writes));
        } else {
            let desk = self.desk.clone();
            tokio::spawn(async move { desk.answer(asker, vec![id], effect).await });
        }
    }
}

impl Desk {
    /// Starts a task that stores one batch after the other.
    fn queue(&self, asker: Asker) -> mpsc::UnboundedSender<(EffectId, Vec<Write>)> {
        let (sender, mut stores) = mpsc::unbounded_channel();
        let desk = self.clone();
        tokio::spawn(async move {
            while let Some(first) = stores.recv().await {
                let others = std::iter::from_fn(|| stores.try_recv().ok());
                let batch = std::iter::once(first).chain(others);
                let (ids, writes): (_, Vec<Vec<Write>>) = batch.unzip();
                desk.answer(asker, ids, Effect::Store(writes.concat())).await;
            }
        });
        sender
    }

    /// One answer to all these.
    async fn answer(&self, asker: Asker, ids: Vec<EffectId>, effect: Effect) {
        let outcome = match (asker, &self.coordinator) {
            (Asker::Terminal, _) => terminal(self.peers.clone(), effect).await,
            (Asker::Coordinator, Some(plugins)) => plugins.answer(effect).await,
            (Asker::Coordinator, None) => return,
        };
        for id in ids {
            let _closing = self.answers.send((asker, id, outcome.clone()));
        }
    }
}

/// A terminal keeps its pins in a file.
async fn terminal(peers: Arc<PeersFile>, effect: Effect) -> Outcome {
    let lost = |_| PluginError::new(Fault::System, "the task was aborted", "");
    match effect {
        Effect::Load => {
            let loaded = tokio::task::spawn_blocking(move || peers.load()).await;
            let records = loaded.map_err(lost).and_then(|records| records);
            if let Err(error) = &records {
                tracing::warn!(%error, "the pinned keys cannot be read; every key counts as new");
            }
            Outcome::Loaded(records.map(|records| (records, Vec::new())))
        }
        Effect::Store(writes) => {
            let stored = tokio::task::spawn_blocking(move || peers.store(&writes)).await;
            let stored = stored.map_err(lost).and_then(|stored| stored);
            if let Err(error) = &stored {
                tracing::warn!(%error, "a key that was seen first cannot be remembered");
            }
            Outcome::Stored(stored)
        }
        Effect::Lease { .. } | Effect::Release(_) | Effect::Plan(_) | Effect::Routes(_) => {
            Outcome::Stored(Ok(()))
        }
    }
}

impl CoordinatorPlugins {
    async fn answer(&self, effect: Effect) -> Outcome {
        match effect {
            Effect::Load => Outcome::Loaded(self.load().await),
            Effect::Store(writes) => Outcome::Stored(self.registry.commit(writes).await),
            Effect::Lease { name, key } => Outcome::Leased(self.vip.allocate(&name, &key).await),
            Effect::Release(vips) => {
                self.vip.release(&vips).await;
                Outcome::Stored(Ok(()))
            }
            Effect::Plan(request) => Outcome::Planned(self.traversal.plan(&request).await),
            Effect::Routes(_) => Outcome::Routed(Vec::new()),
        }
    }

    async fn load(&self) -> Result<(Vec<Record>, Vec<Prefix>), PluginError> {
        Ok((self.registry.load().await?, self.vip.ranges()))
    }

    /// Hands the registry's leases to the vip, once and before the coordinator asks
    /// for anything: a node does not start that would never serve, since the registry
    /// cannot be read or its addresses are not those of the ranges any more.
    ///
    /// # Errors
    /// What is wrong, and the section that chose the plugin.
    pub(crate) async fn restore(&self) -> Result<(), (&'static str, PluginError)> {
        let records = self.registry.load().await.map_err(|error| ("registry", error))?;
        self.vip.restore(&leases(&records)).await.map_err(|error| ("vip", error))
    }
}

fn leases(records: &[Record]) -> Vec<Vips> {
    let lease = |record: &Record| match record {
        Record::Node(node) => node.vips,
        Record::Quarantine { vips, .. } => Some(*vips),
        Record::Domain { .. } => None,
    };
    records.iter().filter_map(lease).collect()
}
