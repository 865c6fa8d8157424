//! The registry `redb` as a shared object.

ntm_sdk::export_plugin! {
    registry: ntm_registry_redb::Redb,
    name = "redb",
    config = ntm_registry_redb::Config,
    open = |config, _lanes| ntm_registry_redb::Redb::open(config),
    schema = ntm_sdk::schema::<ntm_registry_redb::Config>,
}
