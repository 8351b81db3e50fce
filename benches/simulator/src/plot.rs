//! Plots latencies: the fraction of the requests without a response after a given time, on logarithmic scales. Failed requests
//! never have a response.

use std::fmt::Write as _;

use crate::scenario::Scenario;
use crate::score::Score;

/// Returns an SVG with a line for each score.
pub fn svg(scenario: &Scenario, scores: &[Score]) -> String {
    let quantiles = |part| scores.iter().map(move |score| score.quantile(part));
    let least = quantiles(FIRST).fold(f64::INFINITY, f64::min).max(0.01);
    let most = quantiles(LAST).fold(least, f64::max);
    let axis = Axis {
        least,
        most: most.max(least * 2.0),
    };

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"16\">{}: requests without a response after</text>\n",
        scenario.title
    );
    grid(&mut out, axis);
    for (number, score) in scores.iter().enumerate() {
        let (color, dash) = style(number);
        let stroke = format!("stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" {stroke} points=\"{}\"/>",
            points(score, axis)
        );
        let (y, from, to) = (
            TOP + 10.0 + 20.0 * number as f64,
            RIGHT + 15.0,
            RIGHT + 45.0,
        );
        let _ = writeln!(
            out,
            "<line x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" {stroke}/>"
        );
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{}</text>",
            to + 8.0,
            y + 4.0,
            score.label
        );
    }
    out + "</svg>\n"
}

/// A logarithmic scale of milliseconds.
#[derive(Clone, Copy)]
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    fn x(self, ms: f64) -> f64 {
        let along = (ms / self.least).log10() / (self.most / self.least).log10();
        LEFT + (RIGHT - LEFT) * along.clamp(0.0, 1.0)
    }

    /// Returns 1, 2 and 5 times each power of ten within the scale.
    fn ticks(self) -> impl Iterator<Item = f64> {
        let powers =
            (-2..9).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        powers.filter(move |ms| (self.least..=self.most).contains(ms))
    }
}

/// Returns the y coordinate of the fraction `part` of the requests.
fn y(part: f64) -> f64 {
    TOP + (BOTTOM - TOP) * -part.log10() / DECADES
}

fn points(score: &Score, axis: Axis) -> String {
    let mut points = String::new();
    for step in 0..=STEPS {
        let longer = 10_f64.powf(-DECADES * f64::from(step) / f64::from(STEPS));
        let quantile = score.quantile_of_requests(1.0 - longer);
        let x = quantile.map_or(RIGHT, |ms| axis.x(ms));
        let _ = write!(points, "{x:.1},{:.1} ", y(longer));
        if quantile.is_none() {
            break;
        }
    }
    points
}

fn grid(out: &mut String, axis: Axis) {
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        let _ = writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#dddddd\"/>"
        );
    };
    axis.ticks()
        .map(|ms| axis.x(ms))
        .for_each(|x| line(x, TOP, x, BOTTOM));
    PARTS
        .iter()
        .for_each(|(part, _)| line(LEFT, y(*part), RIGHT, y(*part)));
    for ms in axis.ticks() {
        let label = if ms < 1000.0 {
            format!("{ms} ms")
        } else {
            format!("{} s", ms / 1000.0)
        };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            axis.x(ms),
            BOTTOM + 18.0
        );
    }
    for (part, label) in PARTS {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            y(part) + 4.0
        );
    }
}

/// Returns the color and dash of a line: ten colors, and another dash for the next ten lines.
fn style(number: usize) -> (&'static str, &'static str) {
    let dashes = ["none", "7 4"];
    (
        COLORS[number % COLORS.len()],
        dashes[number / COLORS.len() % dashes.len()],
    )
}

const WIDTH: u32 = 900;
const HEIGHT: u32 = 420;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 380.0;
/// The lower end of the vertical scale: one request in ten thousand.
const DECADES: f64 = 4.0;
const FIRST: f64 = 0.3;
const LAST: f64 = 0.9999;
const STEPS: u32 = 160;
const PARTS: [(f64, &str); 6] = [
    (1.0, "all"),
    (0.5, "p50"),
    (0.1, "p90"),
    (0.01, "p99"),
    (0.001, "p99.9"),
    (0.0001, "p99.99"),
];
const COLORS: [&str; 10] = [
    "#999999", "#d62728", "#ff7f0e", "#1f77b4", "#17becf", "#2ca02c", "#8c564b", "#bcbd22",
    "#e377c2", "#9467bd",
];
