//! The watcher `netlink` as a shared object.

ntm_sdk::export_plugin! {
    watcher: ntm_watcher_netlink::NetlinkWatcher,
    name = "netlink",
    config = ntm_watcher_netlink::Config,
    open = |config, _lanes| ntm_watcher_netlink::NetlinkWatcher::open(config),
    schema = ntm_sdk::schema::<ntm_watcher_netlink::Config>,
}
