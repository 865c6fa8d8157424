//! The traversal `rs` as a shared object.

ntm_sdk::export_plugin! {
    traversal: ntm_traversal_rs::Rs,
    name = "rs",
    config = ntm_traversal_rs::Config,
    open = |config, _lanes| ntm_traversal_rs::Rs::new(config),
    check = |config| ntm_traversal_rs::Rs::new(*config).map(drop),
    schema = ntm_sdk::schema::<ntm_traversal_rs::Config>,
}
