//! Allocators with one mistake each as a shared object; the configuration says which.

ntm_sdk::export_plugin! {
    vip: ntm_faulty::vip::Faulty,
    name = "faulty",
    config = ntm_faulty::vip::InLibrary,
    open = |config, _lanes| config.open(),
}
