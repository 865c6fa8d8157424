//! A plugin's table, copied: never a reference to memory whose size the plugin
//! says.

use std::ffi::c_void;
use std::mem::{MaybeUninit, offset_of};

use ntm_abi::{
    Common, InterfaceTable, Lanes, RegistryTable, TransportTable, TraversalTable, VipTable,
    WatcherTable, kind,
};

use crate::refusal::Why;

/// The table of a kind.
///
/// # Safety
/// It begins with a [`Common`], zero is a value of every field, and `KIND` is
/// the kind that plugins give such a table for.
pub(crate) unsafe trait Table: Copy + Send + Sync + 'static {
    const KIND: u32;
    /// Its bytes when it had the entries alone that every plugin has.
    const LEAST: usize = size_of::<Self>();

    fn common(&self) -> &Common;

    /// The first mandatory entry that is null, of those after the common ones.
    fn null(&self) -> Option<&'static str>;
}

/// More than any minor will need.
const LARGEST: u32 = 1 << 16;

/// Copies what both sides know of a table; what the plugin does not have is null.
///
/// # Safety
/// `table` is null, or as many bytes can be read there as its first four say.
pub(crate) unsafe fn copy<T: Table>(table: *const c_void) -> Result<T, Why> {
    if table.is_null() {
        return Err(Why::NoTable(crate::Kinds(T::KIND)));
    }
    // SAFETY: what the caller promises.
    let size = unsafe { table.cast::<u32>().read_unaligned() };
    if (size as usize) < T::LEAST || size > LARGEST {
        return Err(Why::TableSize(size));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    let bytes = (size as usize).min(size_of::<T>());
    // SAFETY: what the caller promises; zero is a value of every field.
    let copy = unsafe {
        std::ptr::copy_nonoverlapping(table.cast::<u8>(), copy.as_mut_ptr().cast(), bytes);
        copy.assume_init()
    };
    let common = copy.common();
    let null = first(&[("create", common.create.is_none()), ("destroy", common.destroy.is_none())]);
    match null.or_else(|| copy.null()) {
        Some(entry) => Err(Why::NullEntry(entry)),
        None => Ok(copy),
    }
}

fn first(entries: &[(&'static str, bool)]) -> Option<&'static str> {
    entries.iter().find(|(_, null)| *null).map(|(name, _)| *name)
}

fn lanes(lanes: &Lanes) -> Option<&'static str> {
    first(&[
        ("lane_fd", lanes.lane_fd.is_none()),
        ("try_send", lanes.try_send.is_none()),
        ("try_recv", lanes.try_recv.is_none()),
    ])
}

// SAFETY: it does, and they are numbers and nullable functions.
unsafe impl Table for TransportTable {
    const KIND: u32 = kind::TRANSPORT;
    const LEAST: usize = offset_of!(Self, moved);

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        let own =
            [("wire_kind", self.wire_kind.is_none()), ("local_addrs", self.local_addrs.is_none())];
        first(&own).or_else(|| lanes(&self.lanes))
    }
}

// SAFETY: as above.
unsafe impl Table for WatcherTable {
    const KIND: u32 = kind::WATCHER;
    const LEAST: usize = offset_of!(Self, routes_by);

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        first(&[
            ("event_fd", self.event_fd.is_none()),
            ("next", self.next.is_none()),
            ("snapshot", self.snapshot.is_none()),
            ("routes", self.routes.is_none()),
        ])
    }
}

// SAFETY: as above.
unsafe impl Table for TraversalTable {
    const KIND: u32 = kind::TRAVERSAL;

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        first(&[("plan", self.plan.is_none())])
    }
}

// SAFETY: as above.
unsafe impl Table for VipTable {
    const KIND: u32 = kind::VIP;

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        first(&[
            ("ranges", self.ranges.is_none()),
            ("restore", self.restore.is_none()),
            ("allocate", self.allocate.is_none()),
            ("release", self.release.is_none()),
        ])
    }
}

// SAFETY: as above.
unsafe impl Table for InterfaceTable {
    const KIND: u32 = kind::INTERFACE;

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        let own = [
            ("ifindex", self.ifindex.is_none()),
            ("name", self.name.is_none()),
            ("configure", self.configure.is_none()),
        ];
        lanes(&self.lanes).or_else(|| first(&own))
    }
}

// SAFETY: as above.
unsafe impl Table for RegistryTable {
    const KIND: u32 = kind::REGISTRY;

    fn common(&self) -> &Common {
        &self.common
    }

    fn null(&self) -> Option<&'static str> {
        first(&[("load", self.load.is_none()), ("commit", self.commit.is_none())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn create(
        _: *const ntm_abi::Create<'_>,
        _: *mut ntm_abi::Handle,
        _: *mut ntm_abi::Error,
    ) -> i32 {
        0
    }

    unsafe extern "C" fn destroy(_: ntm_abi::Handle) {}

    /// As a plugin has it, in memory of exactly that size.
    fn table(size: u32, common: Common, plan: bool) -> Result<TraversalTable, Why> {
        unsafe extern "C" fn plan_entry(
            _: ntm_abi::Handle,
            _: *const ntm_abi::PlanRequest,
            _: *mut ntm_abi::Plan,
            _: *const ntm_abi::PlanSink,
            _: *mut ntm_abi::Error,
        ) -> i32 {
            0
        }
        let table =
            TraversalTable { common: Common { size, ..common }, plan: plan.then_some(plan_entry) };
        // SAFETY: as many bytes are there as are read of any size.
        unsafe { copy((&raw const table).cast()) }
    }

    const COMMON: Common = Common {
        size: 0,
        reserved: 0,
        features: 0,
        check: None,
        create: Some(create),
        destroy: Some(destroy),
        describe: None,
    };

    #[test]
    fn a_table_that_cannot_be_is_refused_by_what_it_lacks() {
        let size = u32::try_from(size_of::<TraversalTable>()).unwrap();
        assert!(table(size, COMMON, true).is_ok());
        assert_eq!(table(7, COMMON, true).err(), Some(Why::TableSize(7)));
        assert_eq!(table(u32::MAX, COMMON, true).err(), Some(Why::TableSize(u32::MAX)));
        assert_eq!(table(size, COMMON, false).err(), Some(Why::NullEntry("plan")));
        let headless = Common { create: None, ..COMMON };
        assert_eq!(table(size, headless, true).err(), Some(Why::NullEntry("create")));
        // SAFETY: null is nothing.
        let none = unsafe { copy::<TraversalTable>(std::ptr::null()) };
        assert!(matches!(none, Err(Why::NoTable(_))));
    }

    #[test]
    fn a_table_from_before_an_entry_has_none() {
        // In memory of exactly that size.
        let words = WatcherTable::LEAST / size_of::<u64>();
        let mut table = vec![u64::MAX; words].into_boxed_slice();
        let common = Common { size: WatcherTable::LEAST as u32, ..COMMON };
        // SAFETY: it has room for that, and is aligned.
        unsafe { table.as_mut_ptr().cast::<Common>().write(common) };
        // SAFETY: its size is what it says; nothing in it is called.
        let read = unsafe { copy::<WatcherTable>(table.as_ptr().cast()) }.unwrap();
        assert!(read.routes_by.is_none() && read.routes.is_some());
        assert_eq!(table[words - 1], u64::MAX);
    }

    /// Copies what has a table's size and functions everywhere, but where `without` is.
    fn without<T: Table>(without: Option<usize>) -> Result<(), Why> {
        let words = size_of::<T>() / size_of::<usize>();
        let mut table = vec![create as *const () as usize; words];
        // The size, what is reserved, features; then functions alone.
        (table[0], table[1]) = (size_of::<T>(), 0);
        if let Some(at) = without {
            table[at] = 0;
        }
        // SAFETY: as many bytes are there as its first four say, and no function in it is
        // called.
        unsafe { copy::<T>(table.as_ptr().cast()).map(drop) }
    }

    /// The entries that may not be null, in their order.
    fn mandatory<T: Table>() -> Vec<&'static str> {
        assert_eq!(without::<T>(None), Ok(()));
        let words = size_of::<T>() / size_of::<usize>();
        let refusals = (2..words).filter_map(|at| match without::<T>(Some(at)) {
            Err(Why::NullEntry(entry)) => Some(entry),
            Err(other) => panic!("word {at}: {other:?}"),
            Ok(()) => None,
        });
        refusals.collect()
    }

    #[test]
    fn each_mandatory_entry_is_missed_by_its_name() {
        let lanes = ["lane_fd", "try_send", "try_recv"];
        let of = |own: &[&'static str]| [&["create", "destroy"], own].concat();
        let transport = [&["wire_kind"], &lanes[..], &["local_addrs"]].concat();
        assert_eq!(mandatory::<TransportTable>(), of(&transport));
        let watcher = ["event_fd", "next", "snapshot", "routes"];
        assert_eq!(mandatory::<WatcherTable>(), of(&watcher));
        assert_eq!(mandatory::<TraversalTable>(), of(&["plan"]));
        let vip = ["ranges", "restore", "allocate", "release"];
        assert_eq!(mandatory::<VipTable>(), of(&vip));
        let interface = [&lanes[..], &["ifindex", "name", "configure"]].concat();
        assert_eq!(mandatory::<InterfaceTable>(), of(&interface));
        assert_eq!(mandatory::<RegistryTable>(), of(&["load", "commit"]));
    }

    #[test]
    fn a_longer_table_is_one_of_a_newer_minor() {
        #[repr(C)]
        struct Newer {
            known: TraversalTable,
            more: [u64; 4],
        }
        let size = u32::try_from(size_of::<Newer>()).unwrap();
        let known = TraversalTable { common: Common { size, ..COMMON }, plan: None };
        let newer = Newer { known, more: [!0; 4] };
        // SAFETY: its size is what it says.
        let read = unsafe { copy::<TraversalTable>((&raw const newer).cast()) };
        assert_eq!(read.err(), Some(Why::NullEntry("plan")));
        assert_eq!(newer.more, [!0; 4]);
    }
}
