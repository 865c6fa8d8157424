//! See `ntm_fuzz::TARGETS`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ntm_fuzz::super_packet(data));
