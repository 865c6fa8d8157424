use ntm_abi::{Error, Host, Plugin, status};
use ntm_core::plugin::PluginError;
use serde::de::DeserializeOwned;

use crate::{guard, log};

/// A plugin that a shared object exports; [`export_plugin!`](crate::export_plugin)
/// implements it.
pub trait Exported: 'static {
    /// What the configuration decodes to.
    type Config: DeserializeOwned;
    /// The plugin, with the trait of its kind.
    type Plugin: 'static;

    /// Its name, as in the header.
    const NAME: &'static str;

    /// Looks whether the configuration could be used, without opening anything.
    ///
    /// # Errors
    /// It could not.
    fn check(config: &Self::Config) -> Result<(), PluginError> {
        let _takes_all = config;
        Ok(())
    }

    /// The JSON Schema of the configuration, for people and their editors.
    fn schema() -> Option<String> {
        None
    }

    /// Opens the plugin, for so many lanes. May block; a tokio runtime is entered.
    ///
    /// # Errors
    /// Nothing is open then.
    fn open(config: Self::Config, lanes: usize) -> Result<Self::Plugin, PluginError>;
}

/// What the entry of every plugin does; for the macro alone.
///
/// # Safety
/// The arguments are those of [`ntm_abi::Entry`].
#[doc(hidden)]
pub unsafe fn enter(
    host: *const Host,
    plugin: &'static Plugin,
    out: *mut *const Plugin,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: what the caller promises.
        unsafe {
            log::start(host);
            *out = plugin;
        }
        Ok(())
    };
    // SAFETY: what the caller promises.
    let answer = unsafe { guard::status(error, body) };
    debug_assert!(answer == status::OK || answer == status::PANIC);
    answer
}

/// Makes a shared object of a plugin, in a crate of type `cdylib`, once:
///
/// ```ignore
/// ntm_sdk::export_plugin! {
///     transport: mine::Transport,            // the kind, and the type with its trait
///     name = "mine",
///     config = mine::Config,                 // what serde decodes the configuration to
///     open = |config, lanes| mine::Transport::open(config, lanes),
///     check = |config| config.check(),       // may be left out
///     schema = ntm_sdk::schema::<mine::Config>,  // likewise
/// }
/// ```
///
/// Kinds: `transport`, `watcher`, `traversal`, `vip`, `interface`, `registry`.
#[macro_export]
macro_rules! export_plugin {
    (
        $kind:ident: $plugin:ty,
        name = $name:expr,
        config = $config:ty,
        open = $open:expr
        $(, check = $check:expr)?
        $(, schema = $schema:expr)?
        $(,)?
    ) => {
        const _: () = {
            assert!(!cfg!(panic = "abort"), "a plugin has to be built with panic=unwind");

            struct Ours;

            impl $crate::Exported for Ours {
                type Config = $config;
                type Plugin = $plugin;

                const NAME: &'static str = $name;

                $(fn check(config: &$config) -> Result<(), $crate::plugin::PluginError> {
                    let check: fn(&$config) -> Result<(), $crate::plugin::PluginError> = $check;
                    check(config)
                })?

                $(fn schema() -> Option<String> {
                    let schema: fn() -> String = $schema;
                    Some(schema())
                })?

                fn open(
                    config: $config,
                    lanes: usize,
                ) -> Result<$plugin, $crate::plugin::PluginError> {
                    let open: fn($config, usize) -> Result<$plugin, $crate::plugin::PluginError> =
                        $open;
                    open(config, lanes)
                }
            }

            static TABLE: $crate::__table_type!($kind) = $crate::__table!($kind, Ours);
            static LIST: [$crate::abi::Component; 1] = [$crate::abi::Component {
                size: ::core::mem::size_of::<$crate::abi::Component>() as u32,
                kind: $crate::__kind!($kind),
                table: (&raw const TABLE).cast(),
            }];
            static PLUGIN: $crate::abi::Plugin = $crate::abi::Plugin {
                size: ::core::mem::size_of::<$crate::abi::Plugin>() as u32,
                count: 1,
                stride: ::core::mem::size_of::<$crate::abi::Component>() as u32,
                reserved: 0,
                list: (&raw const LIST).cast(),
            };

            #[used]
            #[unsafe(no_mangle)]
            static NTM_PLUGIN_HEADER: $crate::abi::Header = $crate::abi::Header::new(
                $crate::__kind!($kind),
                $name,
                env!("CARGO_PKG_VERSION"),
                $crate::SDK,
                $crate::TOOLCHAIN,
            );

            #[unsafe(no_mangle)]
            unsafe extern "C" fn ntm_plugin_entry_v1(
                host: *const $crate::abi::Host,
                out: *mut *const $crate::abi::Plugin,
                error: *mut $crate::abi::Error,
            ) -> i32 {
                // SAFETY: the host keeps the promises of the boundary.
                unsafe { $crate::enter(host, &PLUGIN, out, error) }
            }
        };
    };
}

/// The bit of a kind; for the macro alone.
#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (transport) => {
        $crate::abi::kind::TRANSPORT
    };
    (watcher) => {
        $crate::abi::kind::WATCHER
    };
    (traversal) => {
        $crate::abi::kind::TRAVERSAL
    };
    (vip) => {
        $crate::abi::kind::VIP
    };
    (interface) => {
        $crate::abi::kind::INTERFACE
    };
    (registry) => {
        $crate::abi::kind::REGISTRY
    };
}

/// The type of a kind's table; for the macro alone.
#[doc(hidden)]
#[macro_export]
macro_rules! __table_type {
    (transport) => {
        $crate::abi::TransportTable
    };
    (watcher) => {
        $crate::abi::WatcherTable
    };
    (traversal) => {
        $crate::abi::TraversalTable
    };
    (vip) => {
        $crate::abi::VipTable
    };
    (interface) => {
        $crate::abi::InterfaceTable
    };
    (registry) => {
        $crate::abi::RegistryTable
    };
}

/// A kind's table; for the macro alone.
#[doc(hidden)]
#[macro_export]
macro_rules! __table {
    (transport, $ours:ty) => {
        $crate::TransportShims::<$ours>::TABLE
    };
    (watcher, $ours:ty) => {
        $crate::WatcherShims::<$ours>::TABLE
    };
    (traversal, $ours:ty) => {
        $crate::TraversalShims::<$ours>::TABLE
    };
    (vip, $ours:ty) => {
        $crate::VipShims::<$ours>::TABLE
    };
    (interface, $ours:ty) => {
        $crate::InterfaceShims::<$ours>::TABLE
    };
    (registry, $ours:ty) => {
        $crate::RegistryShims::<$ours>::TABLE
    };
}
