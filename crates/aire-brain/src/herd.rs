//! What keeps many agents from chasing each other onto one relay.
//!
//! The other half is elsewhere: the load term saturates, reviews are jittered, leases are the hard bound.

use aire_types::{Instance, Path, Random, Ranked, RouteId, Snapshot};
use serde::{Deserialize, Serialize};

/// How an agent behaves as one of many. The default is the rule's; others are learned in a simulator, because only
/// there do the others' choices answer to one's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HerdTuning {
    /// Probability that an improvement is taken at one review, at most: agents that see the same change spread over
    /// several.
    pub migration: f64,
    /// The gain, as a share of the cost in use, from which on that probability is reached; below it falls in
    /// proportion. Moving less for less is what keeps choices on old news from swinging (Fischer, Räcke and Vöcking,
    /// "Fast convergence to Wardrop equilibria by adaptive sampling methods", STOC 2006). 0: always the whole.
    pub damping: f64,
    /// Costs this close, milliseconds, are the same cost.
    pub near_ms: f64,
    /// So are costs this close as a share of the lowest.
    pub near_share: f64,
    /// Factor on the cost of load.
    pub load: f64,
    /// Factor on the time without improvements after a change.
    pub dwell: f64,
}

impl Default for HerdTuning {
    fn default() -> Self {
        HerdTuning { migration: 0.5, damping: 0.0, near_ms: 2.0, near_share: 0.0, load: 1.0, dwell: 1.0 }
    }
}

impl HerdTuning {
    /// Minimum latency for oneself, at once: what herds.
    pub const SELFISH: HerdTuning =
        HerdTuning { migration: 1.0, damping: 0.0, near_ms: 0.0, near_share: 0.0, load: 0.0, dwell: 0.0 };

    /// Probability with which `gain` over a path that costs `cost` is taken at one review.
    fn probability(&self, gain: f64, cost: f64) -> f64 {
        let full = self.damping * cost.max(1.0);
        let share = if full > 0.0 { (gain / full).clamp(0.0, 1.0) } else { 1.0 };
        // never nothing: a propensity of 0 could not be learned from
        (self.migration * share).clamp(0.001, 1.0)
    }

    /// How close two costs may be to be one, where the lower is `cost`, milliseconds.
    fn near(&self, cost: f64) -> f64 {
        self.near_ms.max(self.near_share * cost)
    }
}

/// Adjusts what the policy ranked first, and returns the probability with which the result was chosen.
/// `settled`: the choice is older than the first measurements, so a better path is news that others hear as well.
pub(crate) fn temper(
    tuning: &HerdTuning,
    snapshot: &Snapshot,
    ranking: &mut [Ranked],
    settled: bool,
    random: &mut Random,
) -> f64 {
    let Some(first) = ranking.first().filter(|ranked| ranked.ineligible.is_none()) else { return 1.0 };
    let current = snapshot.current.as_ref().map(|(route, _)| route);
    if current == Some(&first.route) {
        return 1.0;
    }
    let in_use = ranking.iter().position(|r| r.ineligible.is_none() && Some(&r.route) == current);
    let mut propensity = 1.0;
    if let (Some(index), true) = (in_use, settled) {
        let moves = tuning.probability(ranking[index].cost - first.cost, ranking[index].cost);
        if random.unit() >= moves {
            ranking[..=index].rotate_right(1);
            return 1.0 - moves;
        }
        propensity = moves;
    }
    propensity * two_choices(tuning, snapshot, ranking, in_use, random)
}

/// Of the candidates that cost as little as the first, two are drawn and the less loaded one is taken
/// (Mitzenmacher 2001: nearly as even as asking all, and nobody is everybody's first).
fn two_choices(
    tuning: &HerdTuning,
    snapshot: &Snapshot,
    ranking: &mut [Ranked],
    in_use: Option<usize>,
    random: &mut Random,
) -> f64 {
    let first = &ranking[0];
    let hops = first.route.path.relays().len();
    let mut close = tuning.near(first.cost);
    if let Some(index) = in_use {
        // whatever is drawn keeps at least half of the gain
        close = close.min((ranking[index].cost - first.cost) / 2.0).max(0.0);
    }
    let near: Vec<usize> = (0..ranking.len())
        .filter(|index| Some(*index) != in_use)
        .filter(|index| {
            let ranked = &ranking[*index];
            let like = ranked.route.path.relays().len() == hops
                && (hops > 0 || *index == 0 || other_place(first, ranked));
            ranked.ineligible.is_none() && like && (ranked.cost - first.cost).abs() <= close
        })
        .collect();
    if near.len() < 2 {
        return 1.0;
    }
    let load = |index: usize| load_of(snapshot, &ranking[index].route);
    let better = |a: usize, b: usize| load(a).total_cmp(&load(b)).then(a.cmp(&b)).is_le();
    let a = random.below(near.len());
    let b = (a + 1 + random.below(near.len() - 1)) % near.len();
    let taken = if better(near[a], near[b]) { near[a] } else { near[b] };
    let beaten = near.iter().filter(|index| **index != taken && better(taken, **index)).count();
    let pairs = near.len() * (near.len() - 1) / 2;
    ranking[..=taken].rotate_right(1);
    beaten as f64 / pairs as f64
}

/// Of the paths that could stand by, the one drawn like [`two_choices`] among those that cost about as little as the
/// least: the agents whose relay fails must not all go to the same one.
pub(crate) fn standby<'a>(
    tuning: &HerdTuning,
    snapshot: &Snapshot,
    usable: &[(f64, &'a Path)],
    instance: &Instance,
    random: &mut Random,
) -> Option<&'a Path> {
    let least = usable.iter().map(|(cost, _)| *cost).fold(f64::INFINITY, f64::min);
    let near: Vec<&(f64, &Path)> =
        usable.iter().filter(|(cost, _)| cost - least <= tuning.near(least)).collect();
    if near.len() < 2 {
        return usable.iter().find(|(cost, _)| *cost <= least).map(|(_, path)| *path);
    }
    let load = |path: &Path| load_of(snapshot, &RouteId { instance: instance.clone(), path: path.clone() });
    let a = random.below(near.len());
    let b = (a + 1 + random.below(near.len() - 1)) % near.len();
    Some(if load(near[a].1) <= load(near[b].1) { near[a].1 } else { near[b].1 })
}

fn other_place(a: &Ranked, b: &Ranked) -> bool {
    a.route.instance != b.route.instance
}

fn load_of(snapshot: &Snapshot, route: &RouteId) -> f64 {
    let found = snapshot.candidates.binary_search_by(|candidate| candidate.route.cmp(route));
    found.map_or(1.0, |index| snapshot.candidates[index].load)
}
