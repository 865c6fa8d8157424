//! Translation in the cable, for machines without `nft`.

mod checksum;
mod packet;
mod table;
mod translate;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Nat;
use crate::link::Middlebox;
use table::Table;
use translate::Translator;

/// The owner's handle on a translator that sits in a cable.
pub(super) struct Emulator {
    table: Arc<Mutex<Table>>,
    own: Vec<IpAddr>,
}

impl Emulator {
    /// For a router with these outer addresses.
    pub(super) fn new(nat: Nat, outer: &[IpNet]) -> Self {
        let table = Arc::new(Mutex::new(Table::new(nat)));
        let translated = outer.iter().map(IpNet::addr).filter(|ip| nat.translates((*ip).into()));
        Self { table, own: translated.collect() }
    }

    /// What to put into the cable.
    pub(super) fn middlebox(&self) -> Box<dyn Middlebox> {
        Box::new(InCable { table: self.table.clone(), own: self.own.clone() })
    }

    pub(super) fn forget(&self) {
        lock(&self.table).clear();
    }

    pub(super) fn set_udp_timeout(&self, timeout: Duration) {
        lock(&self.table).set_udp_timeout(timeout);
    }
}

struct InCable {
    table: Arc<Mutex<Table>>,
    own: Vec<IpAddr>,
}

impl InCable {
    fn translate(&self, way: impl FnOnce(&mut Translator<'_>) -> Option<()>) -> bool {
        let mut table = lock(&self.table);
        way(&mut Translator { table: &mut table, own: &self.own, now: Instant::now() }).is_some()
    }
}

impl Middlebox for InCable {
    fn outward(&mut self, frame: &mut [u8]) -> bool {
        self.translate(|translator| translator.outward(frame))
    }

    fn inward(&mut self, frame: &mut [u8]) -> bool {
        self.translate(|translator| translator.inward(frame))
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
