//! Plots as inline SVG: bars with their intervals.

use std::fmt::Write;

/// One bar.
pub(super) struct Bar {
    /// What stands before it.
    pub(super) name: String,
    /// How long it is.
    pub(super) value: f64,
    /// Its interval.
    pub(super) whiskers: Option<(f64, f64)>,
    /// What stands behind it.
    pub(super) label: String,
    /// Drawn in the second colour.
    pub(super) muted: bool,
}

const ROW: f64 = 22.0;
const LEFT: f64 = 210.0;
const WIDTH: f64 = 560.0;
const RIGHT: f64 = 90.0;

/// Horizontal bars over one axis from `low` to `high`; what lies beyond is cut off at the edge.
pub(super) fn bars(title: &str, bars: &[Bar], low: f64, high: f64) -> String {
    let height = ROW * (bars.len() as f64 + 1.5);
    let span = (high - low).max(1e-9);
    let x = |value: f64| LEFT + WIDTH * ((value.clamp(low, high) - low) / span);
    let zero = x(0.0);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\"><text class=\"title\" x=\"0\" \
         y=\"15\">{title}</text><line class=\"axis\" x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"{ROW}\" y2=\"{height:.0}\"/>",
        LEFT + WIDTH + RIGHT,
        title = escape(title),
    );
    for (index, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.value.is_finite()) {
        let y = ROW * (index as f64 + 1.3);
        let (from, to) = (zero.min(x(bar.value)), zero.max(x(bar.value)));
        let class = if bar.muted { "muted" } else { "bar" };
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"{:.0}\" y=\"{:.1}\">{}</text><rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" \
             width=\"{:.1}\" height=\"14\"/>",
            LEFT - 8.0,
            y + 11.0,
            escape(&bar.name),
            (to - from).max(0.5),
        );
        let mut end = to;
        if let Some((a, b)) = bar.whiskers.filter(|(a, b)| a.is_finite() && b.is_finite()) {
            end = end.max(x(b));
            let _ = write!(
                svg,
                "<line class=\"whisker\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                x(a),
                x(b),
                y + 7.0,
                y + 7.0
            );
        }
        let _ =
            write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", end + 6.0, y + 11.0, escape(&bar.label));
    }
    svg.push_str("</svg>");
    svg
}

/// Text as it may stand in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
