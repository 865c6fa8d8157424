use std::path::Path;
use std::time::Duration;

use super::Move;
use crate::error::{Doing as _, Result};
use crate::scenario::plot::Picture;
use crate::traffic::Flows;

/// Writes a picture of a move.
pub(super) fn write(path: &Path, of: &Move, flows: &Flows) -> Result<()> {
    let since = |us: Option<u64>| us.map(|us| of.sent + Duration::from_micros(us));
    let phases = &of.phases_us;
    let marks = [
        ("plug pulled", Some(of.left)),
        ("first datagram", Some(of.sent)),
        ("registered", since(phases.registered)),
        ("directed", since(phases.directed)),
        ("rebuilt", since(phases.rebuilt)),
        ("first packet", since(phases.first_packet)),
    ];
    let before = Duration::from_millis(50).min(of.left.since(ntm_core::Time::ZERO));
    let begin = ntm_core::Time::from_nanos(of.left.nanos() - before.as_nanos() as u64);
    let picture = Picture {
        title: "One-way delay of the 1 ms probe around the first move".into(),
        span: (begin, of.end() + Duration::from_millis(100)),
        streams: vec![
            ("towards MN", "steelblue", &flows.there.arrivals),
            ("from MN", "darkorange", &flows.back.arrivals),
        ],
        marks: marks.iter().filter_map(|(name, at)| Some(((*name).to_owned(), (*at)?))).collect(),
    };
    std::fs::write(path, picture.svg()).doing(|| format!("write {}", path.display()))
}
