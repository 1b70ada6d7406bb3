//! Whether quantiles hold what they say, and what to add so that they do.

use aire_brain::model::{OUTPUTS, QUANTILES};
use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// What is added to each predicted quantile, so that on the validation part as many gains lie below it as it says
/// (split conformal prediction: Romano, Patterson, Candès, "Conformalized quantile regression", 2019).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// In the order of [`QUANTILES`]; relative gain.
    pub shift: [f32; QUANTILES.len()],
}

impl Calibration {
    /// That of predictions for rows that the weights were not trained on.
    pub fn of(predicted: &[[f32; OUTPUTS]], rows: &Rows) -> Self {
        let shift = std::array::from_fn(|level| {
            let beyond = |i: usize| (rows.gain(i) - predicted[i][level], rows.weight(i));
            quantile((0..rows.len()).map(beyond).collect(), QUANTILES[level])
        });
        Calibration { shift }
    }

    /// For each level, the share of gains that lie at or below the shifted quantile.
    pub fn coverage(&self, predicted: &[[f32; OUTPUTS]], rows: &Rows) -> [(f32, f32); QUANTILES.len()] {
        std::array::from_fn(|level| {
            let (mut below, mut total) = (0.0_f64, 0.0_f64);
            for (i, row) in predicted.iter().enumerate() {
                let weight = f64::from(rows.weight(i));
                total += weight;
                below += if rows.gain(i) <= row[level] + self.shift[level] { weight } else { 0.0 };
            }
            (QUANTILES[level], (below / total.max(f64::MIN_POSITIVE)) as f32)
        })
    }
}

/// The weighted quantile of (value, weight); 0 of nothing.
fn quantile(mut values: Vec<(f32, f32)>, level: f32) -> f32 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let mut sum = 0.0;
    for (value, weight) in &values {
        sum += f64::from(*weight);
        if sum >= f64::from(level) * total {
            return *value;
        }
    }
    values.last().map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::rows::Row;

    #[test]
    fn shifted_quantiles_cover_what_they_say_whatever_was_predicted() {
        let mut rows = Rows::new(1);
        for i in 0..1000 {
            let gain = i as f32 / 1000.0;
            rows.push(Row { features: &[0.0], promise: 0.0, spread: 0.0, gain, weight: 1.0, group: 0 });
        }
        let predicted = vec![[3.0; OUTPUTS]; 1000];
        let calibration = Calibration::of(&predicted, &rows);
        for (level, share) in calibration.coverage(&predicted, &rows) {
            assert!((level - share).abs() < 2e-3, "{level}: {share}");
        }
        for (_, share) in Calibration::default().coverage(&predicted, &rows) {
            assert_eq!(share, 1.0);
        }
    }
}
