//! Transports with one mistake each as a shared object; the configuration says which.

ntm_sdk::export_plugin! {
    transport: ntm_faulty::transport::Faulty,
    name = "faulty",
    config = ntm_faulty::transport::InLibrary,
    open = |config, lanes| config.open(lanes),
}
