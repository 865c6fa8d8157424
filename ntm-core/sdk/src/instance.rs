use std::ffi::c_void;
use std::mem::ManuallyDrop;

use ntm_abi::{Common, Create, Error, Handle, PutText};
use ntm_core::plugin::{Fault, PluginError};
use tokio::runtime::{Builder, EnterGuard, Runtime};

use crate::Exported;
use crate::config::decode;
use crate::guard::{or_nothing, status};
use crate::transport::put_texts;

/// An instance: what a kind keeps of it, and a runtime of its own.
pub(crate) struct Instance<S> {
    state: ManuallyDrop<S>,
    runtime: ManuallyDrop<Runtime>,
}

/// What a kind keeps of an instance.
pub(crate) trait State: Sized + Send + Sync + 'static {
    /// What it is made of.
    type Plugin;

    /// A runtime is entered.
    fn new(plugin: Self::Plugin) -> Result<Self, PluginError>;
}

impl<S: State> Instance<S> {
    /// The instance behind a handle.
    ///
    /// # Safety
    /// `create` with the same `S` gave it, and it is not destroyed while the
    /// result is used.
    pub(crate) unsafe fn of<'a>(handle: Handle) -> &'a Self {
        // SAFETY: what the caller promises.
        unsafe { &*handle.cast::<Self>() }
    }

    pub(crate) fn state(&self) -> &S {
        &self.state
    }

    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Waits for a future; the caller is a thread that may.
    pub(crate) fn wait<R>(&self, future: impl Future<Output = R>) -> R {
        self.runtime.block_on(future)
    }

    /// What the table of the kind begins with.
    pub(crate) const fn common<E>(size: usize) -> Common
    where
        E: Exported,
        S: State<Plugin = E::Plugin>,
    {
        Common {
            size: size as u32,
            reserved: 0,
            features: 0,
            check: Some(check::<E>),
            create: Some(create::<E, S>),
            destroy: Some(destroy::<S>),
            describe: Some(describe::<E>),
        }
    }
}

unsafe extern "C" fn check<E: Exported>(create: *const Create<'_>, error: *mut Error) -> i32 {
    // SAFETY: the host lends both for the call.
    unsafe { status(error, || E::check(&decode((*create).config.text())?)) }
}

unsafe extern "C" fn describe<E: Exported>(put: PutText, sink: *mut c_void) {
    or_nothing("describe", || {
        if let Some(schema) = E::schema() {
            put_texts(&[("schema".to_owned(), schema)], put, sink);
        }
    });
}

unsafe extern "C" fn create<E, S>(
    create: *const Create<'_>,
    out: *mut Handle,
    error: *mut Error,
) -> i32
where
    E: Exported,
    S: State<Plugin = E::Plugin>,
{
    let body = || {
        // SAFETY: the host lends it for the call.
        let (config, lanes) = unsafe { ((*create).config.text(), (*create).lanes) };
        let config: E::Config = decode(config)?;
        E::check(&config)?;
        let runtime = runtime(E::NAME)?;
        let opened = {
            let _entered = runtime.enter();
            E::open(config, lanes as usize).and_then(S::new)
        };
        let state = match opened {
            Ok(state) => state,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let (state, runtime) = (ManuallyDrop::new(state), ManuallyDrop::new(runtime));
        let instance = Box::into_raw(Box::new(Instance { state, runtime }));
        // SAFETY: the host lends it for the call.
        unsafe { *out = instance.cast() };
        Ok(())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

unsafe extern "C" fn destroy<S: State>(handle: Handle) {
    // SAFETY: `create` made it of such a box, and this is the last call.
    let mut instance = unsafe { Box::from_raw(handle.cast::<Instance<S>>()) };
    // SAFETY: it is taken out once, here.
    let (state, runtime) = unsafe {
        (ManuallyDrop::take(&mut instance.state), ManuallyDrop::take(&mut instance.runtime))
    };
    or_nothing("destroy", || {
        let _entered = runtime.enter();
        drop(state);
    });
    // Waiting for its tasks could be waiting for ever.
    runtime.shutdown_background();
}

/// One thread is enough for what waits; packets do not come by it.
fn runtime(name: &str) -> Result<Runtime, PluginError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(format!("ntm:{name}"))
        .enable_all()
        .build()
        .map_err(|error| {
            let message = format!("cannot start the plugin's runtime: {error}");
            PluginError::new(Fault::System, message, "")
        })
}
