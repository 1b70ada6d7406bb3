//! What is counted of a run.

/// Buckets of 4 % from 0.5 ms on: the last one begins above half a minute.
const BUCKETS: usize = 282;
const LOWEST_MS: f64 = 0.5;
const GROWTH: f64 = 1.04;

/// Latencies in buckets of 4 %, each with its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    weights: Vec<f64>,
    sum: f64,
    total: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { weights: vec![0.0; BUCKETS], sum: 0.0, total: 0.0 }
    }
}

impl Histogram {
    /// Adds one value, milliseconds.
    pub fn add(&mut self, ms: f64, weight: f64) {
        let bucket = ((ms / LOWEST_MS).max(1.0).ln() / GROWTH.ln()) as usize;
        self.weights[bucket.min(BUCKETS - 1)] += weight;
        self.sum += ms * weight;
        self.total += weight;
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: &Histogram) {
        self.weights.iter_mut().zip(&other.weights).for_each(|(mine, theirs)| *mine += theirs);
        self.sum += other.sum;
        self.total += other.total;
    }

    /// Mean, milliseconds; 0 where nothing was added.
    pub fn mean(&self) -> f64 {
        if self.total > 0.0 { self.sum / self.total } else { 0.0 }
    }

    /// The value below which `share` of the weight lies, milliseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut left = share * self.total;
        for (bucket, weight) in self.weights.iter().enumerate() {
            left -= weight;
            if left <= 0.0 && *weight > 0.0 {
                return LOWEST_MS * GROWTH.powf(bucket as f64 + 0.5);
            }
        }
        LOWEST_MS * GROWTH.powf(BUCKETS as f64)
    }
}

/// What one agent, or all together, did and saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// Latencies of requests, weighted by what their flow wanted to send.
    pub latency: Histogram,
    /// Megabits that applications wanted to send.
    pub wanted: f64,
    /// Megabits that were sent.
    pub sent: f64,
    /// Megabits that arrived.
    pub arrived: f64,
    /// Changes of path.
    pub moves: u64,
    /// Probes sent.
    pub probes: u64,
    /// Probes lost.
    pub probes_lost: u64,
    /// Megabit-seconds that waited on dead paths, as seconds of flows.
    pub dead_s: f64,
}

impl Meter {
    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Meter) {
        self.latency.merge(&other.latency);
        self.wanted += other.wanted;
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.moves += other.moves;
        self.probes += other.probes;
        self.probes_lost += other.probes_lost;
        self.dead_s += other.dead_s;
    }

    /// Share of what was sent that was lost.
    pub fn loss(&self) -> f64 {
        if self.sent > 0.0 { 1.0 - self.arrived / self.sent } else { 0.0 }
    }

    /// Share of what applications wanted that arrived.
    pub fn goodput(&self) -> f64 {
        if self.wanted > 0.0 { self.arrived / self.wanted } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_bucket() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.add(f64::from(ms), 1.0));
        assert!((histogram.quantile(0.5) / 500.0 - 1.0).abs() < 0.05);
        assert!((histogram.quantile(0.99) / 990.0 - 1.0).abs() < 0.05);
        assert!((histogram.mean() - 500.5).abs() < 1e-6);
    }
}
