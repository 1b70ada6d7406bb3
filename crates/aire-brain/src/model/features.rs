//! What the network sees of one candidate: figures relative to direct, without names and without units.
//!
//! A figure that depends on who somebody is would be learned by heart and be worthless elsewhere; one in milliseconds would
//! bind the network to the distances of the meshes it was trained on. Training and agents call the same code.

use aire_types::{Candidate, Class, Estimate, Snapshot, fnv};

use crate::cost::{Scorer, Terms};

/// How many features there are.
pub const COUNT: usize = 32;

/// The schema: the features' names in the order in which the network takes them. `direct_*` are of the direct path to the same
/// instance, and times are in units of its average round trip.
pub const NAMES: [&str; COUNT] = [
    "gain",
    "gain_of_lowest",
    "gain_of_tail",
    "direct_deviation",
    "deviation",
    "direct_excess",
    "excess",
    "direct_above_lowest",
    "above_lowest",
    "direct_count",
    "count",
    "direct_age",
    "age",
    "direct_loss",
    "loss",
    "direct_waits",
    "waits",
    "prior_gain",
    "prior_known",
    "above_prior",
    "relays",
    "load",
    "in_use",
    "direct_in_use",
    "lead",
    "share_faster",
    "rivals",
    "certainty",
    "bandwidth_gain",
    "bandwidth_known",
    "bulk",
    "critical",
];

/// Names the schema: FNV-1a (64 bits) over the features' names, each followed by a line feed.
pub const SCHEMA_HASH: u64 = schema_hash();

const fn schema_hash() -> u64 {
    let (mut hash, mut name) = (fnv::OFFSET, 0);
    while name < COUNT {
        hash = fnv::extend(fnv::extend(hash, NAMES[name].as_bytes()), b"\n");
        name += 1;
    }
    hash
}

/// Gains below this are all the same: nobody wants such a path.
const WORST_GAIN: f64 = -4.0;
/// A path that promises less is not worth asking about: the rule's figures settle it.
const HOPELESS: f64 = -0.75;
/// Deviations and excesses are cut here.
const MOST: f64 = 8.0;

/// What the network is asked about one candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The features, in the order of [`NAMES`], not normalised.
    pub features: [f32; COUNT],
    /// Gain over direct that the averages promise: (direct − candidate) / direct, of round trips. What the network
    /// answers is added to it.
    pub gain: f32,
    /// Standard error of that gain as the rule sees it, in the same unit.
    pub spread: f32,
}

/// Turns the candidates to one instance into questions. Allocates nothing.
#[derive(Clone, Debug)]
pub struct Asker<'a> {
    snapshot: &'a Snapshot,
    direct: &'a Candidate,
    group: &'a [Candidate],
    direct_error: f64,
    scale: f64,
    /// Lowest and second lowest average of the group, milliseconds.
    best: [f64; 2],
    measured: usize,
    of_direct: OfDirect,
}

/// Features of the direct path that all candidates share.
#[derive(Clone, Copy, Debug)]
struct OfDirect {
    deviation: f64,
    excess: f64,
    above_lowest: f64,
    count: f64,
    age: f64,
    in_use: bool,
}

impl<'a> Asker<'a> {
    /// For `group`, all candidates of `snapshot` to one instance. `None` where direct was not measured: then there is nothing
    /// to be better than.
    pub fn new(snapshot: &'a Snapshot, scorer: &Scorer<'_>, group: &'a [Candidate]) -> Option<Self> {
        let direct = group.iter().find(|candidate| candidate.route.path.is_direct())?;
        let rtt = direct.rtt_ms;
        if rtt.count == 0 || !rtt.value.is_finite() || rtt.value <= 0.0 {
            return None;
        }
        let scale = 1.0 / rtt.value;
        let (mut best, mut measured) = ([f64::INFINITY; 2], 0);
        for candidate in group.iter().filter(|candidate| is_open(candidate)) {
            measured += 1;
            let value = candidate.rtt_ms.value;
            if value < best[0] {
                best = [value, best[0]];
            } else if value < best[1] {
                best[1] = value;
            }
        }
        let of_direct = OfDirect {
            deviation: (rtt.deviation * scale).clamp(0.0, MOST),
            excess: ((direct.tail_ms - rtt.value) * scale).clamp(0.0, MOST),
            above_lowest: ((rtt.value - direct.base_ms) * scale).clamp(0.0, 1.0),
            count: counted(rtt.count),
            age: age(snapshot, &rtt),
            in_use: is_in_use(snapshot, direct),
        };
        let direct_error = scorer.terms(direct).error;
        Some(Asker { snapshot, direct, group, direct_error, scale, best, measured, of_direct })
    }

    /// The direct path.
    pub fn direct(&self) -> &'a Candidate {
        self.direct
    }

    /// Milliseconds that a gain of 1 is worth: direct's average round trip.
    pub fn unit_ms(&self) -> f64 {
        self.direct.rtt_ms.value
    }

    /// What to ask about `candidate`, whose costs as the rule sees them are `terms`. `None` for direct itself, for what cannot be used,
    /// was not measured, and for what is hopeless.
    pub fn ask(&self, candidate: &Candidate, terms: &Terms) -> Option<Question> {
        if candidate.route.path.is_direct() || !is_open(candidate) {
            return None;
        }
        let rtt = &candidate.rtt_ms;
        let gain = 1.0 - rtt.value * self.scale;
        if gain < HOPELESS {
            return None;
        }
        let spread = self.direct_error.hypot(terms.error) * self.scale;
        let features = self.features(candidate, gain, spread);
        Some(Question { features, gain: gain as f32, spread: spread as f32 })
    }

    /// Gain over direct, and its standard error, as the rule sees them, for every candidate that was measured but direct itself.
    pub fn by_rule(&self, candidate: &Candidate, terms: &Terms) -> Option<(f64, f64)> {
        let asked = !candidate.route.path.is_direct() && is_open(candidate);
        asked.then(|| {
            let spread = self.direct_error.hypot(terms.error) * self.scale;
            (1.0 - candidate.rtt_ms.value * self.scale, spread)
        })
    }

    fn features(&self, candidate: &Candidate, gain: f64, spread: f64) -> [f32; COUNT] {
        let (direct, of_direct, scale) = (self.direct, &self.of_direct, self.scale);
        let rtt = &candidate.rtt_ms;
        let prior = candidate.prior_ms.filter(|prior| prior.value.is_finite() && prior.value > 0.0);
        let relative = |prior: Estimate| (1.0 - prior.value * scale).clamp(WORST_GAIN, 1.0);
        let rival = if rtt.value <= self.best[0] { self.best[1] } else { self.best[0] };
        let faster = self.group.iter().filter(|other| is_open(other) && other.rtt_ms.value < rtt.value);
        let both = candidate.bandwidth_mbps.count > 0 && direct.bandwidth_mbps.count > 0;
        let ratio = candidate.bandwidth_mbps.value.max(0.01) / direct.bandwidth_mbps.value.max(0.01);
        [
            gain.max(WORST_GAIN),
            ((direct.base_ms - candidate.base_ms) * scale).clamp(WORST_GAIN, 1.0),
            ((direct.tail_ms - candidate.tail_ms) * scale).clamp(-MOST, MOST),
            of_direct.deviation,
            (rtt.deviation * scale).clamp(0.0, MOST),
            of_direct.excess,
            ((candidate.tail_ms - rtt.value) * scale).clamp(0.0, MOST),
            of_direct.above_lowest,
            ((rtt.value - candidate.base_ms) * scale).clamp(0.0, 2.0),
            of_direct.count,
            counted(rtt.count),
            of_direct.age,
            age(self.snapshot, rtt),
            direct.loss.value.clamp(0.0, 1.0),
            candidate.loss.value.clamp(0.0, 1.0),
            flag(direct.rtt_ms.censored),
            flag(rtt.censored),
            prior.map_or(gain.max(WORST_GAIN), relative),
            flag(prior.is_some()),
            prior.map_or(0.0, |prior| ((rtt.value - prior.value) * scale).clamp(WORST_GAIN, -WORST_GAIN)),
            candidate.route.path.relays().len() as f64,
            candidate.load.clamp(0.0, 1.0),
            flag(is_in_use(self.snapshot, candidate)),
            flag(of_direct.in_use),
            ((rival - rtt.value) * scale).clamp(WORST_GAIN, 1.0),
            faster.count() as f64 / self.measured.max(1) as f64,
            counted(self.measured as u32),
            (gain / spread.max(1e-3)).clamp(-MOST, MOST),
            if both { ratio.ln().clamp(-4.0, 4.0) } else { 0.0 },
            flag(both),
            flag(self.snapshot.class == Class::Bulk),
            flag(self.snapshot.class == Class::Critical),
        ]
        .map(|value| value as f32)
    }
}

fn is_open(candidate: &Candidate) -> bool {
    candidate.ineligible.is_none() && candidate.rtt_ms.count > 0
}

fn is_in_use(snapshot: &Snapshot, candidate: &Candidate) -> bool {
    snapshot.current.as_ref().is_some_and(|(route, _)| *route == candidate.route)
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Doublings of a count, of at most 32.
fn counted(count: u32) -> f64 {
    f64::from(count.min(32) + 1).log2()
}

/// Logarithm of an age in seconds, of at most ten minutes.
fn age(snapshot: &Snapshot, estimate: &Estimate) -> f64 {
    snapshot.at.since(estimate.at).as_secs_f64().min(600.0).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    fn questions(snapshot: &Snapshot) -> Vec<Option<Question>> {
        let scorer = Scorer::new(snapshot);
        let asker = Asker::new(snapshot, &scorer, &snapshot.candidates).unwrap();
        snapshot.candidates.iter().map(|candidate| asker.ask(candidate, &scorer.terms(candidate))).collect()
    }

    #[test]
    fn names_are_unique_and_the_schema_is_pinned() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT);
        // where this changes, every artefact has to be trained anew
        assert_eq!(SCHEMA_HASH, 0xea82_4236_3cb8_7142);
    }

    #[test]
    fn direct_and_what_is_hopeless_or_closed_are_not_asked_about() {
        let mut snapshot = samples::snapshot(100.0, &[60.0, 400.0, 90.0]);
        snapshot.candidates[3].ineligible = Some(aire_types::Ineligible::Dead);
        let asked: Vec<bool> = questions(&snapshot).iter().map(Option::is_some).collect();
        assert_eq!(asked, [false, true, false, false]);
    }

    #[test]
    fn the_features_do_not_depend_on_distance_or_names() {
        let near = questions(&samples::snapshot(10.0, &[6.0, 9.0]));
        let far = questions(&samples::snapshot(100.0, &[60.0, 90.0]));
        for (near, far) in near.into_iter().flatten().zip(far.into_iter().flatten()) {
            for (index, name) in NAMES.iter().enumerate() {
                // the rule's error has a floor in milliseconds
                if *name != "certainty" {
                    assert!((near.features[index] - far.features[index]).abs() < 1e-4, "{name}");
                }
            }
        }
    }

    #[test]
    fn whatever_others_claim_the_features_stay_numbers() {
        for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let mut snapshot = samples::snapshot(100.0, &[60.0]);
            snapshot.candidates[1].load = odd;
            snapshot.candidates[1].prior_ms = Some(Estimate { value: odd, ..Estimate::default() });
            let question = questions(&snapshot)[1].unwrap();
            let bad = NAMES.iter().zip(question.features).find(|(_, value)| !value.is_finite());
            assert!(bad.is_none_or(|(name, _)| *name == "load"), "{bad:?} at {odd}");
        }
    }
}
