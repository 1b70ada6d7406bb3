//! Pairs of nodes: their medians over time, and samples of them.

use aire_types::Random;

use super::Sight;

/// Medians over time are taken of at most so many frames, spread evenly.
const FRAMES: usize = 61;

/// The value at share `q` of a sorted list; NaN of an empty one.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

/// All that is present off the diagonal.
pub(super) fn off_diagonal(matrix: &[f32], nodes: usize) -> impl Iterator<Item = f64> {
    let off = move |(at, _): &(usize, &f32)| at / nodes != at % nodes;
    matrix
        .iter()
        .enumerate()
        .filter(off)
        .map(|(_, value)| f64::from(*value))
        .filter(|value| value.is_finite())
}

/// The median over time of every pair; NaN where nothing was measured.
pub(super) fn medians(sight: Sight<'_>) -> Vec<f32> {
    let stride = sight.frames.len().div_ceil(FRAMES).max(1);
    let frames: Vec<&Vec<f32>> = sight.frames.iter().step_by(stride).collect();
    let mut values = Vec::with_capacity(frames.len());
    let median = |at: usize| {
        values.clear();
        values.extend(frames.iter().map(|frame| frame[at]).filter(|value| value.is_finite()));
        values.sort_by(f32::total_cmp);
        if values.is_empty() { f32::NAN } else { values[(values.len() - 1) / 2] }
    };
    (0..sight.nodes * sight.nodes).map(median).collect()
}

/// At most `most` ordered pairs, always the same ones; all of them where there are fewer.
pub(super) fn sample(nodes: usize, most: usize) -> Vec<(usize, usize)> {
    if nodes < 2 {
        return Vec::new();
    }
    if nodes * (nodes - 1) <= most {
        let all = (0..nodes * nodes).map(|at| (at / nodes, at % nodes));
        return all.filter(|(from, to)| from != to).collect();
    }
    let mut random = Random::new(1);
    let mut draw = || {
        let from = random.below(nodes);
        (from, (from + 1 + random.below(nodes - 1)) % nodes)
    };
    (0..most).map(|_| draw()).collect()
}
