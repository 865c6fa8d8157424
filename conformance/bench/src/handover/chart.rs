//! Silences (SVG): a panel a variant and distance, a line a tunnel, a dot a move.

use std::fmt::Write as _;

use super::report::{Report, Row};
use super::variant::Variant;
use crate::stats::median;

const WIDTH: f64 = 460.0;
const NAMES: f64 = 100.0;
const LINE: f64 = 18.0;
const HEAD: f64 = 34.0;
const FOOT: f64 = 22.0;
/// Milliseconds at the left and the right, with decades between.
const SCALE: (f64, f64) = (0.1, 100_000.0);

impl Report {
    pub(crate) fn svg(&self) -> String {
        let mut panels: Vec<(f64, Variant, Vec<&Row>)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.moves().is_empty()) {
            let of_row = |(round_trip, variant, _): &(f64, Variant, _)| {
                *round_trip == row.round_trip && *variant == row.variant
            };
            match panels.iter().position(of_row) {
                Some(at) => panels[at].2.push(row),
                None => panels.push((row.round_trip, row.variant, vec![row])),
            }
        }
        let most = panels.iter().map(|(_, _, rows)| rows.len()).max().unwrap_or(0);
        let height = HEAD + LINE * most as f64 + FOOT;
        let whole = (2.0 * WIDTH, 30.0 + panels.len().div_ceil(2) as f64 * height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{}\" height=\"{}\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"20\" font-size=\"14\">Longest time without a packet at the end \
             that moves, ms; a dot a move, a stroke the median</text>\n",
            whole.0, whole.1, whole.0, whole.1,
        );
        for (nth, (round_trip, variant, rows)) in panels.iter().enumerate() {
            let (x, y) = ((nth % 2) as f64 * WIDTH, 30.0 + (nth / 2) as f64 * height);
            let _infallible = writeln!(svg, "<g transform=\"translate({x} {y})\">");
            panel(&mut svg, &format!("{round_trip:.0} ms: {}", variant.title()), rows);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn place(ms: f64) -> f64 {
    let share = (ms.clamp(SCALE.0, SCALE.1) / SCALE.0).log10() / (SCALE.1 / SCALE.0).log10();
    NAMES + share * (WIDTH - NAMES - 20.0)
}

fn panel(svg: &mut String, title: &str, rows: &[&Row]) {
    let _infallible = writeln!(svg, "<text x=\"10\" y=\"18\" font-weight=\"bold\">{title}</text>");
    let bottom = HEAD + LINE * rows.len() as f64;
    let mut decade = SCALE.0;
    while decade <= SCALE.1 {
        let x = place(decade);
        let _infallible = writeln!(
            svg,
            "<path d=\"M{x:.1} {}V{bottom}\" stroke=\"lightgrey\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"grey\">{decade}</text>",
            HEAD - 8.0,
            bottom + 12.0
        );
        decade *= 10.0;
    }
    for (nth, row) in rows.iter().enumerate() {
        let y = HEAD + LINE * nth as f64 + 5.0;
        let colour = if row.tunnel.starts_with("ntm") { "steelblue" } else { "darkseagreen" };
        let name = if row.is_cut() { format!("{} (cut)", row.tunnel) } else { row.tunnel.into() };
        let _infallible = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            NAMES - 8.0,
            y + 4.0
        );
        let values = row.values(|moved| Some(moved.mover_silent));
        for value in &values {
            let x = place(*value);
            let _infallible = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"2.5\" fill=\"{colour}\" fill-opacity=\"0.5\"/>"
            );
        }
        if let Some(middle) = median(&values) {
            let x = place(middle);
            let _infallible = write!(svg, "<path d=\"M{x:.1} {}v14\" stroke=\"black\"/>", y - 7.0);
        }
        svg.push('\n');
    }
}
