//! What is fuzzed: a plain function that takes the bytes of a file and panics where
//! the inspector breaks a promise.
//!
//! libFuzzer calls it (`fuzz_targets/`), and so does every ordinary test run, with the
//! seeds and with mutants of them (`ntm-core/host/tests/mutants.rs`, which includes this
//! file by its path: a test needs neither nightly nor libFuzzer).

/// Reads a library, which may be any bytes. What is told of it stands in the file.
pub fn inspect(data: &[u8]) {
    let Ok(found) = ntm_host::read(data) else { return };
    for text in [&found.name, &found.version, &found.sdk, &found.toolchain] {
        assert!(!text.contains(char::is_control), "{text:?} is not one line");
    }
    let major =
        if found.little_endian { found.abi.0.to_le_bytes() } else { found.abi.0.to_be_bytes() };
    let is_header = |bytes: &[u8]| {
        let name = bytes[32..80].split(|&byte| byte == 0).next().unwrap_or_default();
        let plain = name.iter().all(u8::is_ascii_graphic);
        bytes.starts_with(b"NTMPLUG\0")
            && bytes[12..14] == major
            && bytes[18] == found.pointer_width
            && (!plain || name == found.name.as_bytes())
    };
    assert!(data.windows(200).any(is_header), "no such header is in the file: {found:?}");
}
