//! Relay sets chosen by coverage: each next relay is the one that adds most to what the chosen ones already gain.
//!
//! The objective is monotone and submodular, so greedy choice reaches at least 1 − 1/e of the best set (Nemhauser, Wolsey,
//! Fisher 1978).

use aire_types::Random;

use super::{Claims, Join};

/// Pairs of at most so many nodes are looked at: coverage of a sample says enough about all.
const SAMPLE: usize = 96;

/// The `count` of `relays` that together gain most between pairs of a sample of `nodes`, best first.
pub fn landmarks(
    claims: &impl Claims,
    join: Join,
    nodes: &[usize],
    relays: &[usize],
    count: usize,
    random: &mut Random,
) -> Vec<usize> {
    let mut sample = nodes.to_vec();
    for at in 0..sample.len().min(SAMPLE) {
        let other = at + random.below(sample.len() - at);
        sample.swap(at, other);
    }
    sample.truncate(SAMPLE);
    let pairs: Vec<(usize, usize)> = sample
        .iter()
        .flat_map(|from| sample.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from != to && claims.leg(*from, *to).is_finite())
        .collect();
    greedy(claims, join, &pairs, relays, count)
}

fn greedy(
    claims: &impl Claims,
    join: Join,
    pairs: &[(usize, usize)],
    relays: &[usize],
    count: usize,
) -> Vec<usize> {
    let worth = |relay: usize, from: usize, to: usize| {
        let usable = relay != from && relay != to;
        if usable { join.path(claims.leg(from, relay), claims.leg(relay, to)) } else { f32::NAN }
    };
    // gains are weighed in the unit of the legs, so that a long pair counts more than a short one, as it does for users
    let gain = |best: f32, path: f32| match join {
        Join::Sum => (best - path).max(0.0),
        Join::Least => (path - best).max(0.0),
    };
    let mut best: Vec<f32> = pairs.iter().map(|(from, to)| claims.leg(*from, *to)).collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    // lazy greedy: a relay's gain never grows, so the last figure is a bound
    let mut bounds: Vec<(f64, usize, usize)> =
        relays.iter().map(|relay| (f64::INFINITY, *relay, 0)).collect();
    while chosen.len() < count && !bounds.is_empty() {
        let top = (0..bounds.len())
            .max_by(|a, b| bounds[*a].0.total_cmp(&bounds[*b].0).then(bounds[*b].1.cmp(&bounds[*a].1)));
        let Some(top) = top else { break };
        let (bound, relay, at) = bounds[top];
        if at == chosen.len() && bound.is_finite() {
            bounds.swap_remove(top);
            chosen.push(relay);
            for (best, (from, to)) in best.iter_mut().zip(pairs) {
                let path = worth(relay, *from, *to);
                if gain(*best, path) > 0.0 {
                    *best = path;
                }
            }
            continue;
        }
        let sum = best
            .iter()
            .zip(pairs)
            .map(|(best, (from, to))| f64::from(gain(*best, worth(relay, *from, *to))))
            .filter(|gain| gain.is_finite())
            .sum();
        bounds[top] = (sum, relay, chosen.len());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relays::Legs;

    /// Two clusters with a slow border; node 0 is near both sides, node 1 a little less.
    fn clusters(nodes: usize) -> Legs {
        let mut legs = Legs::unknown(nodes);
        for i in 0..nodes {
            for j in (0..nodes).filter(|j| *j != i) {
                let hub = i.min(j);
                let across = (i % 2) != (j % 2);
                let value = match hub {
                    0 => 20.0,
                    1 => 25.0,
                    _ if across => 200.0,
                    _ => 10.0,
                };
                legs.set(i, j, value);
            }
        }
        legs
    }

    #[test]
    fn hubs_come_first_and_more_never_cover_less() {
        let (legs, all) = (clusters(30), (0..30).collect::<Vec<_>>());
        let chosen = landmarks(&legs, Join::Sum, &all, &all, 4, &mut Random::new(1));
        assert_eq!(chosen[0], 0);
        assert_eq!(chosen.len(), 4);
    }

    #[test]
    fn nothing_known_still_ends() {
        let legs = Legs::unknown(5);
        let all: Vec<usize> = (0..5).collect();
        let chosen = landmarks(&legs, Join::Least, &all, &all, 3, &mut Random::new(1));
        assert_eq!(chosen.len(), 3);
    }
}
