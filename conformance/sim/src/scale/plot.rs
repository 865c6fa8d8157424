use super::Cost;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;

/// What is drawn, with its colour.
const STREAMS: [(&str, &str); 3] =
    [("terminals", "#1f77b4"), ("coordinator", "#d62728"), ("relays", "#2ca02c")];

fn datagrams(cost: &Cost) -> [f64; 3] {
    [cost.of_terminals, cost.of_coordinator, cost.of_relays].map(|per| per.datagrams)
}

/// The signalling of a move over the number of terminals, as a picture (SVG).
pub fn plot(costs: &[Cost]) -> String {
    let (bottom, right) = (HEIGHT - MARGIN, WIDTH - MARGIN);
    let decades = |terminals: usize| (terminals.max(1) as f64).log10();
    let all: Vec<f64> = costs.iter().map(|cost| decades(cost.terminals)).collect();
    let (first, last) = (
        all.iter().copied().fold(f64::INFINITY, f64::min),
        all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    let most = costs.iter().flat_map(datagrams).fold(1.0, f64::max).ceil();
    let x = |cost: &Cost| {
        let share = (decades(cost.terminals) - first) / (last - first).max(0.1);
        MARGIN + (right - MARGIN) * share
    };
    let y = |datagrams: f64| bottom - (bottom - MARGIN) * datagrams.max(0.0) / most;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">Signalling datagrams of a move</text>\n\
         <path d=\"M{MARGIN} {MARGIN}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         <text x=\"{0}\" y=\"{MARGIN}\" text-anchor=\"end\">{most}</text>\n\
         <text x=\"{0}\" y=\"{bottom}\" text-anchor=\"end\">0</text>\n",
        MARGIN - 6.0,
    );
    for cost in costs {
        svg += &format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            x(cost),
            bottom + 16.0,
            cost.terminals
        );
    }
    for (nth, (name, colour)) in STREAMS.iter().enumerate() {
        let points: Vec<String> = costs
            .iter()
            .map(|cost| format!("{:.1},{:.1}", x(cost), y(datagrams(cost)[nth])))
            .collect();
        svg += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>\n\
             <text x=\"{}\" y=\"40\" fill=\"{colour}\">{name}</text>\n",
            points.join(" "),
            MARGIN + 100.0 * nth as f64
        );
    }
    svg + "</svg>\n"
}
