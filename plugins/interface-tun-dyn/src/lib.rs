//! The interface `tun` as a shared object.
#![cfg(any(target_os = "linux", target_os = "macos"))]

ntm_sdk::export_plugin! {
    interface: ntm_interface_tun::Tun,
    name = "tun",
    config = ntm_interface_tun::Config,
    open = |config, lanes| ntm_interface_tun::Tun::open(config, lanes),
    check = |config| config.check(),
    schema = ntm_sdk::schema::<ntm_interface_tun::Config>,
}
