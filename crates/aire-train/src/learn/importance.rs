//! What each feature is worth: how much worse predictions become when its values are exchanged between rows
//! (Breiman, "Random forests", 2001).

use aire_brain::model::{NAMES, OUTPUTS, QUANTILES};
use aire_types::Random;

use super::Error;
use super::rows::{Row, Rows};
use super::trainer::Fitted;

/// Rows that are looked at.
const ROWS: usize = 20_000;

/// The loss that each feature's exchange adds on `rows`, the greatest first.
///
/// # Errors
/// Where the rows do not fit the network.
pub fn importance(fitted: &Fitted, rows: &Rows, seed: u64) -> Result<Vec<(&'static str, f64)>, Error> {
    let step = rows.len().div_ceil(ROWS).max(1);
    let picked: Vec<usize> = (0..rows.len()).step_by(step).collect();
    let whole = exchanged(rows, &picked, None);
    let base = loss(&fitted.predict(&whole)?, &whole);
    let mut random = Random::new(seed);
    let mut all = Vec::with_capacity(NAMES.len());
    for (column, name) in NAMES.into_iter().enumerate() {
        let mut others = picked.clone();
        for at in (1..others.len()).rev() {
            others.swap(at, random.below(at + 1));
        }
        let spoilt = exchanged(rows, &picked, Some((column, &others)));
        all.push((name, loss(&fitted.predict(&spoilt)?, &spoilt) - base));
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(all)
}

/// The picked rows, with one column taken from others.
fn exchanged(rows: &Rows, picked: &[usize], from: Option<(usize, &[usize])>) -> Rows {
    let mut out = Rows::new(rows.width());
    for (at, &i) in picked.iter().enumerate() {
        let row = rows.row(i);
        let mut features = row.features.to_vec();
        if let Some((column, others)) = from {
            features[column] = rows.row(others[at]).features[column];
        }
        out.push(Row { features: &features, ..row });
    }
    out
}

/// Pinball loss of the quantiles, weighted.
fn loss(predicted: &[[f32; OUTPUTS]], rows: &Rows) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for (i, predicted) in predicted.iter().enumerate() {
        let weight = f64::from(rows.weight(i));
        total += weight;
        for (level, quantile) in QUANTILES.iter().zip(predicted) {
            let short = rows.gain(i) - quantile;
            sum += weight * f64::from((level * short).max((level - 1.0) * short));
        }
    }
    sum / total.max(f64::MIN_POSITIVE)
}
