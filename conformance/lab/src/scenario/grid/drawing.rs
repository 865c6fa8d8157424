//! The outages of a grid as a picture (SVG): a line a group, a dot a cell.

use std::fmt::Write as _;

use super::case::Case;
use super::report::Report;
use crate::scenario::plot::{MARGIN, WIDTH, escape, head};

const LINE: f64 = 22.0;
const TOP: f64 = 56.0;
const NAMES: f64 = 150.0;
const COLOURS: [(&str, &str); 4] = [
    ("direct → direct", "steelblue"),
    ("direct → relay", "darkorange"),
    ("relay → direct", "seagreen"),
    ("relay → relay", "firebrick"),
];

impl Report {
    /// The distribution of outages of the cells that passed.
    pub fn svg(&self) -> String {
        let bottom = TOP + LINE * self.groups.len() as f64;
        let title = format!(
            "The longest time without a packet across a move, {} mode, round trip {:.0} ms",
            self.mode, self.rtt_ms
        );
        let mut svg = head(&title, bottom + 40.0);
        let passed = || self.cells.iter().filter(|cell| cell.passed);
        let most = passed().map(|cell| cell.outage_ms).fold(10.0, f64::max);
        // Some are a hundred times others.
        let decades = most.log10().ceil().max(1.0);
        let x = |ms: f64| NAMES + (WIDTH - MARGIN - NAMES) * ms.max(1.0).log10() / decades;
        for decade in 0..=decades as u32 {
            let ms = 10_f64.powi(decade.cast_signed());
            let _infallible = writeln!(
                svg,
                "<path d=\"M{0:.1} {TOP}V{bottom}\" stroke=\"lightgrey\"/>\
                 <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{ms} ms</text>",
                x(ms),
                bottom + 16.0,
            );
        }
        for (nth, (name, colour)) in COLOURS.iter().enumerate() {
            let _infallible = writeln!(
                svg,
                "<text x=\"{}\" y=\"44\" fill=\"{colour}\">{}</text>",
                NAMES + 130.0 * nth as f64,
                escape(name)
            );
        }
        for (nth, group) in self.groups.iter().enumerate() {
            let y = TOP + LINE * (nth as f64 + 0.5);
            let _infallible = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}, {} moves</text>\
                 <path d=\"M{NAMES} {y}H{}\" stroke=\"whitesmoke\"/>",
                NAMES - 8.0,
                y + 4.0,
                escape(group.kind),
                escape(group.mover),
                WIDTH - MARGIN,
            );
            if let Some([_, median, _]) = group.outage_ms {
                let _infallible = writeln!(
                    svg,
                    "<path d=\"M{:.1} {}v{}\" stroke=\"black\"/>",
                    x(median),
                    y - 8.0,
                    16.0
                );
            }
            for cell in passed() {
                let Ok(case) = cell.id.parse::<Case>() else { continue };
                if (case.kind.name(), case.mover.name()) != (group.kind, group.mover) {
                    continue;
                }
                let ways = cell.way.join(" → ");
                let colour = COLOURS.iter().find(|(name, _)| *name == ways);
                let _infallible = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"3.5\" fill=\"{}\" fill-opacity=\"0.7\">\
                     <title>{}: {:.1} ms</title></circle>",
                    x(cell.outage_ms),
                    colour.map_or("grey", |(_, colour)| *colour),
                    escape(&cell.id),
                    cell.outage_ms,
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::domain::Mode;
    use crate::scenario::grid::Cell;
    use crate::scenario::outfit::Outfit;

    #[test]
    fn each_cell_that_passed_is_a_dot_on_its_line() {
        let cell = |id: &str, outage_ms, passed| Cell {
            passed,
            outage_ms,
            way: ["direct".into(), "relay".into()],
            ..Cell::failed(id, String::new())
        };
        let cells = vec![
            cell("v4-v6-mn-none", 12.0, true),
            cell("v4-v6-mn-cone", 250.0, true),
            cell("v4-v6-cn-cone", 99.0, false),
        ];
        let svg = Report::new(Mode::Fast, &Outfit::default(), cells).svg();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(svg.matches("fill=\"darkorange\" fill-opacity").count(), 2);
        assert!(svg.contains("none, mn moves") && svg.contains("1000 ms"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    }
}
