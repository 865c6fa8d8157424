use aws_lc_rs::{constant_time, hkdf, hmac};

use super::Secret;

/// HKDF-SHA-256 (RFC 5869) without salt: 32 bytes for one purpose.
pub(crate) fn derive_key(secret: &[u8], purpose: &[&[u8]]) -> Secret {
    let mut key = [0; 32];
    let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    derived
        .expand(purpose, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 bytes are one block of SHA-256");
    Secret::new(key)
}

/// The first 16 bytes of HMAC-SHA-256 over the parts, each of which must have a
/// length that the ones before it fix.
pub(crate) fn mac16(key: &Secret, parts: &[&[u8]]) -> [u8; 16] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in parts {
        context.update(part);
    }
    let mut mac = [0; 16];
    mac.copy_from_slice(&context.sign().as_ref()[..16]);
    mac
}

/// Equality in constant time.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_keys_are_kept_apart() {
        let one = derive_key(&[1; 32], &[b"ntm data v1", &[1]]);
        assert_ne!(one, derive_key(&[1; 32], &[b"ntm data v1", &[2]]));
        assert_ne!(one, derive_key(&[2; 32], &[b"ntm data v1", &[1]]));
        assert_eq!(one, derive_key(&[1; 32], &[b"ntm data v1", &[1]]));
        assert_ne!(mac16(&one, &[b"a"]), mac16(&one, &[b"b"]));
    }

    #[test]
    fn hkdf_agrees_with_rfc_5869_test_case_3() {
        let okm = derive_key(&[0x0b; 22], &[]);
        assert_eq!(
            okm.expose()[..8],
            [0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f],
            "no salt, no info"
        );
    }
}
