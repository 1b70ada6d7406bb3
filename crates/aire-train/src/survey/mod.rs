//! What recorded sets are like, side by side with synthetic ones; and synthetic sets for those who have no record.

mod write;

use std::path::Path;

use aire_sim::synthetic::structure::{Sight, Structure, throughput_rows};
use aire_sim::synthetic::{Shape, record, throughput};

use crate::data::{Error, Frames, Matrix, Quantity, Recording, Series, Word, sources};

pub use write::{KINDS, write};

/// Series are laid on frames of this length where they do not say, seconds.
const STEP_S: f64 = 60.0;
/// More frames than this are not laid out for one series.
const MOST_FRAMES: f64 = 1e6;
/// Regions of the synthetic grid.
const REGIONS: usize = 84;

/// One set's column of the table: what, and its value; NaN where it makes no sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The set.
    pub name: String,
    /// Whether it is throughputs; else round trips. The two have other rows.
    pub throughput: bool,
    /// The rows, the same ones in the same order for all sets of a quantity.
    pub rows: Vec<(&'static str, f64)>,
}

/// Describes every set in `dir` that can be compared.
///
/// # Errors
/// A description or a file is wrong.
pub fn describe(dir: &Path) -> Result<Vec<Column>, Error> {
    let mut columns = Vec::new();
    for source in sources(dir)? {
        match source.read()? {
            Recording::Frames(frames) => columns.extend(of_frames(&frames)),
            Recording::Series(series) => columns.extend(of_series(&source.name, &series)),
        }
    }
    Ok(columns)
}

/// The synthetic sets, each as it is made by default from this seed.
pub fn synthetic(seed: u64) -> Vec<Column> {
    let shapes = Shape::NAMES.iter().filter_map(|name| Shape::named(name));
    let mut columns: Vec<Column> = shapes
        .filter_map(|shape| {
            let made = record(&shape, seed);
            let sight = Sight {
                nodes: shape.nodes,
                step_s: made.step_s,
                score_gap: made.score_gap,
                frames: &made.frames,
            };
            column(format!("~{}", shape.name), sight)
        })
        .collect();
    let grid = throughput(REGIONS, seed);
    let rows = throughput_rows(&grid.mbps, REGIONS);
    columns.push(Column { name: "~grid".to_owned(), throughput: true, rows });
    columns
}

fn column(name: String, sight: Sight<'_>) -> Option<Column> {
    Structure::of(sight).map(|structure| Column { name, throughput: false, rows: structure.rows() })
}

fn of_frames(frames: &Frames) -> Option<Column> {
    let nodes = frames.nodes.len();
    let flat = |matrix: &Matrix| (0..nodes).flat_map(|from| matrix.row(from).iter().copied()).collect();
    let flat: Vec<Vec<f32>> = frames.frames.iter().map(flat).collect();
    match frames.quantity {
        Quantity::Throughput => {
            let rows = throughput_rows(flat.last()?, nodes);
            Some(Column { name: frames.name.clone(), throughput: true, rows })
        }
        Quantity::Rtt => {
            let (step_s, score_gap) = (frames.step_s, frames.score_gap);
            column(frames.name.clone(), Sight { nodes, step_s, score_gap, frames: &flat })
        }
    }
}

/// The mean of each row over all series of round trips; what is about more than two nodes has no value.
fn of_series(name: &str, series: &[Series]) -> Option<Column> {
    let round_trips = series.iter().filter(|series| series.quantity == Word::Rtt);
    let tables: Vec<Vec<(&'static str, f64)>> = round_trips.filter_map(of_one_series).collect();
    let first = tables.first()?;
    let mean = |at: usize| {
        let known = tables.iter().map(|rows| rows[at].1).filter(|value| value.is_finite());
        let (sum, count) = known.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        sum / count
    };
    let rows = first.iter().enumerate().map(|(at, (what, _))| (*what, mean(at))).collect();
    Some(Column { name: name.to_owned(), throughput: false, rows })
}

fn of_one_series(series: &Series) -> Option<Vec<(&'static str, f64)>> {
    let (first, last) = (series.points.first()?, series.points.last()?);
    let mut steps: Vec<f64> = series.points.windows(2).map(|two| two[1].time - two[0].time).collect();
    steps.sort_by(f64::total_cmp);
    let step_s = steps.get(steps.len() / 2).copied().filter(|step| *step > 0.0).unwrap_or(STEP_S);
    let count = ((last.time - first.time) / step_s).round();
    if !(0.0..MOST_FRAMES).contains(&count) {
        return None;
    }
    // Both ways are the one that was measured.
    let mut frames = vec![vec![0.0, f32::NAN, f32::NAN, 0.0]; count as usize + 1];
    for point in &series.points {
        let at = ((point.time - first.time) / step_s).round();
        if let Some(frame) = frames.get_mut(at.max(0.0) as usize) {
            (frame[1], frame[2]) = (point.value, point.value);
        }
    }
    let rows = Structure::of(Sight { nodes: 2, step_s, score_gap: 1, frames: &frames })?.rows();
    let alone = |what: &str| {
        ["relay", "gap", "rows", "row ", "energy", "triangle"].iter().any(|word| what.contains(word))
    };
    Some(rows.into_iter().map(|(what, value)| (what, if alone(what) { f64::NAN } else { value })).collect())
}
