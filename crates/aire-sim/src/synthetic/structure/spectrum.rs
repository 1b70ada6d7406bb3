use aire_types::Random;

use super::pairs::quantile;

/// So many singular values are found.
const RANK: usize = 10;
/// Turns of the orthogonal iteration.
const TURNS: usize = 25;

/// The matrix of logarithms of medians over time, as an additive model and as a spectrum.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Standard deviation of the row effects, logarithm.
    pub row_effects: f64,
    /// Widest row effect against the median one, logarithm.
    pub row_reach: f64,
    /// Share of the variance that row and column effects explain.
    pub additive: f64,
    /// Share of the energy of what they leave in the first singular value, in the first 3, in the first 10.
    pub energy: [f64; 3],
}

impl Spectrum {
    pub(super) fn of(medians: &[f32], nodes: usize) -> Self {
        let (rows, left, additive) = additive_model(medians, nodes);
        let mut sorted = rows.clone();
        sorted.sort_by(f64::total_cmp);
        let mean = rows.iter().sum::<f64>() / nodes as f64;
        let variance = rows.iter().map(|row| (row - mean).powi(2)).sum::<f64>() / nodes as f64;
        Spectrum {
            row_effects: variance.sqrt(),
            row_reach: quantile(&sorted, 1.0) - quantile(&sorted, 0.5),
            additive,
            energy: energies(&left, nodes),
        }
    }

    pub(super) fn rows(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("row effects, deviation of log", self.row_effects),
            ("row effects, largest of log", self.row_reach),
            ("variance of log by rows and columns, share", self.additive),
            ("energy of the rest in 1 singular value, share", self.energy[0]),
            ("energy of the rest in 3", self.energy[1]),
            ("energy of the rest in 10", self.energy[2]),
        ]
    }
}

/// Row effects, residuals (0 where missing) and the share of variance explained, by alternating means.
fn additive_model(medians: &[f32], nodes: usize) -> (Vec<f64>, Vec<f64>, f64) {
    let known = |at: usize| {
        let value = f64::from(medians[at]);
        (at / nodes != at % nodes && value.is_finite() && value > 0.0).then(|| value.ln())
    };
    let cells: Vec<(usize, f64)> = (0..nodes * nodes).filter_map(|at| Some((at, known(at)?))).collect();
    let mean = cells.iter().map(|(_, value)| value).sum::<f64>() / cells.len() as f64;
    let (mut rows, mut columns) = (vec![0.0; nodes], vec![0.0; nodes]);
    for _ in 0..10 {
        rows = means(nodes, cells.iter().map(|(at, v)| (at / nodes, v - mean - columns[at % nodes])));
        columns = means(nodes, cells.iter().map(|(at, v)| (at % nodes, v - mean - rows[at / nodes])));
    }
    let mut left = vec![0.0; nodes * nodes];
    let (mut total, mut rest) = (0.0, 0.0);
    for (at, value) in cells {
        left[at] = value - mean - rows[at / nodes] - columns[at % nodes];
        total += (value - mean).powi(2);
        rest += left[at].powi(2);
    }
    (rows, left, 1.0 - rest / total)
}

fn means(nodes: usize, values: impl Iterator<Item = (usize, f64)>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u32); nodes];
    values.for_each(|(at, value)| {
        sums[at].0 += value;
        sums[at].1 += 1;
    });
    sums.into_iter().map(|(sum, count)| if count == 0 { 0.0 } else { sum / f64::from(count) }).collect()
}

/// Energy shares of the largest singular values by orthogonal iteration on AᵀA (Golub and Van Loan, 8.2.4).
fn energies(matrix: &[f64], nodes: usize) -> [f64; 3] {
    let total: f64 = matrix.iter().map(|value| value * value).sum();
    let rank = RANK.min(nodes);
    let mut random = Random::new(1);
    let mut basis: Vec<Vec<f64>> =
        (0..rank).map(|_| (0..nodes).map(|_| random.unit() - 0.5).collect()).collect();
    let mut squares = vec![0.0; rank];
    for _ in 0..TURNS {
        orthonormalise(&mut basis);
        for (vector, square) in basis.iter_mut().zip(&mut squares) {
            let image: Vec<f64> = matrix.chunks(nodes).map(|row| dot(row, vector)).collect();
            *square = dot(&image, &image);
            vector.fill(0.0);
            for (row, weight) in matrix.chunks(nodes).zip(&image) {
                vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
        }
    }
    squares.sort_by(|a, b| b.total_cmp(a));
    [1, 3, RANK].map(|most| squares.iter().take(most).sum::<f64>() / total)
}

fn orthonormalise(basis: &mut [Vec<f64>]) {
    for at in 0..basis.len() {
        let (done, rest) = basis.split_at_mut(at);
        let vector = &mut rest[0];
        let before = dot(vector, vector).sqrt();
        for other in done {
            let along = dot(other, vector);
            vector.iter_mut().zip(other).for_each(|(value, unit)| *value -= along * *unit);
        }
        let length = dot(vector, vector).sqrt();
        // What is left of a vector that others span is rounding.
        let scale = if length > 1e-9 * before { 1.0 / length } else { 0.0 };
        vector.iter_mut().for_each(|value| *value *= scale);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_of_rank_one_has_all_its_energy_in_one_value() {
        let nodes = 12;
        let matrix: Vec<f64> =
            (0..nodes * nodes).map(|at| (1.0 + (at / nodes) as f64) * ((at % nodes) as f64 - 4.0)).collect();
        let [one, three, ten] = energies(&matrix, nodes);
        assert!((one - 1.0).abs() < 1e-9 && (three - 1.0).abs() < 1e-9 && (ten - 1.0).abs() < 1e-9);
    }

    #[test]
    fn rows_times_columns_are_explained_by_rows_and_columns() {
        let nodes = 9;
        let matrix: Vec<f32> =
            (0..nodes * nodes).map(|at| ((1 + at / nodes) * (2 + at % nodes)) as f32).collect();
        assert!(Spectrum::of(&matrix, nodes).additive > 0.999_999);
    }
}
