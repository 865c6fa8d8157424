//! The packets around a move as a picture (SVG): when each arrived, how long it
//! had taken, and the steps of the move.

use std::fmt::Write as _;

use ntm_core::Time;

use crate::traffic::Arrival;

pub(super) const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
pub(super) const MARGIN: f64 = 60.0;

/// What is drawn.
pub(super) struct Picture<'a> {
    pub(super) title: String,
    /// Where the time axis begins and ends.
    pub(super) span: (Time, Time),
    /// Streams with their names and colours.
    pub(super) streams: Vec<(&'static str, &'static str, &'a [Arrival])>,
    /// Steps with their names.
    pub(super) marks: Vec<(String, Time)>,
}

impl Picture<'_> {
    pub(super) fn svg(&self) -> String {
        let (begin, end) = self.span;
        let total = end.since(begin).as_secs_f64().max(1e-6);
        let inside = |at: Time| at >= begin && at <= end;
        let latency = |arrival: &Arrival| arrival.arrived.since(arrival.sent).as_secs_f64() * 1e3;
        let arrivals = self.streams.iter().flat_map(|(_, _, arrivals)| arrivals.iter());
        let slowest = arrivals
            .filter(|arrival| inside(arrival.arrived))
            .map(latency)
            .fold(1.0_f64, f64::max)
            .min(1000.0);
        let x = |at: Time| MARGIN + (WIDTH - 2.0 * MARGIN) * at.since(begin).as_secs_f64() / total;
        let y = |ms: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * ms.min(slowest) / slowest;
        let mut svg = head(&self.title, HEIGHT);
        let (bottom, right) = (HEIGHT - MARGIN, WIDTH - MARGIN);
        let _infallible = write!(
            svg,
            "<path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
             <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{:.0} ms</text>\n\
             <text x=\"{}\" y=\"{MARGIN}\" text-anchor=\"end\">{slowest:.1} ms</text>\n\
             <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\n",
            bottom + 16.0,
            total * 1e3,
            MARGIN - 6.0,
            MARGIN - 6.0,
        );
        for (nth, (name, colour, arrivals)) in self.streams.iter().enumerate() {
            for arrival in arrivals.iter().filter(|arrival| inside(arrival.arrived)) {
                let _infallible = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.2\" fill=\"{colour}\"/>",
                    x(arrival.arrived),
                    y(latency(arrival)),
                );
            }
            let _infallible = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
                MARGIN + 90.0 * nth as f64,
                MARGIN - 16.0,
                escape(name)
            );
        }
        for (nth, (name, at)) in self.marks.iter().enumerate() {
            if inside(*at) {
                let _infallible = writeln!(
                    svg,
                    "<path d=\"M{0:.1} {MARGIN}V{bottom}\" stroke=\"grey\" stroke-dasharray=\"3\"/>\
                     <text x=\"{1:.1}\" y=\"{2}\" fill=\"dimgrey\">{3}</text>",
                    x(*at),
                    x(*at) + 3.0,
                    bottom - 8.0 - 13.0 * (nth % 8) as f64,
                    escape(name),
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// The beginning of a picture of this height, up to its title.
pub(super) fn head(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{}</text>\n",
        escape(title)
    )
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_and_steps_are_drawn_and_those_outside_are_not() {
        let at = |ms: u64| Time::ZERO + Duration::from_millis(ms);
        let arrival = |ms| Arrival { number: ms, sent: at(ms), arrived: at(ms + 1) };
        let arrivals = [arrival(1), arrival(2), arrival(500)];
        let picture = Picture {
            title: "a <move>".into(),
            span: (at(0), at(100)),
            streams: vec![("down", "blue", &arrivals)],
            marks: vec![("rebuilt".into(), at(50)), ("later".into(), at(200))],
        };
        let svg = picture.svg();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &lt;move&gt;") && svg.contains("rebuilt"));
        assert!(!svg.contains("later"));
    }
}
