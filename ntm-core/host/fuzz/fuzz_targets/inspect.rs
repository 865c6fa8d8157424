//! See `ntm_host_fuzz::inspect`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ntm_host_fuzz::inspect(data));
