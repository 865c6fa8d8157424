//! The watcher `poll` as a shared object.

ntm_sdk::export_plugin! {
    watcher: ntm_watcher_poll::PollWatcher,
    name = "poll",
    config = ntm_watcher_poll::Config,
    open = |config, _lanes| ntm_watcher_poll::PollWatcher::open(config),
    schema = ntm_sdk::schema::<ntm_watcher_poll::Config>,
}
