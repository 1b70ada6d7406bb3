//! How traffic spreads over several ways, second by second.

use serde::Deserialize;
use serde_json::{Value, json};

/// Shares are those of so many seconds, so that single packets decide nothing.
const WINDOW: usize = 5;
/// Shares that differ by no more than this from one window to the next are the same.
const STEADY: f64 = 0.15;

/// Ways between which traffic can choose. Its report is found under its name, like that of a workload.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Its name.
    pub name: String,
    /// Each `A->B`.
    pub ways: Vec<String>,
    /// What the figures are of: this many seconds after time zero and later.
    #[serde(default)]
    pub since: f64,
}

impl Watch {
    /// Its ways, from and to.
    pub(super) fn ends(&self) -> Result<Vec<(&str, &str)>, String> {
        let parse = |way: &'_ String| -> Result<(usize, usize), String> {
            let at = way.find("->").ok_or_else(|| format!("way '{way}' is not A->B"))?;
            Ok((at, at + 2))
        };
        self.ways
            .iter()
            .map(|way| parse(way).map(|(end, begin)| (way[..end].trim(), way[begin..].trim())))
            .collect()
    }

    /// Figures of bytes that had arrived on each way after each second.
    ///
    /// `busiest`: the largest share of one way in five seconds, as a multiple of an even share. `amplitude`: the 95th minus
    /// the 5th percentile of the share of the way that swings most. `settled_s`: how long after `since` no share moved by
    /// more than 0.15 from one five seconds to the next any more. `bytes`: all that arrived; where nothing did, there are no
    /// other figures.
    pub(super) fn report(&self, samples: &[Vec<u64>]) -> Value {
        let first = (self.since.max(0.0) as usize).min(samples.len().saturating_sub(1));
        let shares: Vec<Vec<f64>> = samples[first..].windows(WINDOW + 1).map(shares).collect();
        let total = |sample: Option<&Vec<u64>>| sample.map_or(0, |sample| sample.iter().sum::<u64>());
        let bytes = total(samples.last()).saturating_sub(total(samples.get(first)));
        if bytes == 0 {
            return json!({ "bytes": 0, "seconds": samples.len() });
        }
        let count = self.ways.len() as f64;
        let busiest = shares.iter().flatten().copied().fold(0.0, f64::max) * count;
        let amplitude = (0..self.ways.len()).map(|way| swing(&shares, way)).fold(0.0, f64::max);
        let moved = |at: usize| {
            let ways = shares[at].iter().zip(&shares[at + WINDOW]);
            ways.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) > STEADY
        };
        let last = (0..shares.len().saturating_sub(WINDOW)).rev().find(|at| moved(*at));
        let settled = last.map_or(0, |at| at + WINDOW + 1);
        json!({ "bytes": bytes, "busiest": busiest, "amplitude": amplitude, "settled_s": settled, "seconds": samples.len(), "shares": shares })
    }
}

/// The share of each way in what arrived between the first and the last sample.
fn shares(window: &[Vec<u64>]) -> Vec<f64> {
    let (Some(first), Some(last)) = (window.first(), window.last()) else { return Vec::new() };
    let bytes: Vec<f64> = first.iter().zip(last).map(|(a, b)| b.saturating_sub(*a) as f64).collect();
    let all: f64 = bytes.iter().sum();
    bytes.iter().map(|bytes| bytes / all.max(1.0)).collect()
}

fn swing(shares: &[Vec<f64>], way: usize) -> f64 {
    let mut own: Vec<f64> = shares.iter().map(|shares| shares[way]).collect();
    own.sort_by(f64::total_cmp);
    let at = |share: usize| own.get(own.len().saturating_sub(1) * share / 100).copied().unwrap_or(0.0);
    at(95) - at(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(since: f64) -> Watch {
        Watch { name: "w".to_owned(), ways: vec!["a->c".to_owned(), "b -> c".to_owned()], since }
    }

    #[test]
    fn traffic_that_swings_is_told_from_traffic_that_settles() {
        assert_eq!(watch(0.0).ends(), Ok(vec![("a", "c"), ("b", "c")]));
        // ten seconds all on the one way, ten on the other, then even
        let mut total = [0u64, 0];
        let samples: Vec<Vec<u64>> = (0..60)
            .map(|second| {
                total[0] += if second < 10 {
                    100
                } else if second < 20 {
                    0
                } else {
                    50
                };
                total[1] += if second < 10 {
                    0
                } else if second < 20 {
                    100
                } else {
                    50
                };
                total.to_vec()
            })
            .collect();
        let all = watch(0.0).report(&samples);
        assert_eq!((all["busiest"].as_f64(), all["amplitude"].as_f64()), (Some(2.0), Some(1.0)));
        let settled = all["settled_s"].as_u64().unwrap();
        assert!((20..=26).contains(&settled), "{settled}");
        let late = watch(30.0).report(&samples);
        assert_eq!((late["busiest"].as_f64(), late["settled_s"].as_u64()), (Some(1.0), Some(0)));
        assert_eq!(late["bytes"].as_u64(), Some(2900));
        for idle in [&[][..], &[vec![7, 7], vec![7, 7]]] {
            let idle = watch(0.0).report(idle);
            assert!(
                idle["bytes"] == 0 && idle.get("busiest").is_none(),
                "what nobody used is not spread well"
            );
        }
    }
}
