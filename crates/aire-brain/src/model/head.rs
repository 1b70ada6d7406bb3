//! What an agent learns by itself: a Bayesian linear head over a few features, on top of the network.
//!
//! It predicts what the network's mean leaves over of the measured gain. Old evidence is forgotten towards the prior and not
//! towards ignorance, so that neither the weights nor the covariance can run away on a quiet agent (Kárný, "Stabilized
//! forgetting", 1991). Without evidence it predicts exactly zero.

use super::features::COUNT;

/// Numbers that the head looks at: a constant and some of the features.
pub const HEAD: usize = 9;

/// The features it looks at: gain, deviation, excess, count, age, above_prior, load, lead.
const LOOKED_AT: [usize; HEAD - 1] = [0, 4, 6, 10, 12, 19, 21, 24];
/// What those are about in size, so that one prior fits all.
const SIZES: [f64; HEAD - 1] = [0.5, 0.3, 0.5, 4.0, 3.0, 0.5, 0.5, 0.3];
/// How many outcomes the prior, that all weights are zero, counts for.
const PRIOR: f64 = 40.0;
/// Share of the evidence that one more outcome makes forgotten: half of it after about 350.
const FORGETTING: f64 = 0.002;
/// Variance of a measured gain around its prediction until it is known better.
const NOISE: f64 = 0.1;
/// A surprise counts as if it were at most so many deviations (Huber).
const SURPRISE: f64 = 2.0;

/// What the head is asked about.
pub type HeadInput = [f64; HEAD];

/// The head's inputs out of all features.
pub(crate) fn head_input(features: &[f32; COUNT]) -> HeadInput {
    let mut input = [1.0; HEAD];
    for ((value, at), size) in input[1..].iter_mut().zip(LOOKED_AT).zip(SIZES) {
        *value = f64::from(features[at]) / size;
    }
    input
}

/// The head.
#[derive(Clone, Debug)]
pub struct Head {
    /// In outcomes, so that it does not depend on the noise of the moment.
    precision: [[f64; HEAD]; HEAD],
    evidence: [f64; HEAD],
    weights: [f64; HEAD],
    covariance: [[f64; HEAD]; HEAD],
    noise: f64,
}

impl Default for Head {
    fn default() -> Self {
        let prior = |diagonal: f64| {
            std::array::from_fn(|row| std::array::from_fn(|at| if row == at { diagonal } else { 0.0 }))
        };
        Head {
            precision: prior(PRIOR),
            evidence: [0.0; HEAD],
            weights: [0.0; HEAD],
            covariance: prior(1.0 / PRIOR),
            noise: NOISE,
        }
    }
}

impl Head {
    /// What it adds to a predicted gain.
    pub fn mean(&self, input: &HeadInput) -> f64 {
        dot(&self.weights, input)
    }

    /// Standard deviation of what it adds, for want of evidence.
    pub fn deviation(&self, input: &HeadInput) -> f64 {
        let row = |row: &[f64; HEAD]| dot(row, input);
        let square: f64 = self.covariance.iter().zip(input).map(|(cells, value)| row(cells) * value).sum();
        (square.max(0.0) * self.noise).sqrt()
    }

    /// The measured gain was by `left` more than the network said. What is no number is ignored.
    pub fn learn(&mut self, input: &HeadInput, left: f64) {
        if !left.is_finite() || input.iter().any(|value| !value.is_finite()) {
            return;
        }
        let left = left.clamp(-1.0, 1.0);
        let surprise = (left - self.mean(input)).abs();
        let most = SURPRISE * self.noise.sqrt();
        self.noise += 0.01 * (surprise.min(2.0 * most).powi(2) - self.noise);
        self.noise = self.noise.max(1e-4);
        let trust = if surprise > most { most / surprise } else { 1.0 };
        for row in 0..HEAD {
            for at in 0..HEAD {
                let prior = if row == at { PRIOR } else { 0.0 };
                let cell = &mut self.precision[row][at];
                *cell += FORGETTING * (prior - *cell) + trust * input[row] * input[at];
            }
            self.evidence[row] += trust * input[row] * left - FORGETTING * self.evidence[row];
        }
        if let Some(covariance) = inverse(&self.precision) {
            self.covariance = covariance;
            self.weights = self.covariance.map(|row| dot(&row, &self.evidence));
        }
    }
}

fn dot(a: &[f64; HEAD], b: &[f64; HEAD]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Of a positive definite matrix, by its Cholesky factor; `None` where rounding made it another.
fn inverse(matrix: &[[f64; HEAD]; HEAD]) -> Option<[[f64; HEAD]; HEAD]> {
    let mut factor = [[0.0; HEAD]; HEAD];
    for row in 0..HEAD {
        for at in 0..=row {
            let done: f64 = (0..at).map(|k| factor[row][k] * factor[at][k]).sum();
            let rest = matrix[row][at] - done;
            factor[row][at] = match row == at {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / factor[at][at],
            };
        }
    }
    Some(std::array::from_fn(|column| solve(&factor, column)))
}

/// One column of the inverse, which is symmetric, out of the Cholesky factor.
fn solve(factor: &[[f64; HEAD]; HEAD], column: usize) -> [f64; HEAD] {
    let mut solved = [0.0; HEAD];
    for row in 0..HEAD {
        let unit = if row == column { 1.0 } else { 0.0 };
        let done: f64 = (0..row).map(|k| factor[row][k] * solved[k]).sum();
        solved[row] = (unit - done) / factor[row][row];
    }
    for row in (0..HEAD).rev() {
        let done: f64 = (row + 1..HEAD).map(|k| factor[k][row] * solved[k]).sum();
        solved[row] = (solved[row] - done) / factor[row][row];
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::Random;

    fn input(random: &mut Random) -> HeadInput {
        let mut input: HeadInput = std::array::from_fn(|_| random.unit() * 2.0 - 1.0);
        input[0] = 1.0;
        input
    }

    #[test]
    fn without_evidence_it_says_zero_and_doubts() {
        let (head, mut random) = (Head::default(), Random::new(1));
        let asked = input(&mut random);
        assert_eq!(head.mean(&asked), 0.0);
        assert!(head.deviation(&asked) > 0.04);
    }

    #[test]
    fn a_steady_error_of_the_network_is_learned_and_forgotten() {
        for seed in 0..16 {
            let (mut head, mut random) = (Head::default(), Random::new(seed));
            let mut feed = |head: &mut Head, slope: f64| {
                for _ in 0..1500 {
                    let asked = input(&mut random);
                    let noise = 0.2 * (random.unit() - 0.5);
                    head.learn(&asked, slope * asked[1] + 0.1 + noise);
                }
            };
            let probe = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            let before = head.deviation(&probe);
            feed(&mut head, 0.3);
            assert!((head.mean(&probe) - 0.4).abs() < 0.12, "seed {seed}: {}", head.mean(&probe));
            assert!(head.deviation(&probe) < 0.3 * before);
            feed(&mut head, -0.3);
            assert!((head.mean(&probe) + 0.2).abs() < 0.12, "seed {seed}: {}", head.mean(&probe));
        }
    }

    #[test]
    fn lies_cannot_make_it_run_away() {
        let (mut head, mut random) = (Head::default(), Random::new(3));
        for _ in 0..5000 {
            let mut asked = input(&mut random);
            asked[2] *= 1e3;
            head.learn(&asked, if random.chance(0.5) { f64::MAX } else { -1e9 });
            head.learn(&asked, f64::NAN);
        }
        let asked = input(&mut random);
        assert!(head.mean(&asked).abs() <= 3.0 && head.deviation(&asked).is_finite());
    }
}
