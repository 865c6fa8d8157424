//! The last moves, for people: what happened when, on a line that is as long as the
//! move took.

use ntm_core::id::Epoch;
use serde_json::Value;

use super::output::{micros, say};
use super::show::{list, text};

/// Characters of a time line.
const WIDTH: usize = 32;

/// The answer to `ntm handover`.
pub(super) fn show(moves: &Value) {
    if list(moves).is_empty() {
        return say("neither this node nor a peer has moved yet");
    }
    for (nth, one) in list(moves).iter().enumerate() {
        if nth > 0 {
            say("");
        }
        lines(one).iter().for_each(say);
    }
}

fn lines(one: &Value) -> Vec<String> {
    let mut lines = vec![head(one)];
    for tunnel in list(&one["tunnels"]) {
        let (old, new) = (way(&tunnel["old"]), way(&tunnel["new"]));
        let ways = if old == new { new } else { format!("{old} → {new}") };
        lines.push(format!("  {}: {ways}", peer(tunnel)));
    }
    let steps = steps(one);
    let span = |at: fn(&[Step]) -> Option<&Step>| at(&steps).map_or(0, |step| step.at);
    let (first, last) = (span(<[Step]>::first), span(<[Step]>::last));
    for step in &steps {
        let share = (step.at - first) as f64 / (last - first).max(1) as f64;
        let place = (share * (WIDTH - 1) as f64).round() as usize;
        let sign = if step.at < 0 { "-" } else { "+" };
        let at = format!("{sign}{}", micros(step.at.unsigned_abs()));
        let line = format!("{}|{}", "·".repeat(place), " ".repeat(WIDTH - 1 - place));
        lines.push(format!("  {at:>10}  {line}  {}", step.what));
    }
    let (held, dropped) = (&one["packets"]["held"], &one["packets"]["dropped"]);
    lines.push(format!("  packets: {} waited, {} were dropped", text(held), text(dropped)));
    lines
}

fn head(one: &Value) -> String {
    let epoch = Epoch(one["epoch"].as_u64().unwrap_or_default()).low();
    let peers: Vec<_> = list(&one["tunnels"]).iter().map(peer).collect();
    let peers = peers.join(", ");
    let what = match one["cause"].as_str().unwrap_or_default() {
        "local" if one["old_source"].is_null() => format!("moved to {}", text(&one["source"])),
        "local" => format!("moved: {} → {}", text(&one["old_source"]), text(&one["source"])),
        "dead_path" => format!("a path went silent: {peers}"),
        "peer" => format!("{peers} moved"),
        "rebinding" => format!("{peers} is heard from elsewhere"),
        other => other.to_owned(),
    };
    format!("{what} (its move {epoch})")
}

/// Something that happened, in microseconds since the first datagram about the move.
struct Step {
    at: i64,
    what: String,
}

/// In their order.
fn steps(one: &Value) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |at: &Value, what: String| {
        if let Some(at) = at.as_i64() {
            steps.push(Step { at, what });
        }
    };
    let is_ours = matches!(one["cause"].as_str(), Some("local" | "dead_path"));
    let phases = &one["phases_us"];
    if let Some(detected) = phases["detected"].as_i64() {
        add(&Value::from(-detected), "the system told of the change".into());
    }
    if is_ours && one["sent_ns"].is_u64() {
        add(&Value::from(0), "first datagram sent".into());
    }
    add(&phases["registered"], "registered by the coordinator".into());
    for tunnel in list(&one["tunnels"]) {
        let peer = peer(tunnel);
        if is_ours {
            add(&tunnel["told"], format!("{peer}: being told"));
            add(&tunnel["directed"], format!("{peer}: direction of the coordinator"));
            let why = match tunnel["won"].as_str() {
                Some("update") => ", as we had asked it ourselves",
                Some("direction") => ", where the coordinator directed us",
                Some("peer") => ", as it spoke first",
                Some(_) | None => "",
            };
            add(&tunnel["rebuilt"], format!("{peer}: the path works{why}"));
        } else {
            add(&tunnel["told"], format!("{peer}: packets follow it"));
            add(&tunnel["directed"], format!("{peer}: the coordinator said where it is"));
            add(&tunnel["rebuilt"], format!("{peer}: it has proved where it is"));
            add(&tunnel["reverted"], format!("{peer}: given up there, it proved nothing"));
        }
        add(&tunnel["first_packet"], format!("{peer}: first packet of applications"));
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn peer(tunnel: &Value) -> String {
    let of_id = || text(&tunnel["path_id"]).chars().take(8).collect();
    tunnel["peer"].as_str().map_or_else(of_id, str::to_owned)
}

fn way(way: &Value) -> String {
    if way.is_null() {
        return "no path".into();
    }
    format!("{} {}", text(&way["kind"]), text(&way["remote"]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_stand_on_a_line_in_their_order() {
        let way = json!({ "kind": "direct", "remote": "198.51.100.1:4330" });
        let one = json!({
            "epoch": 7_u64 << 32 | 3, "cause": "local", "source": "192.0.2.7",
            "old_source": "203.0.113.9", "detected_ns": 1, "sent_ns": 2,
            "phases_us": { "detected": 250, "registered": 10_100 },
            "packets": { "held": 12, "dropped": 0 },
            "tunnels": [{
                "path_id": "fda420ae70c22a0c018cf9268d43ec31", "peer": "cn.example",
                "old": way, "new": way, "told": 10, "directed": 10_400, "rebuilt": 20_300,
                "won": "update", "reverted": null, "first_packet": 20_400,
            }],
        });
        let lines = lines(&one);
        assert_eq!(lines[0], "moved: 203.0.113.9 → 192.0.2.7 (its move 3)");
        assert_eq!(lines[1], "  cn.example: direct 198.51.100.1:4330");
        let what: Vec<_> =
            lines[2..9].iter().filter_map(|line| Some(line.rsplit_once("  ")?.1.trim())).collect();
        assert_eq!(
            what,
            [
                "the system told of the change",
                "first datagram sent",
                "cn.example: being told",
                "registered by the coordinator",
                "cn.example: direction of the coordinator",
                "cn.example: the path works, as we had asked it ourselves",
                "cn.example: first packet of applications",
            ]
        );
        let marks: Vec<_> = lines[2..9].iter().map(|line| line.find('|')).collect();
        assert!(marks.is_sorted(), "{lines:#?}");
        assert_eq!(lines[9], "  packets: 12 waited, 0 were dropped");
    }

    #[test]
    fn a_peers_move_counts_from_its_word() {
        let one = json!({
            "epoch": 4, "cause": "peer", "detected_ns": 5, "sent_ns": 6,
            "phases_us": { "detected": null, "registered": null },
            "packets": { "held": 0, "dropped": 0 },
            "tunnels": [{ "path_id": "fda420ae70c22a0c018cf9268d43ec31", "peer": null,
                "old": null, "new": null, "told": 0, "rebuilt": 20_000 }],
        });
        let lines = lines(&one);
        assert_eq!(lines[0], "fda420ae moved (its move 4)");
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lines[2].trim_start().starts_with("+0 µs"), "{lines:#?}");
    }
}
