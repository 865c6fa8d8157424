use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::Arc;

use ntm_abi::{Error, Handle, InterfaceTable, PutText, Settings, offload as bit};
use ntm_core::address::{Prefix, Vips};
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, PluginError};

use crate::Exported;
use crate::guard::{or_nothing, status};
use crate::instance::{Instance, State};
use crate::lanes::{self, HasLanes};
use crate::transport::put_texts;

/// The table of an interface.
pub struct InterfaceShims<E>(PhantomData<E>);

struct Opened<T> {
    lanes: Vec<Arc<dyn Lane>>,
    interface: T,
}

impl<T: Interface + 'static> State for Opened<T> {
    type Plugin = T;

    fn new(interface: T) -> Result<Self, PluginError> {
        Ok(Self { lanes: interface.lanes(), interface })
    }
}

impl<T: Interface + 'static> HasLanes for Opened<T> {
    fn lanes(&self) -> &[Arc<dyn Lane>] {
        &self.lanes
    }
}

impl<E: Exported<Plugin: Interface>> InterfaceShims<E> {
    /// The table.
    pub const TABLE: InterfaceTable = InterfaceTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<InterfaceTable>()),
        lanes: lanes::shims::<Opened<E::Plugin>>(),
        ifindex: Some(ifindex::<E::Plugin>),
        name: Some(name::<E::Plugin>),
        offload: Some(offload::<E::Plugin>),
        configure: Some(configure::<E::Plugin>),
        close: Some(close::<E::Plugin>),
        facts: Some(facts::<E::Plugin>),
    };
}

/// # Safety
/// `handle` is an instance of an interface of this type.
unsafe fn of<'a, T: Interface + 'static>(handle: Handle) -> &'a Instance<Opened<T>> {
    // SAFETY: what the caller promises.
    unsafe { Instance::of(handle) }
}

unsafe extern "C" fn ifindex<T: Interface + 'static>(handle: Handle) -> u32 {
    // SAFETY: the host gives back what `create` gave.
    or_nothing("ifindex", || unsafe { of::<T>(handle) }.state().interface.ifindex())
}

unsafe extern "C" fn name<T: Interface + 'static>(handle: Handle, put: PutText, sink: *mut c_void) {
    or_nothing("name", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        put_texts(&[("name".into(), instance.state().interface.name())], put, sink);
    });
}

unsafe extern "C" fn offload<T: Interface + 'static>(handle: Handle) -> u32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let offload = unsafe { of::<T>(handle) }.state().interface.offload();
        let tcp = if offload.tcp { bit::TCP } else { 0 };
        let udp = if offload.udp { bit::UDP } else { 0 };
        tcp | udp
    };
    or_nothing("offload", body)
}

unsafe extern "C" fn configure<T: Interface + 'static>(
    handle: Handle,
    settings: *const Settings,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave, and lends the settings.
        let (instance, lent, ranges) =
            unsafe { (of::<T>(handle), &*settings, (*settings).ranges()) };
        let prefix = |range: &ntm_abi::Prefix| {
            Prefix::new(range.base.ip()?, u8::try_from(range.length).ok()?)
        };
        let settings = InterfaceSettings {
            vips: Vips { v4: lent.vips.v4(), v6: lent.vips.v6() },
            ranges: ranges.iter().filter_map(prefix).collect(),
            mtu: u16::try_from(lent.mtu).unwrap_or(u16::MAX),
        };
        instance.wait(instance.state().interface.configure(&settings))
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn close<T: Interface + 'static>(handle: Handle) {
    or_nothing("close", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        instance.wait(instance.state().interface.close());
    });
}

unsafe extern "C" fn facts<T: Interface + 'static>(
    handle: Handle,
    put: PutText,
    sink: *mut c_void,
) {
    or_nothing("facts", || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { of::<T>(handle) };
        let _entered = instance.enter();
        put_texts(&instance.state().interface.facts(), put, sink);
    });
}
