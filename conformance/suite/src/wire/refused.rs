use serde::Deserialize;

use super::peer::{Begun, Peer};
use super::{Node, silence};
use crate::outcome::{Note, Stop, Verdict};

/// What every receiver must refuse.
const VECTORS: &str = include_str!("../../../vectors/refused.json");

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

/// Those with a `message` are refused by whoever reads them.
#[derive(Deserialize)]
struct Vector {
    message: Option<String>,
    bytes: Option<String>,
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// The vectors as datagrams: plaintexts are sealed as they would be.
fn datagrams(peer: &mut Peer<'_>, node: &Node) -> Result<Vec<Vec<u8>>, Stop> {
    let read: Result<Vectors, _> = serde_json::from_str(VECTORS);
    let vectors = read.map_err(|error| Stop::not_tried(format!("the vectors: {error}")))?.vectors;
    let mut datagrams = Vec::new();
    for vector in vectors {
        let (Some(message), Some(bytes)) =
            (vector.message, vector.bytes.as_deref().and_then(bytes))
        else {
            continue;
        };
        match &*message {
            "envelope" | "header" | "handshake_1" | "handshake_2" | "cookie" | "bind"
            | "bind_ack" => datagrams.push(bytes),
            "signalling" => datagrams.push(peer.seal(&bytes)),
            "node_hello" => {
                datagrams.push(Begun::new(&node.member.identity, node.key, bytes).datagram);
            }
            // Of tunnels: a coordinator has none.
            _ => {}
        }
    }
    Ok(datagrams)
}

/// W-ENV-1, W-GEN-4, W-SIG-2, K-HS-1, W-TLV, W-VAL.
pub(super) fn no_message_is_answered(node: &Node) -> Verdict {
    let mut peer = Peer::registered(node, &node.member)?;
    let datagrams = datagrams(&mut peer, node)?;
    silence(&peer.unasked(&datagrams)?, "what is no message")?;
    // And another one still gets in.
    Peer::registered(node, &node.member)?;
    Ok(Note(format!("{} datagrams", datagrams.len())))
}
