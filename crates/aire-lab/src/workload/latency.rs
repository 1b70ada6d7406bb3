use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Quantiles of measured delays, milliseconds. All zero when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// How many were measured.
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl LatencySummary {
    /// Sums up; a percentile is the least value that at least so many do not exceed.
    pub fn of(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return Self::default() };
        let ms = |value: Duration| value.as_secs_f64() * 1000.0;
        let at = |share: f64| {
            let rank = (values.len() as f64 * share).ceil() as usize;
            ms(values[rank.clamp(1, values.len()) - 1])
        };
        LatencySummary {
            count: values.len() as u64,
            mean: ms(values.iter().sum::<Duration>()) / values.len() as f64,
            min: ms(*first),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: ms(*last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_hundred() {
        let summary = LatencySummary::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!((summary.min, summary.p50, summary.p99, summary.max), (1.0, 50.0, 99.0, 100.0));
        assert_eq!(summary.count, 100);
        assert!((summary.mean - 50.5).abs() < 1e-9);
        assert_eq!(LatencySummary::of(Vec::new()), LatencySummary::default());
    }
}
