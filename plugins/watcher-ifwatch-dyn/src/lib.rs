//! The watcher `ifwatch` as a shared object.

ntm_sdk::export_plugin! {
    watcher: ntm_watcher_ifwatch::IfwatchWatcher,
    name = "ifwatch",
    config = ntm_watcher_ifwatch::Config,
    open = |config, _lanes| ntm_watcher_ifwatch::IfwatchWatcher::open(config),
    schema = ntm_sdk::schema::<ntm_watcher_ifwatch::Config>,
}
