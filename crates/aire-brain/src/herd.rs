//! What keeps many agents from chasing each other onto one relay.
//!
//! The other half is elsewhere: the load term saturates, reviews are jittered, leases are the hard bound.

use std::time::Duration;

use aire_types::{Candidate, Instance, Path, Random, Ranked, RouteId, Snapshot, Time};
use serde::{Deserialize, Serialize};

/// How an agent behaves as one of many. The default is the rule's; others are learned in a simulator, because only
/// there do the others' choices answer to one's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HerdTuning {
    /// Probability that an improvement is taken at one review while the path in use is what it was: agents that see the
    /// same change spread over many. All others see the same better relay, and what they know of its load is old, so
    /// that whoever hurries finds it full.
    pub pull: f64,
    /// The same for an agent that was lately under strain itself, because it is then not alone. Between the two it
    /// forgets, by half every five minutes.
    pub wary: f64,
    /// The same while the path in use is under strain: who stands in a queue should not wait for it as long.
    pub push: f64,
    /// Strain from which on [`HerdTuning::push`] is reached; between none and it, the probability grows with its
    /// square, because a little waiting is what a well used path has.
    /// Strain is the share of the round trip that is waiting, or twenty times the loss where that is more.
    pub strain: f64,
    /// Costs this close, milliseconds, are the same cost.
    pub near_ms: f64,
    /// So are costs this close as a share of the lowest, where the cheapest relay is fully loaded, or where the path in
    /// use is under as much strain as can be: whoever is pushed is not alone. With less of both it is less.
    pub near_share: f64,
    /// Factor on the cost of load.
    pub load: f64,
    /// Factor on the time without improvements after a change.
    pub dwell: f64,
}

impl Default for HerdTuning {
    fn default() -> Self {
        HerdTuning {
            pull: 0.5,
            wary: 0.5,
            push: 0.5,
            strain: 0.3,
            near_ms: 2.0,
            near_share: 0.0,
            load: 1.0,
            dwell: 1.0,
        }
    }
}

/// The least probability of a move.
const LEAST: f64 = 0.0005;
/// Half of the memory of a crowd is gone after this.
const HALF_LIFE: Duration = Duration::from_secs(300);

/// What an agent remembers of having been one of many: 0 nothing, 1 all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Crowd {
    felt: f64,
    at: Time,
}

impl Crowd {
    /// Takes the strain of the path in use in, and says how much of a crowd is remembered.
    pub(crate) fn feel(&mut self, tuning: &HerdTuning, snapshot: &Snapshot) -> f64 {
        let passed = snapshot.at.since(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        // what was never measured says nothing of others: at first every agent is on such a path
        let measured = used(snapshot).filter(|used| used.is_none_or(|used| used.rtt_ms.count > 0));
        let strained = measured.map_or(0.0, |used| tuning.strained(used));
        self.felt = (self.felt * (-passed).exp2()).max(strained * strained);
        self.at = snapshot.at;
        self.felt
    }
}

/// The candidate in use: nothing where nothing is, and nothing in it where it cannot be used any more.
fn used(snapshot: &Snapshot) -> Option<Option<&Candidate>> {
    let (route, _) = snapshot.current.as_ref()?;
    Some(candidate(snapshot, route).filter(|used| used.ineligible.is_none()))
}

/// Loss that makes a path as strained as one whose round trip is nothing but waiting.
const STRAINED_LOSS: f64 = 0.05;

/// The share of the round trip that is waiting, or what loss amounts to; 0 to 1.
fn strain_of(candidate: &Candidate) -> f64 {
    let rtt = candidate.rtt_ms.value.max(1e-3);
    let waiting = 1.0 - candidate.base_ms.min(rtt) / rtt;
    let loss = candidate.loss.value / STRAINED_LOSS;
    if candidate.rtt_ms.count == 0 { 1.0 } else { waiting.max(loss).clamp(0.0, 1.0) }
}

impl HerdTuning {
    /// Minimum latency for oneself, at once: what herds.
    pub const SELFISH: HerdTuning = HerdTuning {
        pull: 1.0,
        wary: 1.0,
        push: 1.0,
        strain: 1.0,
        near_ms: 0.0,
        near_share: 0.0,
        load: 0.0,
        dwell: 0.0,
    };

    /// What the simulator's learner found best for many agents: `cargo xtask sim learn`.
    pub const LEARNED: HerdTuning = HerdTuning {
        pull: 0.17,
        wary: 0.001,
        push: 0.16,
        strain: 0.21,
        near_ms: 2.0,
        near_share: 0.47,
        load: 3.3,
        dwell: 0.23,
    };

    /// Probability with which the path `used` is left for a better one at one review, by an agent that feels this much
    /// of a crowd.
    fn probability(&self, used: Option<&Candidate>, crowd: f64) -> f64 {
        let strained = self.strained(used);
        let (alone, wary) = (self.pull.max(LEAST), self.wary.max(LEAST));
        let calm = alone * (wary / alone).powf(crowd);
        // never nothing: a propensity of 0 could not be learned from
        (calm + (self.push - calm) * strained * strained).clamp(LEAST, 1.0)
    }

    /// 0 to 1, where 1 is as much strain as counts; a path that cannot be used is under all of it.
    fn strained(&self, used: Option<&Candidate>) -> f64 {
        used.map_or(1.0, |used| strain_of(used) / self.strain.max(1e-3)).min(1.0)
    }

    /// How close two costs may be to be one, where the lower is `cost`, milliseconds; `crowd` is 0 to 1.
    fn near(&self, cost: f64, crowd: f64) -> f64 {
        self.near_ms.max(self.near_share * cost * crowd)
    }
}

/// Adjusts what the policy ranked first, and returns the probability with which the result was chosen.
/// `crowd` is [`Crowd::feel`]'s. `settled`: the choice is older than the first measurements, so a better path is news that others hear as well.
pub(crate) fn temper(
    tuning: &HerdTuning,
    crowd: f64,
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
        let moves = tuning.probability(candidate(snapshot, &ranking[index].route), crowd);
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
    let pushed = used(snapshot).map_or(0.0, |used| tuning.strained(used));
    let mut close = tuning.near(first.cost, pushed.max(load_of(snapshot, &first.route)));
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
        usable.iter().filter(|(cost, _)| cost - least <= tuning.near(least, 1.0)).collect();
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

fn candidate<'a>(snapshot: &'a Snapshot, route: &RouteId) -> Option<&'a Candidate> {
    let found = snapshot.candidates.binary_search_by(|candidate| candidate.route.cmp(route));
    found.ok().map(|index| &snapshot.candidates[index])
}

fn load_of(snapshot: &Snapshot, route: &RouteId) -> f64 {
    candidate(snapshot, route).map_or(1.0, |candidate| candidate.load)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aire_types::{AppName, Estimate, NodeName};

    fn used(rtt: f64, base: f64, loss: f64) -> Candidate {
        let instance = Instance { app: AppName::new("a").unwrap(), node: NodeName::new("n").unwrap() };
        let estimate = |value| Estimate { value, count: 10, ..Estimate::default() };
        Candidate {
            route: RouteId { instance, path: Path::DIRECT },
            rtt_ms: estimate(rtt),
            tail_ms: rtt,
            base_ms: base,
            loss: estimate(loss),
            bandwidth_mbps: Estimate::default(),
            load: 0.0,
            risk: 0.0,
            leased: false,
            ineligible: None,
            prior_ms: None,
        }
    }

    #[test]
    fn a_queue_pushes_and_a_calm_path_does_not() {
        let tuning = HerdTuning { pull: 0.02, wary: 0.002, push: 0.4, strain: 0.4, ..HerdTuning::default() };
        let of = |candidate: Candidate| tuning.probability(Some(&candidate), 0.0);
        assert!((of(used(100.0, 100.0, 0.0)) - 0.02).abs() < 1e-9);
        assert!(of(used(110.0, 100.0, 0.002)) < 0.05);
        assert!((of(used(300.0, 100.0, 0.0)) - 0.4).abs() < 1e-9);
        assert!((of(used(100.0, 100.0, 0.05)) - 0.4).abs() < 1e-9);
        assert!((tuning.probability(None, 0.0) - 0.4).abs() < 1e-9);
        assert!((tuning.probability(Some(&used(100.0, 100.0, 0.0)), 1.0) - 0.002).abs() < 1e-9);
        let rule = HerdTuning::default();
        assert_eq!(rule.probability(Some(&used(300.0, 100.0, 0.0)), 1.0), 0.5);
        assert_eq!(rule.probability(Some(&used(100.0, 100.0, 0.0)), 0.0), 0.5);
    }

    #[test]
    fn choices_spread_where_there_is_a_crowd() {
        let tuning = HerdTuning { near_share: 0.4, ..HerdTuning::default() };
        assert_eq!(tuning.near(100.0, 0.0), 2.0);
        assert_eq!(tuning.near(100.0, 1.0), 40.0);
        assert_eq!(HerdTuning::default().near(100.0, 1.0), 2.0);
    }
}
