//! What kernel and node say of a move.

use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use serde_json::Value;

use super::{Move, Phases, Ways};
use crate::error::{Error, Result};
use crate::family::Family;
use crate::host::{Host, Moved};
use crate::recorder::MoveSeen;
use crate::scenario::ask::until;
use crate::scenario::domain::Node;
use crate::scenario::node::Signal;

const PATIENCE: Duration = Duration::from_secs(15);

/// Waits until a move is over, and asks the kernel and the node about it.
pub(super) fn observe(
    host: &Host,
    node: &Node,
    dc: IpAddr,
    moved: Moved,
    into_dc_network: bool,
) -> Result<Move> {
    let MoveSeen { carrier_up, usable_source, .. } =
        host.recorder().wait_for_move("eth0", dc, moved.left, PATIENCE)?;
    let record = until("the end of a move", PATIENCE, || {
        let moves = node.handovers()?;
        Ok(moves.into_iter().rev().find(|record| is_over(record, moved.left)))
    })?;
    let sent = record["sent_ns"].as_u64().map(Time::from_nanos);
    let sent = sent.ok_or_else(|| Error::wrong("the node did not say when it sent"))?;
    let expected = if into_dc_network { "direct" } else { "relay" };
    let tunnel = node.wait_for_tunnel(|tunnel| tunnel["path"]["kind"] == expected)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = &record["tunnels"][0];
    Ok(Move {
        into_dc_network,
        path_id: text(&tunnel["path_id"]),
        path: text(&tunnel["path"]["kind"]),
        acquisition_us: micros(usable_source.since(carrier_up)),
        phases_us: Phases {
            detected: Some(micros(sent.since(usable_source))),
            relayed: None,
            registered: record["phases_us"]["registered"].as_u64(),
            directed: steps["directed"].as_u64(),
            rebuilt: steps["rebuilt"].as_u64(),
            first_packet: steps["first_packet"].as_u64(),
        },
        outage_ms: Ways::default(),
        silence_ms: Ways::default(),
        lost: Ways::default(),
        source: host.address(Family::V4)?,
        left: moved.left,
        sent,
    })
}

/// Finds in the RS's log when it learned where MN went.
pub(super) fn note_relay(one: &mut Move, signals: &[Signal]) {
    let bind = signals.iter().filter(|signal| {
        signal.node == "rs"
            && !signal.out
            && signal.message == "Bind"
            && signal.remote.ip() == one.source
            && signal.at >= one.sent
    });
    let first = bind.map(|signal| signal.at.since(one.sent)).min();
    one.phases_us.relayed = first.map(micros);
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a record is of the move that began then, and complete.
fn is_over(record: &Value, left: Time) -> bool {
    let steps = &record["tunnels"][0];
    record["cause"] == "local"
        && record["sent_ns"].as_u64().is_some_and(|at| Time::from_nanos(at) > left)
        && record["phases_us"]["registered"].is_u64()
        && steps["directed"].is_u64()
        && steps["rebuilt"].is_u64()
        && steps["first_packet"].is_u64()
}
