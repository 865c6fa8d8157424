//! A watcher that a command wakes: each line that the command writes to its standard
//! output is a change.
//!
//! ```toml
//! [watcher]
//! library = "libwatcher_script.so"
//! config = { command = ["ip", "-oneline", "monitor", "address", "route"] }
//! ```
//!
//! For whatever knows of moves before the kernel tells: a modem's log, a docking
//! station, a message bus. A line `address`, `link` or `route` says what has changed, any
//! other that anything may have. A line too many costs the node microseconds.
//!
//! Where we are now is asked of the system, by the built-in watcher `poll`, which also
//! looks by itself every few seconds, in case the command misses something. A command that
//! ends is started again, a second later at the earliest.

#![forbid(unsafe_op_in_unsafe_fn)]

mod command;
mod watcher;

pub use watcher::{Config, ScriptWatcher};

ntm_sdk::export_plugin! {
    watcher: ScriptWatcher,
    name = "script",
    config = Config,
    open = |config, _lanes| ScriptWatcher::open(config),
    check = |config| config.check(),
    schema = ntm_sdk::schema::<Config>,
}
