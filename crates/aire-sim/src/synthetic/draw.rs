//! Draws from the distributions that networks show, on the one seeded generator.

use std::f64::consts::TAU;

use aire_types::Random;

/// Standard normal (Box and Muller, 1958).
pub(super) fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (TAU * random.unit()).cos()
}

/// exp of a normal with mean 0 and this deviation: median 1.
pub(super) fn lognormal(random: &mut Random, deviation: f64) -> f64 {
    (deviation * normal(random)).exp()
}

/// Pareto (Lomax) excess with median `median`: 0 at the least, tail exponent `shape`.
pub(super) fn heavy(random: &mut Random, median: f64, shape: f64) -> f64 {
    let scale = median / (2f64.powf(1.0 / shape) - 1.0);
    scale * ((1.0 - random.unit()).powf(-1.0 / shape) - 1.0)
}

/// Exponential with this mean.
pub(super) fn exponential(random: &mut Random, mean: f64) -> f64 {
    -mean * (1.0 - random.unit()).ln()
}

/// Index drawn by weight; weights are not negative and not all zero.
pub(super) fn weighted(random: &mut Random, weights: &[f64]) -> usize {
    let mut at = random.unit() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        at -= weight;
        if at < 0.0 {
            return index;
        }
    }
    weights.len().saturating_sub(1)
}

/// A generator of its own for one part, so that more draws in one part change no other.
pub(super) fn part(seed: u64, which: u64) -> Random {
    let mut random = Random::new(seed ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Random::new(random.next_u64())
}
