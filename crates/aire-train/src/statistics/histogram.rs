/// Counts of positive numbers in steps of a thousandth, so that quantiles of any amount of numbers take bounded memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    counts: Vec<u64>,
    all: u64,
}

const STEP: f64 = 1.001;
const LEAST: f64 = 1e-3;
/// Up to 10⁷ times and more above [`LEAST`].
const BINS: usize = 25_000;

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BINS], all: 0 }
    }
}

impl Histogram {
    /// Counts one number; what is below a thousandth counts as that.
    pub fn add(&mut self, value: f64) {
        let bin = ((value.max(LEAST) / LEAST).ln() / STEP.ln()) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
        self.all += 1;
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.all += other.all;
    }

    /// The least number that a share `q` (0 to 1) of the numbers does not exceed, right to a thousandth; NaN of nothing.
    pub fn quantile(&self, q: f64) -> f64 {
        if self.all == 0 {
            return f64::NAN;
        }
        let rank = ((q * self.all as f64).ceil() as u64).clamp(1, self.all);
        let mut seen = 0;
        for (bin, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return LEAST * STEP.powf(bin as f64 + 0.5);
            }
        }
        f64::NAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 1e-3
    }

    #[test]
    fn quantiles_are_right_to_a_thousandth() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        (1..=50).for_each(|n| low.add(f64::from(n)));
        (51..=100).for_each(|n| high.add(f64::from(n)));
        low.merge(&high);
        for (q, is) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            assert!(near(low.quantile(q), is), "{q}: {}", low.quantile(q));
        }
        assert!(Histogram::default().quantile(0.5).is_nan());
        low.add(0.0);
        low.add(1e30);
    }
}
