//! The network: two hidden layers, evaluated in plain Rust without allocation.

use std::fmt;

use super::features::COUNT;

/// Units of each hidden layer.
pub const HIDDEN: usize = 32;
/// The quantiles that the network predicts.
pub const QUANTILES: [f32; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];
/// The quantiles of a standard normal distribution at [`QUANTILES`].
pub const NORMAL: [f32; 5] = [-1.281_551_6, -0.674_489_8, 0.0, 0.674_489_8, 1.281_551_6];
/// Numbers that the network answers with: a correction of each quantile, and of the mean.
pub const OUTPUTS: usize = QUANTILES.len() + 1;

/// Weights and biases in the order of [`Network::weights`].
pub const WEIGHTS: usize = (COUNT + 1) * HIDDEN + (HIDDEN + 1) * HIDDEN + (HIDDEN + 1) * OUTPUTS;

/// features → 32 → 32 → 6 with rectified linear units.
///
/// Weights are kept by input, so that the inner loops run along the units and are vectorised.
#[derive(Clone, PartialEq)]
pub struct Network {
    first: Box<[[f32; HIDDEN]; COUNT]>,
    first_bias: [f32; HIDDEN],
    second: Box<[[f32; HIDDEN]; HIDDEN]>,
    second_bias: [f32; HIDDEN],
    last: [[f32; OUTPUTS]; HIDDEN],
    last_bias: [f32; OUTPUTS],
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("weights", &WEIGHTS).finish_non_exhaustive()
    }
}

impl Network {
    /// The network that answers zero to everything.
    pub fn zero() -> Self {
        Network {
            first: Box::new([[0.0; HIDDEN]; COUNT]),
            first_bias: [0.0; HIDDEN],
            second: Box::new([[0.0; HIDDEN]; HIDDEN]),
            second_bias: [0.0; HIDDEN],
            last: [[0.0; OUTPUTS]; HIDDEN],
            last_bias: [0.0; OUTPUTS],
        }
    }

    /// From weights as training frameworks keep them: for each of the three layers the matrix, one row per unit, then the
    /// biases. `None` where the count is not [`WEIGHTS`] or one is no number.
    pub fn from_weights(weights: &[f32]) -> Option<Self> {
        if weights.len() != WEIGHTS || weights.iter().any(|weight| !weight.is_finite()) {
            return None;
        }
        let mut network = Network::zero();
        let rest = layer(weights, &mut network.first, &mut network.first_bias);
        let rest = layer(rest, &mut network.second, &mut network.second_bias);
        layer(rest, &mut network.last, &mut network.last_bias);
        Some(network)
    }

    /// The weights in the order that [`Network::from_weights`] takes.
    pub fn weights(&self) -> Vec<f32> {
        let mut weights = Vec::with_capacity(WEIGHTS);
        flatten(&self.first, &self.first_bias, &mut weights);
        flatten(&self.second, &self.second_bias, &mut weights);
        flatten(&self.last, &self.last_bias, &mut weights);
        weights
    }

    /// The answer to normalised features: first the corrections of the quantiles, then that of the mean.
    pub fn forward(&self, inputs: &[f32; COUNT]) -> [f32; OUTPUTS] {
        let hidden = rectified(propagate(inputs, &self.first, &self.first_bias));
        let hidden = rectified(propagate(&hidden, &self.second, &self.second_bias));
        propagate(&hidden, &self.last, &self.last_bias)
    }
}

fn propagate<const IN: usize, const OUT: usize>(
    inputs: &[f32; IN],
    weights: &[[f32; OUT]; IN],
    bias: &[f32; OUT],
) -> [f32; OUT] {
    let mut sums = *bias;
    for (input, row) in inputs.iter().zip(weights) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += input * weight;
        }
    }
    sums
}

/// Keeps what is no number: it must not be taken for zero.
fn rectified<const N: usize>(values: [f32; N]) -> [f32; N] {
    values.map(|value| if value < 0.0 { 0.0 } else { value })
}

fn layer<'a, const IN: usize, const OUT: usize>(
    weights: &'a [f32],
    into: &mut [[f32; OUT]; IN],
    bias: &mut [f32; OUT],
) -> &'a [f32] {
    let (matrix, rest) = weights.split_at(IN * OUT);
    for (at, weight) in matrix.iter().enumerate() {
        into[at % IN][at / IN] = *weight;
    }
    let (biases, rest) = rest.split_at(OUT);
    bias.copy_from_slice(biases);
    rest
}

fn flatten<const IN: usize, const OUT: usize>(
    from: &[[f32; OUT]; IN],
    bias: &[f32; OUT],
    into: &mut Vec<f32>,
) {
    into.extend((0..OUT).flat_map(|unit| from.iter().map(move |row| row[unit])));
    into.extend_from_slice(bias);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    /// As textbooks write it, in double precision.
    fn reference(weights: &[f32], inputs: &[f32]) -> Vec<f64> {
        let mut values: Vec<f64> = inputs.iter().map(|value| f64::from(*value)).collect();
        let mut rest = weights;
        for (layer, units) in [HIDDEN, HIDDEN, OUTPUTS].into_iter().enumerate() {
            let (matrix, tail) = rest.split_at(units * values.len());
            let (bias, tail) = tail.split_at(units);
            let sum = |unit: usize| {
                let row = &matrix[unit * values.len()..(unit + 1) * values.len()];
                let dot: f64 = row.iter().zip(&values).map(|(w, v)| f64::from(*w) * v).sum();
                dot + f64::from(bias[unit])
            };
            let next: Vec<f64> = (0..units).map(sum).collect();
            values = if layer < 2 { next.into_iter().map(|value| value.max(0.0)).collect() } else { next };
            rest = tail;
        }
        values
    }

    #[test]
    fn inference_agrees_with_the_textbook() {
        for seed in 0..16 {
            let weights = samples::weights(seed);
            let network = Network::from_weights(&weights).unwrap();
            assert_eq!(network.weights(), weights);
            let inputs = samples::inputs(seed);
            for (got, expected) in network.forward(&inputs).iter().zip(reference(&weights, &inputs)) {
                assert!((f64::from(*got) - expected).abs() < 1e-4, "seed {seed}: {got} {expected}");
            }
        }
    }

    #[test]
    fn weights_that_are_no_numbers_or_too_few_are_refused() {
        let mut weights = samples::weights(1);
        assert!(Network::from_weights(&weights[1..]).is_none());
        weights[7] = f32::NAN;
        assert!(Network::from_weights(&weights).is_none());
    }

    #[test]
    fn what_is_no_number_goes_through_the_rectifier() {
        let network = Network::from_weights(&samples::weights(2)).unwrap();
        let mut inputs = samples::inputs(2);
        inputs[3] = f32::NAN;
        assert!(network.forward(&inputs).iter().all(|value| value.is_nan()));
    }
}
