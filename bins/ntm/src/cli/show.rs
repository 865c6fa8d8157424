//! Answers of a node, for people.

use serde_json::Value;

use super::output::{bytes, micros, say, table};

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn span(value: &Value) -> String {
    value.as_u64().map_or("-".into(), micros)
}

fn way(path: &Value) -> String {
    if path.is_null() {
        return "no path".into();
    }
    let proved = if path["proved"] == false { " (not proved yet)" } else { "" };
    // What everybody has goes without saying.
    let by = match text(&path["transport"]) {
        udp if udp == "udp" => String::new(),
        other => format!(" by {other}"),
    };
    format!("{} {}{by}{proved}", text(&path["kind"]), text(&path["remote"]))
}

/// A node, role by role.
pub(super) fn status(node: &Value) {
    say(format!("{}  {}", text(&node["name"]), text(&node["public_key"])));
    let terminal = &node["terminal"];
    if !terminal.is_null() {
        let registered =
            if terminal["registered"] == true { "registered" } else { "not registered" };
        say(format!("terminal: {registered}, virtual addresses {}", text(&terminal["vips"])));
        say(format!(
            "  real addresses {}, seen at {}, coordinator {} away",
            text(&terminal["claimed"]),
            text(&terminal["observed"]),
            span(&terminal["coordinator_rtt_us"]),
        ));
        let mut rows = vec![
            ["PEER", "ADDRESSES", "STATE", "PATH", "RTT", "SENT", "RECEIVED"]
                .map(String::from)
                .to_vec(),
        ];
        for tunnel in list(&terminal["tunnels"]) {
            let traffic = |key: &str| tunnel["traffic"][key].as_u64().unwrap_or(0);
            rows.push(vec![
                text(&tunnel["peer"]),
                text(&tunnel["vips"]),
                text(&tunnel["state"]),
                way(&tunnel["path"]),
                span(&tunnel["rtt_us"]),
                bytes(traffic("sent_bytes")),
                bytes(traffic("received_bytes")),
            ]);
        }
        if rows.len() > 1 {
            table(&rows);
        }
    }
    if !node["coordinator"].is_null() {
        say("coordinator:");
        members(node);
    }
    let relay = &node["relay"];
    if !relay.is_null() {
        let registered = if relay["registered"] == true { "registered" } else { "not registered" };
        say(format!(
            "relay: {registered}, {} pairs, {} datagrams forwarded",
            relay["pairs"], relay["forwarded"]
        ));
    }
    for transport in list(&node["transports"]) {
        let (name, at) = (text(&transport["name"]), text(&transport["listens"]));
        plugin(format!("transport {name} at {at}"), &transport["facts"]);
    }
    let interface = &node["interface"];
    if !interface.is_null() {
        plugin(format!("interface {}", text(&interface["name"])), &interface["facts"]);
    }
    for library in list(&node["plugins"]) {
        let (name, file) = (text(&library["name"]), text(&library["file"]));
        let now = if library["working"] == 0 { "does not work" } else { "works" };
        let before = match library["broken"].as_u64() {
            Some(0) | None => String::new(),
            Some(1) => format!("; broke once: {}", text(&library["last"])),
            Some(broken) => format!("; broke {broken} times, last: {}", text(&library["last"])),
        };
        say(format!("plugin {name} ({file}): {now}{before}"));
    }
}

/// What a plugin says of itself.
fn plugin(name: String, facts: &Value) {
    let facts = facts.as_object().into_iter().flatten();
    let facts: Vec<_> = facts.map(|(key, value)| format!("{key}: {}", text(value))).collect();
    say(format!("{name}; {}", facts.join("; ")));
}

/// The members of a coordinator's domain.
pub(super) fn members(node: &Value) {
    let mut rows =
        vec![["NAME", "ROLES", "ADDRESSES", "SEEN AT", "KEY"].map(String::from).to_vec()];
    for member in list(&node["coordinator"]["members"]) {
        let seen: Vec<_> =
            list(&member["present"]).iter().map(|present| text(&present["observed"])).collect();
        rows.push(vec![
            text(&member["name"]),
            text(&member["roles"]),
            text(&member["vips"]),
            if seen.is_empty() { "away".into() } else { seen.join(", ") },
            text(&member["public_key"]),
        ]);
    }
    table(&rows);
}

/// The answer to a ping.
pub(super) fn pong(pong: &Value) {
    say(format!(
        "pong from {} ({}) via {} in {}",
        text(&pong["name"]),
        text(&pong["vips"]),
        way(&pong["path"]),
        span(&pong["rtt_us"]),
    ));
}
