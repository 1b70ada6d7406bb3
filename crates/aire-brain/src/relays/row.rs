use std::collections::VecDeque;

/// How far an average is shrunk towards the prior: the prior counts as so many samples.
const STRENGTHS: [f32; 6] = [0.0, 4.0, 16.0, 64.0, 256.0, 1024.0];
/// Averages remember about so many rounds.
const MEMORY: f32 = 256.0;
/// The best of many forecasts is a lucky one: who chooses among relays needs so much more of the prior than who forecasts
/// one leg.
const CHOICE: f32 = 4.0;
/// What history found counts as at most so many own samples, and no more are remembered.
const INHERITED: f64 = 65536.0;
/// A prior of more than so many times the own average is absurd.
const ABSURD: f32 = 4.0;
/// Fewer samples say nothing of how a leg moves about its average.
const SETTLED: f32 = 16.0;

/// How well each strength of the prior forecast what was measured later: the best one is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strength {
    losses: [f64; STRENGTHS.len()],
    samples: f64,
}

impl Default for Strength {
    fn default() -> Self {
        Strength { losses: [0.0; STRENGTHS.len()], samples: 0.0 }
    }
}

impl Strength {
    /// A measurement came, and what was known when it was forecast: `prior`, and the average of `count` samples.
    ///
    /// Squared error, beyond the size of the value itself only in proportion to it: a single outlier says little.
    pub fn learn(&mut self, prior: f32, mean: f32, count: f32, measured: f32) {
        if !(prior.is_finite() && mean.is_finite() && measured.is_finite()) {
            return;
        }
        // whatever others made of the prior: the own average bounds what it can cost
        let size = f64::from(prior.abs().min(ABSURD * mean.abs()));
        for (loss, strength) in self.losses.iter_mut().zip(STRENGTHS) {
            let error = f64::from(measured - shrunk(prior, mean, count, strength));
            *loss += (error * error).min(size * error.abs());
        }
        self.samples += 1.0;
        if self.samples > INHERITED {
            let keep = INHERITED / self.samples;
            self.losses.iter_mut().for_each(|loss| *loss *= keep);
            self.samples = INHERITED;
        }
    }

    /// How many samples the prior counts for; none before there is evidence, as what is told then would be the prior alone.
    pub fn best(&self) -> f32 {
        if self.samples < 16.0 {
            return 0.0;
        }
        let best = self.losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0.0, |(index, _)| STRENGTHS[index] * CHOICE)
    }

    /// What others or history found counts as if it had been found here, as `weight` samples.
    pub fn inherit(&mut self, other: &Strength, weight: f64) {
        let scale = weight / other.samples.max(1.0);
        self.losses.iter_mut().zip(other.losses).for_each(|(own, loss)| *own += loss * scale);
        self.samples += other.samples * scale;
    }
}

/// The average `mean` of `count` samples, moved towards `prior`, which counts as `strength` samples.
pub(super) fn shrunk(prior: f32, mean: f32, count: f32, strength: f32) -> f32 {
    if count <= 0.0 || !mean.is_finite() {
        return prior;
    }
    if !prior.is_finite() {
        return mean;
    }
    prior + (mean - prior) * count / (count + strength)
}

#[derive(Clone, Copy, Debug)]
struct Leg {
    count: f32,
    mean: f32,
    /// Average of the logarithm: under heavy tails its error is the smaller one, and swings about it have no bias.
    level: f32,
    last: f32,
}

impl Leg {
    const UNKNOWN: Leg = Leg { count: 0.0, mean: f32::NAN, level: f32::NAN, last: f32::NAN };
}

/// What was known of a leg some rounds ago.
#[derive(Clone, Copy, Debug)]
struct Past {
    count: f32,
    mean: f32,
    /// Logarithm of the value of that round less its average; NaN where there was none.
    swing: f32,
}

impl Past {
    const UNKNOWN: Past = Past { count: 0.0, mean: f32::NAN, swing: f32::NAN };
}

/// A node's own direct legs, measured round by round, and a forecast of each for the time when a decision counts.
#[derive(Clone, Debug)]
pub struct Row {
    legs: Vec<Leg>,
    past: VecDeque<Vec<Past>>,
    horizon: usize,
    strength: Strength,
    product: f64,
    square: f64,
    pairs: f64,
}

impl Row {
    /// Towards `nodes` nodes; forecasts are for `horizon` rounds ahead, at least one.
    pub fn new(nodes: usize, horizon: usize) -> Self {
        Row {
            legs: vec![Leg::UNKNOWN; nodes],
            past: VecDeque::new(),
            horizon: horizon.max(1),
            strength: Strength::default(),
            product: 0.0,
            square: 0.0,
            pairs: 0.0,
        }
    }

    /// Room for `nodes` nodes; fewer than there are change nothing.
    pub fn grow(&mut self, nodes: usize) {
        let nodes = nodes.max(self.legs.len());
        self.legs.resize(nodes, Leg::UNKNOWN);
        self.past.iter_mut().for_each(|past| past.resize(nodes, Past::UNKNOWN));
    }

    /// The number stands for another node from now on.
    pub fn forget(&mut self, node: usize) {
        self.legs[node] = Leg::UNKNOWN;
        self.past.iter_mut().for_each(|past| past[node] = Past::UNKNOWN);
    }

    /// Begins with what history found of the prior's worth.
    pub fn inherit(&mut self, strength: &Strength) {
        self.strength.inherit(strength, strength.samples.min(INHERITED));
    }

    /// The leg was measured `count` times before, with this average and this average of the logarithm.
    pub fn recall(&mut self, to: usize, count: f32, mean: f32, level: f32) {
        if count > 0.0 && mean > 0.0 && level.is_finite() {
            self.legs[to] = Leg { count: count.min(MEMORY), mean, level, last: f32::NAN };
        }
    }

    /// The measurements of one round, by node, NaN where there is none; `prior` forecasts a leg without its own samples.
    pub fn observe(&mut self, measured: &[f32], prior: impl Fn(usize) -> f32) {
        let before = (self.past.len() >= self.horizon).then(|| self.past.pop_front()).flatten();
        let mut now = Vec::with_capacity(self.legs.len());
        for (to, leg) in self.legs.iter_mut().enumerate() {
            let value = measured.get(to).copied().filter(|value| value.is_finite() && *value > 0.0);
            let swing = match value {
                Some(value) if leg.count >= SETTLED => value.ln() - leg.level,
                _ => f32::NAN,
            };
            if let (Some(value), Some(past)) = (value, before.as_ref().map(|past| past[to])) {
                self.strength.learn(prior(to), past.mean, past.count, value);
                if swing.is_finite() && past.swing.is_finite() {
                    self.product += f64::from(swing * past.swing);
                    self.square += 0.5 * f64::from(swing * swing + past.swing * past.swing);
                    self.pairs += 1.0;
                }
            }
            if let Some(value) = value {
                leg.count = (leg.count + 1.0).min(MEMORY);
                if leg.count == 1.0 {
                    (leg.mean, leg.level) = (value, value.ln());
                }
                leg.mean += (value - leg.mean) / leg.count;
                leg.level += (value.ln() - leg.level) / leg.count;
                leg.last = value;
            }
            now.push(Past { count: leg.count, mean: leg.mean, swing });
        }
        self.past.push_back(now);
    }

    /// How much of a deviation from the average is left after the horizon, 0 to 1.
    pub fn persistence(&self) -> f32 {
        // eight imagined pairs without persistence
        let doubt = 8.0 * self.square / self.pairs.max(1.0);
        if self.square > 0.0 { (self.product / (self.square + doubt)).clamp(0.0, 1.0) as f32 } else { 0.0 }
    }

    /// How many samples the prior counts for.
    pub fn strength(&self) -> f32 {
        self.strength.best()
    }

    /// How often the leg was measured, as far as remembered.
    pub fn count(&self, to: usize) -> f32 {
        self.legs[to].count
    }

    /// Was the leg measured here, not only recalled?
    pub fn measured(&self, to: usize) -> bool {
        self.legs[to].last.is_finite()
    }

    /// The average of the leg without any prior; NaN where it was never measured.
    pub fn mean(&self, to: usize) -> f32 {
        self.legs[to].mean
    }

    /// The leg as it should be at the horizon; the prior where it was never measured.
    pub fn forecast(&self, to: usize, prior: f32) -> f32 {
        let leg = self.legs[to];
        let base = shrunk(prior, leg.mean, leg.count, self.strength());
        if leg.last.is_finite() { base + self.persistence() * (leg.last - base) } else { base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::Random;

    #[test]
    fn values_that_stay_are_trusted_and_noise_is_not() {
        let mut random = Random::new(3);
        let (mut slow, mut noise) = (Row::new(8, 4), Row::new(8, 4));
        let mut held = [100.0f32; 8];
        for round in 0..300 {
            let fresh: Vec<f32> = (0..8).map(|_| 50.0 + 200.0 * random.unit() as f32).collect();
            if round % 20 == 0 {
                held.copy_from_slice(&fresh);
            }
            slow.observe(&held, |_| 150.0);
            noise.observe(&fresh, |_| 150.0);
        }
        assert!(slow.persistence() > 0.6, "{}", slow.persistence());
        assert!(noise.persistence() < 0.15, "{}", noise.persistence());
        assert!((slow.forecast(0, 150.0) - held[0]).abs() < 50.0);
        assert!((noise.forecast(0, 150.0) - 150.0).abs() < 30.0);
    }

    #[test]
    fn the_strength_of_the_prior_follows_what_forecast_better() {
        let mut random = Random::new(4);
        let (mut steady, mut wild) = (Row::new(40, 1), Row::new(40, 1));
        for _ in 0..60 {
            let steady_values: Vec<f32> =
                (0..40).map(|i| 50.0 + 10.0 * i as f32 + random.unit() as f32).collect();
            steady.observe(&steady_values, |_| 245.0);
            let wild_values: Vec<f32> =
                (0..40).map(|_| if random.chance(0.05) { 3000.0 } else { 100.0 }).collect();
            wild.observe(&wild_values, |_| 245.0);
        }
        assert!(steady.strength() <= 4.0, "{}", steady.strength());
        assert!(wild.strength() >= 256.0, "{}", wild.strength());
    }
}
