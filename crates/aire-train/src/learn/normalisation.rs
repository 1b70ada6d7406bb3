//! Features on one scale.

use super::rows::Rows;

/// What brings each feature to mean 0 and deviation 1, and where it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normalisation {
    /// Mean of each feature over the training part.
    pub mean: Vec<f32>,
    /// Standard deviation of each. To features that never change the network is blind: nothing was learned of them.
    pub scale: Vec<f32>,
    /// Lowest value that inference may trust: the least seen, less a tenth of the range.
    pub low: Vec<f32>,
    /// Highest, likewise.
    pub high: Vec<f32>,
}

/// Deviations below this are those of a constant.
const CONSTANT: f64 = 1e-6;
/// On this scale every feature is zero.
const BLIND: f32 = 1e30;

impl Normalisation {
    /// That of the training part.
    pub fn of(rows: &Rows) -> Self {
        let width = rows.width();
        let count = rows.len().max(1) as f64;
        let (mut sum, mut squares) = (vec![0.0_f64; width], vec![0.0_f64; width]);
        let (mut low, mut high) = (vec![f32::INFINITY; width], vec![f32::NEG_INFINITY; width]);
        for i in 0..rows.len() {
            for (j, &x) in rows.features(i).iter().enumerate() {
                sum[j] += f64::from(x);
                low[j] = low[j].min(x);
                high[j] = high[j].max(x);
            }
        }
        let mean: Vec<f64> = sum.iter().map(|total| total / count).collect();
        for i in 0..rows.len() {
            for (j, &x) in rows.features(i).iter().enumerate() {
                squares[j] += (f64::from(x) - mean[j]).powi(2);
            }
        }
        let deviations: Vec<f64> = squares.iter().map(|total| (total / count).sqrt()).collect();
        let constant: Vec<usize> = (0..width).filter(|&j| deviations[j] < CONSTANT).collect();
        let scale = deviations.iter().map(|&deviation| deviation as f32).collect();
        for (low, high) in low.iter_mut().zip(&mut high) {
            let slack = 0.1 * (*high - *low);
            (*low, *high) = if slack.is_finite() { (*low - slack, *high + slack) } else { (0.0, 0.0) };
        }
        let mean = mean.iter().map(|&mean| mean as f32).collect();
        let mut normalisation = Normalisation { mean, scale, low, high };
        normalisation.blind(&constant);
        normalisation
    }

    /// Makes the network blind to these features, whatever their values: for
    /// ablations, and where training did not vary them.
    pub(super) fn blind(&mut self, columns: &[usize]) {
        for &column in columns {
            self.scale[column] = BLIND;
            (self.low[column], self.high[column]) = (f32::MIN, f32::MAX);
        }
    }

    /// The features of row `i` on that scale, appended to `out`.
    pub(super) fn apply(&self, features: &[f32], out: &mut Vec<f32>) {
        out.extend(
            features.iter().zip(&self.mean).zip(&self.scale).map(|((x, mean), scale)| (x - mean) / scale),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::rows::Row;

    #[test]
    fn features_get_mean_zero_and_deviation_one_and_constants_are_not_seen() {
        let mut rows = Rows::new(2);
        for i in 0..101 {
            let features = &[i as f32, 7.0];
            rows.push(Row { features, promise: 0.0, spread: 0.0, gain: 0.0, weight: 1.0, group: 0 });
        }
        let normal = Normalisation::of(&rows);
        let mut out = Vec::new();
        (0..101).for_each(|i| normal.apply(rows.features(i), &mut out));
        let first: Vec<f32> = out.chunks(2).take(101).map(|row| row[0]).collect();
        assert!(first.iter().sum::<f32>().abs() < 1e-3);
        assert!((first.iter().map(|x| x * x).sum::<f32>() / 101.0 - 1.0).abs() < 1e-3);
        normal.apply(&[0.0, 1000.0], &mut out);
        assert!(out.chunks(2).all(|row| row[1].abs() < 1e-20));
        assert_eq!((normal.low[0], normal.high[0]), (-10.0, 110.0));
    }
}
