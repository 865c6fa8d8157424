//! The transport `quic` as a shared object.

ntm_sdk::export_plugin! {
    transport: ntm_transport_quic::Quic,
    name = "quic",
    config = ntm_transport_quic::Config,
    open = |config, lanes| ntm_transport_quic::Quic::open(config, lanes),
    check = |config| config.check(),
    schema = ntm_sdk::schema::<ntm_transport_quic::Config>,
}
