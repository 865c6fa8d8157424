//! Bars (SVG): a panel a metric, a bar a tunnel, with a line from the least to the
//! most.

use std::fmt::Write as _;

use super::table::name;
use super::{Entry, Report};
use crate::measure::metric::Metric;

const PANELS: [(&str, Metric); 6] = [
    ("TCP, 1 stream, Mbit/s", Metric::Tcp1There),
    ("TCP, 4 streams, Mbit/s", Metric::Tcp4There),
    ("UDP of 64 bytes without loss, thousand a second", Metric::LossFree),
    ("Round trip, idle, median, µs", Metric::IdleMedian),
    ("Round trip beside TCP, 99th percentile, µs", Metric::LoadedTail),
    ("CPU seconds of the whole machine a GB", Metric::CpuMachine),
];

const WIDTH: f64 = 440.0;
const NAMES: f64 = 100.0;
const FIGURES: f64 = 70.0;
const BAR: f64 = 16.0;
const HEAD: f64 = 40.0;

impl Report {
    pub(crate) fn svg(&self) -> String {
        let entries: Vec<_> = self.answered().collect();
        let height = HEAD + BAR * entries.len() as f64 + 12.0;
        let rows = PANELS.len().div_ceil(2) as f64;
        let (whole_width, whole_height) = (2.0 * WIDTH, 30.0 + rows * height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole_width} {whole_height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{whole_width}\" height=\"{whole_height}\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"20\" font-size=\"14\">Path {}, cable {}: medians of {}</text>\n",
            name(&self.way),
            name(&self.cable),
            self.repeats,
        );
        for (nth, (title, metric)) in PANELS.into_iter().enumerate() {
            let (x, y) = ((nth % 2) as f64 * WIDTH, 30.0 + (nth / 2) as f64 * height);
            let _infallible = writeln!(svg, "<g transform=\"translate({x} {y})\">");
            panel(&mut svg, title, metric, &entries);
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn panel(svg: &mut String, title: &str, metric: Metric, entries: &[&Entry]) {
    let about = metric.about();
    let better = if about.more_is_better { "more" } else { "less" };
    let _infallible = writeln!(
        svg,
        "<text x=\"10\" y=\"24\" font-weight=\"bold\">{title} ({better} is better)</text>"
    );
    // Without a tunnel everything is so much quicker that no other bar would be seen.
    let tunnels = entries.iter().filter(|entry| entry.name != "none");
    let most = tunnels.filter_map(|entry| entry.span(metric)).map(|(_, most)| most);
    let most = most.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let long = |value: f64| (WIDTH - NAMES - FIGURES) * (value / most).min(1.0);
    for (nth, entry) in entries.iter().enumerate() {
        let y = HEAD + BAR * nth as f64;
        let (Some(middle), Some((least, highest))) = (entry.median(metric), entry.span(metric))
        else {
            continue;
        };
        let colour = match (entry.name, entry.ours) {
            ("none", _) => "lightgrey",
            (_, true) => "steelblue",
            (_, false) => "darkseagreen",
        };
        let (scale, decimals) = about.shown;
        let _infallible = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>\
             <path d=\"M{:.1} {}H{:.1}\" stroke=\"black\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.decimals$}</text>",
            NAMES - 6.0,
            y + 11.0,
            entry.name,
            long(middle),
            BAR - 3.0,
            NAMES + long(least),
            y + 6.5,
            NAMES + long(highest),
            WIDTH - 8.0,
            y + 11.0,
            middle / scale,
        );
    }
}
