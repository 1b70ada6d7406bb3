//! What a grid of throughputs is like: how uneven, and what one relay gains where the tighter leg sets the pace.

use super::pairs::{off_diagonal, quantile};

/// The rows of the table of one n×n matrix, row-major, megabits a second, NaN where missing.
pub fn throughput_rows(mbps: &[f32], nodes: usize) -> Vec<(&'static str, f64)> {
    let mut present: Vec<f64> = off_diagonal(mbps, nodes).collect();
    present.sort_by(f64::total_cmp);
    let (mut gains, mut triples, mut better) = (Vec::new(), 0u64, 0u64);
    for at in (0..nodes * nodes).filter(|at| at / nodes != at % nodes) {
        let (from, to, direct) = (at / nodes, at % nodes, mbps[at]);
        if direct.is_nan() || direct <= 0.0 {
            continue;
        }
        let mut best = direct;
        for relay in (0..nodes).filter(|relay| *relay != from && *relay != to) {
            let (first, second) = (mbps[from * nodes + relay], mbps[relay * nodes + to]);
            if first.is_finite() && second.is_finite() {
                triples += 1;
                better += u64::from(first.min(second) > direct);
                best = best.max(first.min(second));
            }
        }
        gains.push(f64::from(best / direct));
    }
    gains.sort_by(f64::total_cmp);
    let share = |least: f64| gains.iter().filter(|gain| **gain > least).count() as f64 / gains.len() as f64;
    let cells = nodes * nodes.saturating_sub(1);
    vec![
        ("nodes", nodes as f64),
        ("missing, share", 1.0 - present.len() as f64 / cells as f64),
        ("1st percentile of pairs, Mbit/s", quantile(&present, 0.01)),
        ("10th percentile of pairs, Mbit/s", quantile(&present, 0.1)),
        ("median of pairs, Mbit/s", quantile(&present, 0.5)),
        ("90th percentile of pairs, Mbit/s", quantile(&present, 0.9)),
        ("relay faster than direct, share of triples", better as f64 / triples as f64),
        ("pairs with a relay faster by 10 %, share", share(1.1)),
        ("pairs with a relay twice as fast, share", share(2.0)),
        ("best relay's factor, median", quantile(&gains, 0.5)),
        ("best relay's factor, 90th percentile", quantile(&gains, 0.9)),
    ]
}
