use std::ffi::c_void;
use std::marker::PhantomData;
use std::slice;

use ntm_abi::{Error, Handle, Prefix, Put, Text, VipTable, Vips};
use ntm_core::address;
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Fault, PluginError, Vip};

use crate::Exported;
use crate::guard::{or_nothing, status};
use crate::instance::{Instance, State};

/// The table of a vip.
pub struct VipShims<E>(PhantomData<E>);

struct Opened<T>(T);

impl<T: Vip + 'static> State for Opened<T> {
    type Plugin = T;

    fn new(vip: T) -> Result<Self, PluginError> {
        Ok(Self(vip))
    }
}

impl<E: Exported<Plugin: Vip>> VipShims<E> {
    /// The table.
    pub const TABLE: VipTable = VipTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<VipTable>()),
        ranges: Some(ranges::<E::Plugin>),
        restore: Some(restore::<E::Plugin>),
        allocate: Some(allocate::<E::Plugin>),
        release: Some(release::<E::Plugin>),
    };
}

/// # Safety
/// `handle` is an instance of a vip of this type.
unsafe fn of<'a, T: Vip + 'static>(handle: Handle) -> &'a Instance<Opened<T>> {
    // SAFETY: what the caller promises.
    unsafe { Instance::of(handle) }
}

fn vips(vips: &Vips) -> address::Vips {
    address::Vips { v4: vips.v4(), v6: vips.v6() }
}

unsafe extern "C" fn ranges<T: Vip + 'static>(handle: Handle, put: Put<Prefix>, sink: *mut c_void) {
    or_nothing("ranges", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let _entered = instance.enter();
        for range in instance.state().0.ranges() {
            let range = Prefix { base: range.base().into(), length: range.length().into() };
            if let Some(put) = put {
                // SAFETY: the host's own function and sink.
                unsafe { put(sink, &raw const range) };
            }
        }
    });
}

unsafe extern "C" fn restore<T: Vip + 'static>(
    handle: Handle,
    leases: *const Vips,
    count: usize,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let leases: Vec<_> = if count == 0 {
            Vec::new()
        } else {
            // SAFETY: the host lends them for the call.
            unsafe { slice::from_raw_parts(leases, count) }.iter().map(vips).collect()
        };
        instance.wait(instance.state().0.restore(&leases))
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn allocate<T: Vip + 'static>(
    handle: Handle,
    name: Text<'_>,
    key: *const u8,
    out: *mut Vips,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave, and lends the rest.
        let (instance, name, key) =
            unsafe { (of::<T>(handle), name.text(), *key.cast::<[u8; 32]>()) };
        let name: NodeName = name.parse().map_err(|error| {
            PluginError::new(Fault::System, format!("the host asks for nobody: {error}"), "")
        })?;
        let key = PublicKey::from_bytes(key);
        let vips = instance.wait(instance.state().0.allocate(&name, &key))?;
        // SAFETY: the host lends it for the call.
        unsafe { *out = Vips::new(vips.v4, vips.v6) };
        Ok(())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn release<T: Vip + 'static>(handle: Handle, lease: *const Vips) {
    or_nothing("release", || {
        // SAFETY: the host gives back what `create` gave, and lends the addresses.
        let (instance, lease) = unsafe { (of::<T>(handle), vips(&*lease)) };
        instance.wait(instance.state().0.release(&lease));
    });
}
