use std::ffi::c_void;
use std::marker::PhantomData;
use std::slice;

use ntm_abi::{Error, Handle, PutText, RegistryTable, StoredWrite, write};
use ntm_core::plugin::{Fault, PluginError, Registry, Write};

use crate::Exported;
use crate::guard::status;
use crate::instance::{Instance, State};
use crate::transport::put_texts;

/// The table of a registry.
pub struct RegistryShims<E>(PhantomData<E>);

struct Opened<T>(T);

impl<T: Registry + 'static> State for Opened<T> {
    type Plugin = T;

    fn new(registry: T) -> Result<Self, PluginError> {
        Ok(Self(registry))
    }
}

impl<E: Exported<Plugin: Registry>> RegistryShims<E> {
    /// The table.
    pub const TABLE: RegistryTable = RegistryTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<RegistryTable>()),
        load: Some(load::<E::Plugin>),
        commit: Some(commit::<E::Plugin>),
    };
}

fn not_json(error: &serde_json::Error) -> PluginError {
    PluginError::new(Fault::System, format!("a record is not what it was: {error}"), "")
}

unsafe extern "C" fn load<T: Registry + 'static>(
    handle: Handle,
    put: PutText,
    sink: *mut c_void,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { Instance::<Opened<T>>::of(handle) };
        for record in instance.wait(instance.state().0.load())? {
            let json = |it: Result<String, serde_json::Error>| it.map_err(|error| not_json(&error));
            let key = json(serde_json::to_string(&record.key()))?;
            let value = json(serde_json::to_string(&record))?;
            put_texts(&[(key, value)], put, sink);
        }
        Ok(())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn commit<T: Registry + 'static>(
    handle: Handle,
    writes: *const StoredWrite<'_>,
    count: usize,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let instance = unsafe { Instance::<Opened<T>>::of(handle) };
        let lent = if count == 0 {
            &[]
        } else {
            // SAFETY: the host lends them for the call.
            unsafe { slice::from_raw_parts(writes, count) }
        };
        let decode = |stored: &StoredWrite<'_>| {
            // SAFETY: the host lends them for the call.
            let (key, value) = unsafe { (stored.key.text(), stored.value.text()) };
            match stored.op {
                write::DELETE => serde_json::from_str(key).map(Write::Delete),
                _ => serde_json::from_str(value).map(Write::Put),
            }
        };
        let writes: Result<Vec<_>, _> = lent.iter().map(decode).collect();
        let writes = writes.map_err(|error| not_json(&error))?;
        instance.wait(instance.state().0.commit(writes))
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}
