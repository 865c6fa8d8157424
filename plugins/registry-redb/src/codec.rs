use ntm_core::address::Vips;
use ntm_core::plugin::{Fault, PluginError, Record, RecordKey, Write};

/// The first byte of a key says what kind of record it finds.
const DOMAIN: u8 = 0;
const NODE: u8 = 1;
const QUARANTINE: u8 = 2;

/// A [`Write`] in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    /// `None` removes the record.
    pub(crate) value: Option<Vec<u8>>,
}

/// The writes in bytes, in their order.
pub(crate) fn encode(writes: Vec<Write>) -> Result<Vec<Change>, PluginError> {
    writes
        .into_iter()
        .map(|write| match write {
            Write::Put(record) => {
                let value = serde_json::to_vec(&record).map_err(|error| {
                    let message = format!("cannot write a record as JSON: {error}");
                    PluginError::new(Fault::System, message, "")
                })?;
                Ok(Change { key: encode_key(&record.key()), value: Some(value) })
            }
            Write::Delete(key) => Ok(Change { key: encode_key(&key), value: None }),
        })
        .collect()
}

/// The record, or `None` for a kind that only a later version knows.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Option<Record>, serde_json::Error> {
    match key.first() {
        Some(&(DOMAIN | NODE | QUARANTINE)) => serde_json::from_slice(value).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// Bytes that sort as [`RecordKey`] does.
fn encode_key(key: &RecordKey) -> Vec<u8> {
    match key {
        RecordKey::Domain => vec![DOMAIN],
        RecordKey::Node(name) => [&[NODE], name.as_str().as_bytes()].concat(),
        RecordKey::Quarantine(Vips { v4, v6 }) => {
            let mut bytes = vec![QUARANTINE, u8::from(v4.is_some())];
            bytes.extend(v4.iter().flat_map(|v4| v4.octets()));
            bytes.push(u8::from(v6.is_some()));
            bytes.extend(v6.iter().flat_map(|v6| v6.octets()));
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = RecordKey> {
        // A small alphabet, so that names often share a beginning.
        let name = "[ab0-]{1,3}(\\.[ab]{1,2})?";
        let name = name.prop_filter_map("a name", |text| text.parse().ok());
        let vips = (any::<Option<u32>>(), any::<Option<u128>>());
        prop_oneof![
            Just(RecordKey::Domain),
            name.prop_map(RecordKey::Node),
            vips.prop_map(|(v4, v6)| {
                RecordKey::Quarantine(Vips { v4: v4.map(Into::into), v6: v6.map(Into::into) })
            }),
        ]
    }

    proptest! {
        #[test]
        fn bytes_sort_as_keys_do(a in key(), b in key()) {
            prop_assert_eq!(encode_key(&a).cmp(&encode_key(&b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let value = br#"{"record":"domain","salt":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,
            7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"colour":"blue"}"#;
        let record = decode(&[DOMAIN], value).unwrap();
        assert_eq!(record, Some(Record::Domain { salt: [7; 32] }));
        assert_eq!(decode(&[QUARANTINE + 1], b"anything").unwrap(), None);
        assert!(decode(&[DOMAIN], b"anything").is_err());
    }
}
