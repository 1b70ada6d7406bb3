//! What keeps many agents from chasing each other onto one relay.
//!
//! The other half is elsewhere: the load term saturates, reviews are jittered, leases are the hard bound.

use aire_types::{Random, Ranked, RouteId, Snapshot};

/// Costs this close, milliseconds, are the same cost.
const NEAR_MS: f64 = 2.0;
/// Probability that an improvement is taken at one review: agents that see the same change spread over several.
const MOVE: f64 = 0.5;

/// Adjusts what the policy ranked first, and returns the probability with which the result was chosen.
/// `settled`: the choice is older than the first measurements, so a better path is news that others hear as well.
pub(crate) fn temper(snapshot: &Snapshot, ranking: &mut [Ranked], settled: bool, random: &mut Random) -> f64 {
    let Some(first) = ranking.first().filter(|ranked| ranked.ineligible.is_none()) else { return 1.0 };
    let current = snapshot.current.as_ref().map(|(route, _)| route);
    if current == Some(&first.route) {
        return 1.0;
    }
    let in_use = ranking.iter().position(|r| r.ineligible.is_none() && Some(&r.route) == current);
    let mut propensity = 1.0;
    if let (Some(index), true) = (in_use, settled) {
        if random.unit() >= MOVE {
            ranking[..=index].rotate_right(1);
            return 1.0 - MOVE;
        }
        propensity = MOVE;
    }
    propensity * two_choices(snapshot, ranking, in_use, random)
}

/// Of the candidates that cost as little as the first, two are drawn and the less loaded one is taken
/// (Mitzenmacher 2001: nearly as even as asking all, and nobody is everybody's first).
fn two_choices(
    snapshot: &Snapshot,
    ranking: &mut [Ranked],
    in_use: Option<usize>,
    random: &mut Random,
) -> f64 {
    let first = &ranking[0];
    let hops = first.route.path.relays().len();
    let near: Vec<usize> = (0..ranking.len())
        .filter(|index| Some(*index) != in_use)
        .filter(|index| {
            let ranked = &ranking[*index];
            let like = ranked.route.path.relays().len() == hops
                && (hops > 0 || *index == 0 || other_place(first, ranked));
            ranked.ineligible.is_none() && like && (ranked.cost - first.cost).abs() <= NEAR_MS
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

fn other_place(a: &Ranked, b: &Ranked) -> bool {
    a.route.instance != b.route.instance
}

fn load_of(snapshot: &Snapshot, route: &RouteId) -> f64 {
    let found = snapshot.candidates.binary_search_by(|candidate| candidate.route.cmp(route));
    found.map_or(1.0, |index| snapshot.candidates[index].load)
}
