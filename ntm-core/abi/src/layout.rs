//! Every field's place and size is the one in `layout.txt`, which C is held to
//! as well (`tests/header.rs`).

extern crate std;

use std::fmt::Write as _;
use std::string::String;

use crate::*;

/// Lines `struct size` and `struct.field offset size`, by the names in C.
macro_rules! layout {
    ($out:ident; $($c:literal $rust:ty { $($field:ident)* })*) => {$(
        writeln!($out, "{} {}", $c, size_of::<$rust>()).unwrap();
        $(
            let size = size_of_field(|it: &$rust| &raw const it.$field);
            let offset = core::mem::offset_of!($rust, $field);
            writeln!($out, "{}.{} {offset} {size}", $c, stringify!($field)).unwrap();
        )*
    )*};
}

fn size_of_field<T, F>(_: impl Fn(&T) -> *const F) -> usize {
    size_of::<F>()
}

fn layout() -> String {
    let mut out = String::new();
    layout!(out;
        "ntm_addr" Addr { ip scope port family reserved }
        "ntm_text" Text<'_> { data len }
        "ntm_error" Error { fault reserved message remedy key }
        "ntm_vips" Vips { v4 v6 has }
        "ntm_prefix" Prefix { base length }
        "ntm_tx" TxPacket<'_> { data len remote local ifindex segment ecn dscp }
        "ntm_rx" RxSlot<'_> { data capacity len remote local ifindex segment ecn reserved }
        "ntm_header" Header {
            magic header_size abi_major abi_minor min_host_minor pointer_width endian kinds flags
            reserved name version sdk toolchain
        }
        "ntm_host" Host { size abi_minor reserved features ctx log log_level }
        "ntm_plugin" Plugin { size count stride reserved list }
        "ntm_component" Component { size kind table }
        "ntm_create" Create<'_> { size lanes config }
        "ntm_common" Common { size reserved features check create destroy describe }
        "ntm_lanes" Lanes { lane_fd try_send try_recv }
        "ntm_transport" TransportTable {
            common wire_kind lanes local_addrs max_payload rebind close facts moved
        }
        "ntm_settings" Settings { size mtu vips ranges range_count }
        "ntm_interface" InterfaceTable {
            common lanes ifindex name offload configure close facts
        }
        "ntm_local_address" LocalAddress { ip prefix flags }
        "ntm_local_interface" LocalInterface<'_> {
            index flags generation name addresses address_count
        }
        "ntm_route" Route { source ifindex mtu }
        "ntm_watcher" WatcherTable { common event_fd next snapshot routes routes_by }
        "ntm_candidate" Candidate { addr wire_kind }
        "ntm_observed" Observed { candidate proved }
        "ntm_location" Location { claimed claimed_count observed observed_count }
        "ntm_relay" Relay { candidates candidate_count }
        "ntm_plan_request" PlanRequest { size reserved initiator responder relays relay_count }
        "ntm_plan" Plan { size begin pacing_us }
        "ntm_plan_sink" PlanSink { ctx to_initiator to_responder relay }
        "ntm_traversal" TraversalTable { common plan }
        "ntm_vip" VipTable { common ranges restore allocate release }
        "ntm_write" StoredWrite<'_> { op reserved key value }
        "ntm_registry" RegistryTable { common load commit }
    );
    out
}

#[test]
#[cfg(target_pointer_width = "64")]
fn every_field_is_where_the_list_says() {
    let ours = layout();
    let list = include_str!("../layout.txt");
    for (ours, listed) in ours.lines().zip(list.lines()) {
        assert_eq!(ours, listed, "layout.txt is a promise: only its ends may grow");
    }
    assert!(ours == list, "layout.txt has to be:\n{ours}");
}

#[test]
fn the_change_log_has_this_version() {
    let page = include_str!("../../../docs/plugins/ABI.md");
    assert!(page.contains(&std::format!("\n| {ABI_MAJOR}.{ABI_MINOR} | ")));
}
