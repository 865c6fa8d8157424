//! The vip `pool` as a shared object.

ntm_sdk::export_plugin! {
    vip: ntm_vip_pool::Pool,
    name = "pool",
    config = ntm_vip_pool::Config,
    open = |config, _lanes| ntm_vip_pool::Pool::new(config),
    check = |config| ntm_vip_pool::Pool::new(*config).map(drop),
    schema = ntm_sdk::schema::<ntm_vip_pool::Config>,
}
