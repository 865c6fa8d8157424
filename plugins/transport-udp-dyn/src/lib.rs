//! The transport `udp` as a shared object.

ntm_sdk::export_plugin! {
    transport: ntm_transport_udp::Udp,
    name = "udp",
    config = ntm_transport_udp::Config,
    open = |config, lanes| ntm_transport_udp::Udp::open(config, lanes),
    schema = ntm_sdk::schema::<ntm_transport_udp::Config>,
}
