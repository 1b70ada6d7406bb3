//! What comes of decisions: rule and model are followed in shadow, and priced by what is measured afterwards.

use std::time::Duration;

use aire_types::{Candidate, Class, Ineligible, Path, Snapshot, Time};

use crate::cost::{Scorer, Terms};
use crate::destination::Destination;
use crate::estimate::{Sample, millis};
use crate::model::{Outcome, Prediction, Prices};

/// A decision is watched for so long …
const WATCHED: Duration = Duration::from_secs(10);
/// … or until all that it needs was measured, or so long.
const LONGEST_WATCH: Duration = Duration::from_secs(60);
/// A round trip counts for at most so many times what was expected, and so does an answer that never came: one outlier must
/// not decide who is better.
const OUTLIER: f64 = 2.0;

/// Round trips of one route since a watch began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    count: u32,
    sum_ms: f64,
}

impl Tally {
    /// Takes in a sample of a route whose round trip was expected to be `expected_ms`; 0 where nothing was.
    pub(crate) fn add(&mut self, expected_ms: f64, sample: Sample) {
        let most = if expected_ms > 0.0 { OUTLIER * expected_ms } else { f64::INFINITY };
        let ms = match sample {
            Sample::Rtt(rtt) => millis(rtt).min(most),
            Sample::Lost if most.is_finite() => most,
            _ => return,
        };
        self.count = self.count.saturating_add(1);
        self.sum_ms += ms;
    }

    fn mean_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ms / f64::from(self.count))
    }
}

/// Where rule and model would be if they had decided all the time, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tracks {
    pub(crate) rule: Option<(Path, Time)>,
    pub(crate) model: Option<(Path, Time)>,
    /// The guard let the model decide.
    pub(crate) led: bool,
}

impl Tracks {
    pub(crate) fn follows(&self, path: &Path) -> bool {
        [&self.rule, &self.model].into_iter().flatten().any(|(track, _)| track == path)
    }
}

/// A decision whose outcome is being measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Watch {
    at: Time,
    class: Class,
    predictions: Vec<Prediction>,
    rule: Path,
    model: Path,
    /// What the rule's path was expected to cost, milliseconds.
    expected: f64,
}

impl Watch {
    /// Begins to watch a decision to one instance; `None` where a path is not among the candidates.
    pub(crate) fn new(snapshot: &Snapshot, tracks: &Tracks, predictions: Vec<Prediction>) -> Option<Self> {
        let (rule, model) = (&tracks.rule.as_ref()?.0, &tracks.model.as_ref()?.0);
        let candidate = snapshot.candidates.iter().find(|candidate| candidate.route.path == *rule)?;
        let terms = Scorer::new(snapshot).terms(candidate);
        let expected = terms.latency + surcharge(&terms);
        let (rule, model) = (rule.clone(), model.clone());
        Some(Watch { at: snapshot.at, class: snapshot.class, predictions, rule, model, expected })
    }

    /// May it be settled by now?
    pub(crate) fn is_ripe(&self, now: Time) -> bool {
        now.since(self.at) >= WATCHED
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// What came of it, by what `destination` measured since and `snapshot` says now. `None` while it is too early.
    pub(crate) fn settle(&self, snapshot: &Snapshot, destination: &Destination) -> Option<Outcome> {
        let age = snapshot.at.since(self.at);
        let measured = |path: &Path| destination.routes.get(path).and_then(|route| route.tally.mean_ms());
        let known = |path: &Path| measured(path).is_some() || is_gone(snapshot, path);
        let all = known(&Path::DIRECT) && known(&self.rule) && known(&self.model);
        if age < WATCHED || (!all && age < LONGEST_WATCH) {
            return None;
        }
        let direct_ms = measured(&Path::DIRECT);
        let gain = |path: &Path| {
            let direct_ms = direct_ms.filter(|ms| *ms > 0.0)?;
            Some((direct_ms - measured(path)?) / direct_ms)
        };
        let of = |prediction: &Prediction| Some((prediction.clone(), gain(&prediction.route.path)?));
        let gains = self.predictions.iter().filter_map(of).collect();
        let moved = if self.model.is_direct() { None } else { gain(&self.model) };
        let scorer = Scorer::new(snapshot);
        let price = |path: &Path| {
            let candidate = find(snapshot, path)?;
            if is_gone(snapshot, path) {
                return Some(OUTLIER * self.expected);
            }
            Some(measured(path)? + surcharge(&scorer.terms(candidate)))
        };
        let prices = match self.rule == self.model {
            // what is the same costs the same, however little was measured of it
            true => price(&self.rule).map(|same| (same, same)),
            false => price(&self.rule).zip(price(&self.model)),
        };
        let prices = prices.map(|(rule, model)| {
            let direct = price(&Path::DIRECT).unwrap_or(rule);
            (Prices { direct, rule, model }, self.expected)
        });
        Some(Outcome { gains, prices, moved })
    }
}

/// What is paid beside the round trip. Not the tail: whether a window holds one of the rare worst answers is chance.
fn surcharge(terms: &Terms) -> f64 {
    terms.total() - terms.latency - terms.tail - terms.switching
}

fn find<'a>(snapshot: &'a Snapshot, path: &Path) -> Option<&'a Candidate> {
    snapshot.candidates.iter().find(|candidate| candidate.route.path == *path)
}

/// Was the path lost while it was watched?
fn is_gone(snapshot: &Snapshot, path: &Path) -> bool {
    let mask = find(snapshot, path).and_then(|candidate| candidate.ineligible.as_ref());
    matches!(mask, Some(Ineligible::Dead | Ineligible::Dwelling))
}
