//! The files in `conformance/vectors` and the code say the same: fields give
//! the bytes, bytes give the fields, and what has to be refused is refused.
//!
//! `NTM_VECTORS=write cargo test -p ntm-core --test vectors` computes the outputs
//! anew and rewrites the files; a change of them is a change of the protocol.

#![expect(clippy::wildcard_enum_match_arm, clippy::unwrap_in_result, reason = "these are tests")]

mod capsule;
mod handshake;
mod hex;
mod message;
mod played;
mod refused;
mod tolerated;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use capsule::{CapsuleVector, SealedVector};
use handshake::HandshakeVector;
use message::MessageVector;
use refused::RefusedVector;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tolerated::ToleratedVector;

/// One example of a file.
trait Vector: Clone + Debug + Serialize + DeserializeOwned {
    fn name(&self) -> &str;

    /// Computes the outputs from the inputs.
    fn complete(&mut self);

    /// The other way: the outputs give the inputs.
    fn read(&self);
}

#[derive(Serialize, Deserialize)]
struct File<V> {
    about: String,
    vectors: Vec<V>,
}

fn path(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(of)
}

fn check<V: Vector>(file: &str) -> Vec<V> {
    let place = path("conformance/vectors").join(file);
    let text = fs::read_to_string(&place).unwrap_or_else(|error| panic!("{file}: {error}"));
    let stored: File<V> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
    let mut computed = stored.vectors;
    computed.iter_mut().for_each(V::complete);
    if std::env::var("NTM_VECTORS").is_ok_and(|what| what == "write") {
        let fresh = File { about: stored.about, vectors: computed.clone() };
        let mut text = serde_json::to_string_pretty(&fresh).expect("plain data");
        text.push('\n');
        fs::write(&place, text).unwrap_or_else(|error| panic!("{file}: {error}"));
    } else {
        let raw: File<Value> = serde_json::from_str(&text).expect("read before");
        assert_eq!(raw.vectors.len(), computed.len());
        for (stored, computed) in raw.vectors.iter().zip(&computed) {
            let fresh = serde_json::to_value(computed).expect("plain data");
            assert_eq!(&fresh, stored, "{file}: {}: the code gives the left", computed.name());
        }
    }
    let names: BTreeSet<_> = computed.iter().map(V::name).collect();
    assert_eq!(names.len(), computed.len(), "{file}: a name is there twice");
    computed.iter().for_each(V::read);
    computed
}

/// The numbers that the first byte of the examples takes.
fn first_bytes(vectors: &[MessageVector], mask: u8) -> BTreeSet<u8> {
    vectors.iter().filter_map(MessageVector::first).map(|first| first & mask).collect()
}

#[test]
fn envelopes() {
    let vectors = check::<MessageVector>("envelope.json");
    assert_eq!(first_bytes(&vectors, 0xf), (1..=10).collect(), "every type of datagram");
}

#[test]
fn path_ids() {
    check::<MessageVector>("path-id.json");
}

#[test]
fn handshake_messages() {
    check::<MessageVector>("handshake.json");
}

#[test]
fn whole_handshakes() {
    check::<HandshakeVector>("session.json");
}

#[test]
fn control_messages() {
    let vectors = check::<MessageVector>("control.json");
    assert_eq!(first_bytes(&vectors, 0xff), (1..=7).collect(), "every type");
}

#[test]
fn signalling_messages() {
    let vectors = check::<MessageVector>("signalling.json");
    assert_eq!(first_bytes(&vectors, 0xff), (1..=11).collect(), "every type");
}

#[test]
fn relay_messages() {
    check::<MessageVector>("relay.json");
}

#[test]
fn capsules() {
    check::<CapsuleVector>("capsule.json");
}

#[test]
fn sealed_messages() {
    check::<SealedVector>("sealed.json");
}

#[test]
fn what_must_be_refused() {
    for vector in check::<RefusedVector>("refused.json") {
        is_drawn(vector.name(), &vector.requirement);
    }
}

#[test]
fn what_must_be_tolerated() {
    for vector in check::<ToleratedVector>("tolerated.json") {
        is_drawn(vector.name(), &vector.requirement);
    }
}

/// The protocol has a requirement of this name.
fn is_drawn(vector: &str, requirement: &str) {
    let protocol = fs::read_to_string(path("docs/PROTOCOL.md")).expect("the protocol");
    assert!(protocol.contains(&format!("| {requirement} |")), "{vector}: no {requirement}");
}
