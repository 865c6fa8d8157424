use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

use ntm_abi::{Addr, Error, Handle, Put, PutText, Text, TransportTable};
use ntm_core::plugin::{Lane, PluginError, Transport};

use crate::Exported;
use crate::guard::{or_nothing, status};
use crate::instance::{Instance, State};
use crate::lanes::{self, HasLanes};

/// The table of a transport.
pub struct TransportShims<E>(PhantomData<E>);

struct Opened<T> {
    lanes: Vec<Arc<dyn Lane>>,
    transport: T,
}

impl<T: Transport + 'static> State for Opened<T> {
    type Plugin = T;

    fn new(transport: T) -> Result<Self, PluginError> {
        Ok(Self { lanes: transport.lanes(), transport })
    }
}

impl<T: Transport + 'static> HasLanes for Opened<T> {
    fn lanes(&self) -> &[Arc<dyn Lane>] {
        &self.lanes
    }
}

impl<E: Exported<Plugin: Transport>> TransportShims<E> {
    /// The table.
    pub const TABLE: TransportTable = TransportTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<TransportTable>()),
        wire_kind: Some(wire_kind::<E::Plugin>),
        lanes: lanes::shims::<Opened<E::Plugin>>(),
        local_addrs: Some(local_addrs::<E::Plugin>),
        max_payload: Some(max_payload::<E::Plugin>),
        rebind: Some(rebind::<E::Plugin>),
        close: Some(close::<E::Plugin>),
        facts: Some(facts::<E::Plugin>),
        moved: Some(moved::<E::Plugin>),
    };
}

/// # Safety
/// `handle` is an instance of a transport of this type.
unsafe fn of<'a, T: Transport + 'static>(handle: Handle) -> &'a Instance<Opened<T>> {
    // SAFETY: what the caller promises.
    unsafe { Instance::of(handle) }
}

unsafe extern "C" fn wire_kind<T: Transport + 'static>(handle: Handle) -> u32 {
    // SAFETY: the host gives back what `create` gave.
    or_nothing("wire_kind", || unsafe { of::<T>(handle) }.state().transport.kind().0.into())
}

unsafe extern "C" fn local_addrs<T: Transport + 'static>(
    handle: Handle,
    put: Put<Addr>,
    sink: *mut c_void,
) {
    or_nothing("local_addrs", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let _entered = instance.enter();
        for addr in instance.state().transport.local_addrs() {
            if let Some(put) = put {
                // SAFETY: the host's own function and sink.
                unsafe { put(sink, &addr.into()) };
            }
        }
    });
}

unsafe extern "C" fn max_payload<T: Transport + 'static>(handle: Handle, to: *const Addr) -> u64 {
    let body = || {
        // SAFETY: the host gives back what `create` gave, and lends the address.
        let (instance, to) = unsafe { (of::<T>(handle), *to) };
        let _entered = instance.enter();
        instance.state().transport.max_payload(to.socket()?)
    };
    or_nothing("max_payload", body).map_or(0, |most| most as u64)
}

unsafe extern "C" fn rebind<T: Transport + 'static>(handle: Handle, error: *mut Error) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        instance.wait(instance.state().transport.rebind())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn close<T: Transport + 'static>(handle: Handle) {
    or_nothing("close", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        instance.wait(instance.state().transport.close());
    });
}

unsafe extern "C" fn facts<T: Transport + 'static>(
    handle: Handle,
    put: PutText,
    sink: *mut c_void,
) {
    or_nothing("facts", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let _entered = instance.enter();
        put_texts(&instance.state().transport.facts(), put, sink);
    });
}

unsafe extern "C" fn moved<T: Transport + 'static>(handle: Handle) {
    or_nothing("moved", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let _entered = instance.enter();
        instance.state().transport.moved();
    });
}

/// Hands texts to the host.
pub(crate) fn put_texts(texts: &[(String, String)], put: PutText, sink: *mut c_void) {
    let Some(put) = put else { return };
    for (key, value) in texts {
        // SAFETY: the host's own function and sink; the texts live longer.
        unsafe { put(sink, Text::new(key.as_bytes()), Text::new(value.as_bytes())) };
    }
}
